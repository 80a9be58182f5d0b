"""MemoryStore: a log store in memory, which is lost when the process ends, for tests and
simulations.

A peer that is restarted within the process finds its ballot and log again, as on a disk. Without
them it could vote twice in one term.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from raft_actors.errors import DataDirInUse, LogCompacted, StoreError
from raft_actors.stores.data_directory import Owner, of_another
from raft_actors.stores.files import MemoryFiles
from raft_actors.stores.log_store import FRESH_BALLOT, Mark, Saved, StoredBallot, new_incarnation
from raft_actors.stores.snapshots import Snapshots

__all__ = ["MemoryStore"]


class MemoryStore:
    """Keeps ballot and log in plain objects.

    To simulate a crash, drop the owner, `reopen` the store, and `load` it.
    """

    shelf: ClassVar[dict[Path, "MemoryStore"]] = {}

    @classmethod
    def at(cls, path: Path, owner: Owner | None = None) -> "MemoryStore":
        """Open and return the store of this process with the name `path`.

        owner  the peer's (name, node): the store holds its vote, as a directory does

        Raises DataDirInUse if it is open already, and to every other owner.
        """
        store = cls.shelf.setdefault(path.absolute(), cls(path.absolute()))
        if store.is_open:
            raise DataDirInUse(
                f"{path} (in memory) is open in this process already: stop the peer that has it, "
                "or give this one a data_dir of its own"
            )
        if owner and store.owner and owner != store.owner:
            raise of_another(f"{path} (in memory)", store.owner, owner)
        store.owner = owner or store.owner
        store.reopen()
        return store

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.owner: Owner | None = None
        self.is_open: bool = path is None
        self.clear()

    def clear(self) -> None:
        self.ballot: StoredBallot = FRESH_BALLOT
        self.first: int = 1
        self.base_term: int = 0
        self.snapshots: Snapshots = Snapshots(MemoryFiles())
        self.log: list[bytes] = []
        self.incarnation: int = new_incarnation()

    def reopen(self) -> None:
        self.is_open = True

    def load(self) -> Saved:
        self.check_open()
        last = self.first + len(self.log) - 1
        return Saved(self.ballot, self.first, last, self.base_term, self.incarnation)

    def save(self, ballot: StoredBallot | None, first: int, entries: list[bytes]) -> None:
        self.check_open()
        start = first - self.first
        assert 0 <= start <= len(self.log) or (first == 0 and not entries), "a hole in the log"
        if ballot is not None:
            self.ballot = ballot
        if first:
            self.log[start:] = entries

    def entries(self, first: int, last: int) -> list[bytes]:
        self.check_open()
        if first < self.first:
            raise LogCompacted(f"entry {first} is compacted; the log starts at {self.first}")
        assert last < self.first + len(self.log), "entries beyond the last"
        return self.log[first - self.first : last - self.first + 1]

    def compact(self, through: int, term: int) -> None:
        self.check_open()
        if through >= self.first:
            assert through < self.first + len(self.log), "what is not there can't be compacted"
            del self.log[: through - self.first + 1]
            self.first, self.base_term = through + 1, term

    def restart(
        self, ballot: StoredBallot, index: int, term: int, entries: Sequence[bytes] = ()
    ) -> None:
        self.check_open()
        self.ballot = ballot
        self.first, self.base_term, self.log = index + 1, term, list(entries)

    @property
    def mark(self) -> Mark:
        return self.incarnation, 0

    def check(self) -> None:
        """Do nothing: there are no files that could be removed."""

    def close(self) -> None:
        self.is_open = False

    def destroy(self) -> None:
        self.close()
        self.clear()
        if self.path is not None:
            self.shelf.pop(self.path, None)

    def check_open(self) -> None:
        if not self.is_open:
            raise StoreError(f"{self.path or 'this store'} (in memory) is closed: open it again")
