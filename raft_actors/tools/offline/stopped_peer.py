"""Stopped: a data directory that no peer has open, and its log in parts that fit into memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from raft_actors.errors import StoreCorrupt, StoreError
from raft_actors.stores import durable_kind
from raft_actors.stores.durable import DurableStore
from raft_actors.stores.files import translated
from raft_actors.stores.store_record import kind_of

__all__ = ["PART", "batches", "kind_in", "refused_in_words", "stopped"]

PART = 8  # entries read in one go: of the largest commands 64 MiB; with 64 it is a third faster
BATCH_BYTES = 4 * 1024 * 1024
BATCH_ENTRIES = 4096


@contextmanager
def stopped(
    path: Path, store: str | None = None, *, to: str | None = None
) -> Iterator[DurableStore[Any]]:
    """Open the store in `path`, of whatever kind it is, and close it at the end.

    store, to  kinds that the user has named: that of the directory, and that which it is to become
               and may be already. The directory may come from anywhere, so it never chooses what is
               imported: a class of which `store.json` has the path must be one of the two

    Its database is looked at before: one that is not in order may give anything, or end the
    process. Then reading from it raises StoreCorrupt, and its `problems` tell why.

    Raises DataDirInUse, naming the process, while a peer has it; StoreCorrupt for a directory
    without a store, and for one that is damaged; StoreError for what the operating system refuses
    meanwhile.
    """
    with refused_in_words(path):
        opened = durable_kind(kind_in(path, store, to))(path, check_first=True)
        try:
            yield opened
        finally:
            opened.close()


def kind_in(path: Path, store: str | None, to: str | None = None) -> str:
    """Return the kind of the store in `path`; see `stopped`. Raises StoreCorrupt, StoreError."""
    if path.is_file():
        raise StoreCorrupt(
            f"{path} is a file, and no data directory: if it is a backup, raft-actors recover "
            f"verify {path} checks it, and raft-actors recover import makes a directory of it"
        )
    kind = kind_of(path)
    if kind in (store, to):
        return kind
    if store is not None:
        raise StoreError(f"{path} holds a store of the kind {kind!r}, and --store names {store!r}")
    if ":" in kind:
        raise StoreError(
            f"{path} says that its store is of the class {kind}, which is imported only if you "
            f"name it: if you know that this class wrote the directory, give --store {kind}"
        )
    return kind


@contextmanager
def refused_in_words(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise translated(error.filename or path, error) from error


def batches(store: DurableStore[Any], first: int, last: int) -> Iterator[tuple[int, list[bytes]]]:
    """Yield (index, entries from there on) until all of `first..last` are told."""
    batch: list[bytes] = []
    size = 0
    for start in range(first, last + 1, PART):
        end = min(start + PART - 1, last)
        part = store.entries(start, end)
        batch += part
        size += sum(map(len, part))
        if size >= BATCH_BYTES or len(batch) >= BATCH_ENTRIES or end == last:
            yield end - len(batch) + 1, batch
            batch, size = [], 0
