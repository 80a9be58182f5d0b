"""Log stores: where a peer's ballot and log survive. `open_store` is the door."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from raft_actors.errors import StoreError
from raft_actors.stores.store import FRESH_BALLOT, Ballot, LogStore, Saved, new_incarnation

if TYPE_CHECKING:
    from raft_actors.stores.durable import DurableStore

__all__ = [
    "FRESH_BALLOT", "Ballot", "LogStore", "Saved", "durable_kind", "new_incarnation", "open_store",
]  # fmt: skip


def open_store(kind: str, path: str | Path, owner: tuple[str, str] | None = None) -> LogStore:
    """Open the store at `path`, or make a fresh one there.

    kind    "rocksdb", "lmdb", or "memory" (gone with the process)
    owner   the peer's (name, node). A directory made for one peer is refused to every other: it
            holds the first one's vote.

    Raises DataDirInUse, StoreCorrupt or StoreError. Each says what to do.
    """
    if kind == "memory":
        from raft_actors.stores.memory import MemoryStore

        return MemoryStore.at(Path(path))
    return durable_kind(kind)(path, owner)


def durable_kind(kind: str) -> "type[DurableStore[Any]]":
    """Return the class of the stores of this kind, which are on a disk.

    Raises StoreError when its package is not installed.
    """
    if kind == "rocksdb":
        from raft_actors.stores.rocks import RocksStore

        return RocksStore
    if kind == "lmdb":
        try:
            from raft_actors.stores.lmdb import LmdbStore
        except ModuleNotFoundError as error:
            if error.name != "lmdb":
                raise
            raise StoreError(
                'log_store="lmdb" needs a package that is not installed: '
                "pip install 'raft_actors[lmdb]'"
            ) from None
        return LmdbStore
    raise ValueError(f'a store is "rocksdb", "lmdb" or "memory", not {kind!r}')
