"""Migrate: the log of a stopped peer moves into a database of another kind.

The new database is made beside the old one, in the same directory and under its lock, and is read
back. Then one file, `store.json`, is replaced: before that the old database counts, after it the
new one, so there is no moment without a vote. All else in the directory stays where it is.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from raft_actors.errors import StoreCorrupt
from raft_actors.stores import durable_kind
from raft_actors.stores.durable import DurableStore
from raft_actors.stores.files import sync_directory
from raft_actors.tools.offline.stopped_peer import batches, stopped

__all__ = ["Migrated", "migrate"]


@dataclass(frozen=True, slots=True)
class Migrated:
    """What was done.

    first, last   the entries that were copied; nothing was if the store is of this kind already
    old           where the old database is now, if there is one
    """

    kind: str
    first: int
    last: int
    old: Path | None
    was_already: bool = False


def migrate(path: Path, to: str, store: str | None = None) -> Migrated:
    """Move the log of the stopped peer in `path` into a store of the kind `to`.

    store  the kind that it is of now, needed where that is a class's path: see `stopped`

    Interrupted at any point, it can be asked for again. Raises DataDirInUse, StoreCorrupt or
    StoreError; then the old store is as it was.
    """
    kind = durable_kind(to)
    with stopped(path, store, to=to) as source:
        saved = source.load()
        if source.kind == to:
            old = put_away(source, other_kinds(source))
            return Migrated(to, saved.first, saved.last, old, was_already=True)
        copy(source, kind)
        source.release()
        source.directory.switch(to)
        old = put_away(source, [source.kind])
    return Migrated(to, saved.first, saved.last, old)


def copy(source: DurableStore[Any], kind: type[DurableStore[Any]]) -> None:
    """Make the new database, and make sure that it has on the disk what the old one has.

    Raises StoreCorrupt if it has not.
    """
    saved = source.load()
    target = kind.beside(source)
    try:
        if saved.first > 1:
            target.restart(saved.ballot, saved.first - 1, saved.base_term)
        else:
            target.save(saved.ballot, 0, [])
        for first, entries in batches(source, saved.first, saved.last):
            target.save(None, first, entries)
        target.reopen()
        compare(source, target)
    except BaseException:
        target.release()
        target.remove_database()
        raise
    target.release()


def compare(source: DurableStore[Any], target: DurableStore[Any]) -> None:
    saved = source.load()
    if target.load() != saved or any(
        target.entries(first, first + len(entries) - 1) != entries
        for first, entries in batches(source, saved.first, saved.last)
    ):
        raise StoreCorrupt(
            f"{target.directory.database} is not what was written to it: check the disk; "
            f"{source.directory.database} is as it was"
        )


def other_kinds(store: DurableStore[Any]) -> list[str]:
    """Return the kinds of the other databases in the directory, those that were put away aside."""
    names = [path.name.removeprefix("log.") for path in sorted(store.path.glob("log.*"))]
    return [name for name in names if name != store.kind and ".old-" not in name]


def put_away(store: DurableStore[Any], kinds: list[str]) -> Path | None:
    """Give databases that count no more a name that no store opens; return the last one's."""
    old = None
    for kind in kinds:
        database = store.path / f"log.{kind}"
        if database.exists():
            old = database.with_name(f"{database.name}.old-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}")
            database.rename(old)
            sync_directory(store.path)
    return old
