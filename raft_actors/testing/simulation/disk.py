"""PretendDisk: a log store whose process can die between the write and the sync.

In front it is a `LogStore` like any other; behind it is the one that ships, `MemoryStore`.

    save      the batch goes to `unsynced` (written), then to the store (synced)
    compact   goes to `unsynced`, and to the store with the next save
    crash     of what is written but not synced, the operating system had saved some, in order
              and whole batches: a torn one is dropped when the log is read again, as the stores'
              contract demands (tests/stores holds the real ones to it). Of a snapshot that was not
              finished yet some bytes are left
    wipe      all is gone, and the peer stays away: see `World.wipe`
"""

from collections.abc import Sequence
from typing import Any, Protocol

from raft_actors.core.entry import term_of
from raft_actors.errors import StoreError
from raft_actors.stores.files import MemoryFiles
from raft_actors.stores.log_store import Mark, Saved, StoredBallot
from raft_actors.stores.memory import MemoryStore
from raft_actors.stores.snapshots import Snapshots
from raft_actors.testing.simulation.state_directory import Faults, StateDirectory

__all__ = ["PretendDisk"]


class DiskWorld(Faults, Protocol):
    """What a pretended disk asks of the world that it is in; see `World`."""

    def slow_down(self, name: str) -> None:
        """The disk takes its time."""

    def saved(
        self, name: str, ballot: StoredBallot | None, first: int, entries: list[bytes]
    ) -> None:
        """This is durable now."""

    def restarted(self, name: str, index: int) -> None:
        """The log begins anew behind `index`."""


class PretendFiles(MemoryFiles):
    """Files whose process can die between any two steps."""

    def __init__(self, world: Faults) -> None:
        super().__init__()
        self.world = world

    def write(self, name: str, offset: int, data: bytes) -> None:
        super().write(name, offset, data)
        self.world.boundary()

    def keep(self, draft: str, name: str) -> None:
        super().keep(draft, name)
        self.world.boundary()

    def crash(self, kept: float) -> None:
        for name, content in self.contents.items():
            if not name.endswith(".snapshot"):
                del content[int(kept * (len(content) + 1)) :]


class PretendDisk:
    """The disk of the peer called `name`. It outlives the peer's processes."""

    __slots__ = ("directory", "files", "name", "snapshots", "store", "unsynced", "world")

    def __init__(self, world: DiskWorld, name: str, incarnation: int) -> None:
        self.world = world
        self.name = name
        self.store = MemoryStore()
        self.store.incarnation = incarnation
        self.files = PretendFiles(world)
        self.snapshots = Snapshots(self.files)
        self.directory = StateDirectory(world, name)
        self.unsynced: list[tuple[Any, ...]] = []

    def load(self) -> Saved:
        return self.store.load()

    def save(self, ballot: StoredBallot | None, first: int, entries: list[bytes]) -> None:
        world = self.world
        world.boundary()
        self.unsynced.append(("save", ballot, first, entries))
        world.boundary()
        self.refuse_if_full()
        self.sync()
        world.saved(self.name, ballot, first, entries)
        world.slow_down(self.name)
        world.boundary()

    def refuse_if_full(self) -> None:
        """What was to be saved is in doubt then: some of it may be there after all."""
        if self.name in self.world.full:
            raise StoreError(f"no space left on the disk of {self.name}")

    def sync(self) -> None:
        """Everything written is durable now."""
        for verb, *arguments in self.unsynced:
            getattr(self.store, verb)(*arguments)
        self.unsynced.clear()

    def entries(self, first: int, last: int) -> list[bytes]:
        return self.store.entries(first, last)

    def compact(self, through: int, term: int) -> None:
        self.unsynced.append(("compact", through, term))

    def restart(
        self, ballot: StoredBallot, index: int, term: int, entries: Sequence[bytes] = ()
    ) -> None:
        world = self.world
        world.boundary()
        self.unsynced.append(("restart", ballot, index, term, entries))
        world.boundary()
        self.refuse_if_full()
        self.sync()
        world.restarted(self.name, index)
        world.saved(self.name, ballot, index + 1, list(entries))
        world.boundary()

    @property
    def mark(self) -> Mark:
        return self.store.mark

    def check(self) -> None:
        """A wiped one has no process that could look."""

    def close(self) -> None:
        """A process that ends has nothing to let go of here."""

    def destroy(self) -> None:
        incarnation = self.store.incarnation
        self.unsynced.clear()
        self.store.clear()
        self.store.incarnation = incarnation + 1
        self.files.contents.clear()
        self.directory.destroy()

    # What only a pretend disk can do.

    def crash(self, kept: float) -> None:
        """End the owner's process. `kept`, 0 to 1: how much of the unsynced had reached the disk.

        The machine may have gone down with it: what was only written counts on no sync.
        """
        self.unsynced = self.unsynced[: int(kept * (len(self.unsynced) + 1))]
        self.sync()
        self.files.crash(kept)
        self.directory.crash(power=kept < 0.5)

    @property
    def incarnation(self) -> int:
        return self.store.incarnation

    @property
    def last_index(self) -> int:
        return self.store.first + len(self.store.log) - 1

    def term_before(self, index: int) -> int:
        """Return the term of the durable entry before `index`."""
        before = self.entry(index - 1)
        return term_of(before) if before is not None else self.store.base_term

    def entry(self, index: int) -> bytes | None:
        """Return the durable entry at `index`, or None if the durable log ends before it."""
        store = self.store
        position = index - store.first
        return store.log[position] if 0 <= position < len(store.log) else None
