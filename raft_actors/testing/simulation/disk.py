"""PretendDisk: a log store whose process can end between the write and the sync.

It is a `LogStore` for the replica, and uses the library's `MemoryStore`.

    save      the batch is added to `unsynced` (written), and then to the store (synced)
    compact   is added to `unsynced`, and to the store with the next save
    crash     of the batches that are written and not synced, the first ones may have reached the
              disk, each of them whole: a torn batch is dropped when the log is read again, as the
              contract of stores demands (tests/stores checks the real ones). Of an unfinished
              snapshot some bytes are left
    wipe      everything is lost, and the peer stays down: see `World.wipe`
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
    """What a simulated disk needs from its world; see `World`."""

    def slow_down(self, name: str) -> None:
        """Stall the peer for as long as its save takes."""

    def saved(
        self, name: str, ballot: StoredBallot | None, first: int, entries: list[bytes]
    ) -> None:
        """Called when this ballot and these entries are durable."""

    def restarted(self, name: str, index: int) -> None:
        """Called when the log was replaced by an empty one that begins after `index`."""


class PretendFiles(MemoryFiles):
    """Files whose process can end between any two steps."""

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
    """The disk of the peer called `name`. It stays when the peer's process ends."""

    __slots__ = ("directory", "files", "name", "snapshots", "store", "unsynced", "world")

    def __init__(self, world: DiskWorld, name: str, incarnation: int) -> None:
        self.world: DiskWorld = world
        self.name: str = name
        self.store: MemoryStore = MemoryStore()
        self.store.incarnation = incarnation
        self.files: PretendFiles = PretendFiles(world)
        self.snapshots: Snapshots = Snapshots(self.files)
        self.directory: StateDirectory = StateDirectory(world, name)
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
        """Raise StoreError if the disk is full. A part of the batch may have been written
        anyway.
        """
        if self.name in self.world.full:
            raise StoreError(f"no space left on the disk of {self.name}")

    def sync(self) -> None:
        """Make everything that was written durable."""
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
        """Nothing to do: the peer of a wiped disk does not run, so it can't check the disk."""

    def close(self) -> None:
        """Nothing to do: there is nothing to release."""

    def destroy(self) -> None:
        incarnation = self.store.incarnation
        self.unsynced.clear()
        self.store.clear()
        self.store.incarnation = incarnation + 1
        self.files.contents.clear()
        self.directory.destroy()

    # What only a simulated disk has.

    def crash(self, kept: float) -> None:
        """End the peer's process. `kept`, 0 to 1: how much of `unsynced` has reached the disk.

        The power may have failed too, so data that was written and not synced may be lost.
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
