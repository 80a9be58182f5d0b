"""Log stores: they keep a peer's ballot and log. `open_store` opens one."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from raft_actors.config import LOG_STORES, foreign_log_stores, is_log_store
from raft_actors.errors import StoreError
from raft_actors.stores.log_store import (
    FRESH_BALLOT,
    LogStore,
    Mark,
    Saved,
    StoredBallot,
    new_incarnation,
)

if TYPE_CHECKING:
    from raft_actors.stores.durable import DurableStore

__all__ = [
    "FRESH_BALLOT",
    "LogStore",
    "Mark",
    "Saved",
    "StoredBallot",
    "durable_kind",
    "durable_kinds",
    "new_incarnation",
    "open_store",
]  # fmt: skip


LMDB = "pip install 'raft_actors[lmdb]'"
PACKAGES = {
    "rocksdb": (
        "rocksdict",
        'pip install rocksdict; if this Python has none, log_store="files" needs no package',
    ),
    "lmdb": ("lmdb", LMDB),
}
"""For each kind of store: the package that it needs, and what to do if that is missing."""


def open_store(
    kind: str,
    path: str | Path,
    owner: tuple[str, str] | None = None,
    *,
    mark: Mark | None = None,
) -> LogStore:
    """Open the store at `path`, or make a new one there.

    kind    as in Config: "rocksdb", "lmdb", "files", "memory" (lost when the process ends), or a
            store of another package
    owner   the peer's (name, node). A directory that was made for one peer is refused to every
            other peer, because it has the vote of the first one.
    mark    the mark of the store that must be there, if the kind is on a disk; None: there may be
            any store, or none

    Raises DataDirInUse, StoreCorrupt or StoreError, with messages that say what to do.
    """
    if kind == "memory":
        from raft_actors.stores.memory import MemoryStore

        return MemoryStore.at(Path(path), owner)
    return durable_kind(kind)(path, owner, mark=mark)


def durable_kind(kind: str) -> "type[DurableStore[Any]]":
    """Return the class of the stores of this kind, which must be one on a disk.

    Raises StoreError if its package can't be imported, ValueError for an unknown kind.
    """
    try:
        if kind == "rocksdb":
            from raft_actors.stores.rocksdb import RocksStore

            return RocksStore
        if kind == "lmdb":
            from raft_actors.stores.lmdb import LmdbStore

            return LmdbStore
        if kind == "files":
            from raft_actors.stores.files_store import FilesStore

            return FilesStore
    except ImportError as error:
        raise cannot_import(error, f'log_store="{kind}"', *PACKAGES[kind]) from error
    if kind == "memory" or not is_log_store(kind):
        *others, last = durable_kinds()
        raise ValueError(f"a store on a disk is {', '.join(others)} or {last}, not {kind!r}")
    from raft_actors.stores.foreign import foreign_kind

    return foreign_kind(kind)


def durable_kinds() -> list[str]:
    """Return the names of all kinds on a disk that are known here, and the form of other names."""
    own = [kind for kind in LOG_STORES if kind != "memory"]
    return [*own, *foreign_log_stores(), "module:Class"]


def cannot_import(error: ImportError, what: str, package: str, advice: str) -> Exception:
    """Return the exception to raise if the `package` that `what` needs is missing, or not made for
    this Python. If another import has failed, that is `error` itself.
    """
    if (error.name or "").partition(".")[0] != package:
        return error
    return StoreError(f"{what} needs {package}, which can't be imported ({error}): {advice}")
