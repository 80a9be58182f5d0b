"""Backup: a stopped peer's data as one file, and such a file as the beginning of a new group."""

import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from raft_actors.config import Config
from raft_actors.core.configuration import Configuration
from raft_actors.errors import REJOIN, StoreCorrupt, StoreError
from raft_actors.names import Address
from raft_actors.paths import make_private
from raft_actors.replica.recovery import recover
from raft_actors.stores import durable_kind
from raft_actors.stores.backup_file import (
    ENTRIES,
    REMEDY,
    SNAPSHOT,
    BackupHeader,
    BackupWriter,
    read_backup,
    read_header,
    refuse_name,
)
from raft_actors.stores.durable import DurableStore
from raft_actors.stores.files import absent, sync_names
from raft_actors.tools.offline.entries import damage_in
from raft_actors.tools.offline.examine import examine
from raft_actors.tools.offline.force_configuration import (
    CannotForce,
    force,
    forcing,
    refuse_stateless,
)
from raft_actors.tools.offline.stopped_peer import batches, refused_in_words, stopped

__all__ = ["export_backup", "import_backup", "verify_backup"]

PART_BYTES = 256 * 1024


def export_backup(store: DurableStore[Any], path: Path) -> BackupHeader:
    """Write the data of a stopped peer to `path`: its newest snapshot, and the log after it.

    The log may have entries that were never committed: one directory alone does not show which.
    Raises StoreError, StoreCorrupt, CannotForce.
    """
    refuse_name(path)  # first, because reading may take long
    if problems := examine(store).problems:  # before `recover` makes of them what a start would
        what = problems[0].replace(f"; {REJOIN}", "")
        raise StoreCorrupt(
            f"no backup is made, for {store.path} is damaged: {what}; {REMEDY}, of another member"
        )
    owner = store.directory.record()["owner"]
    found = recover(store, Config())
    configuration = found.configuration
    if owner is None or not configuration.members:
        raise CannotForce(f"{store.path} is of no group: there is nothing to back up")
    refuse_stateless(store, found)
    snapshot, log = found.snapshot, found.log
    first = snapshot.index + 1
    header = BackupHeader(
        made_at=datetime.now(UTC).isoformat(timespec="seconds"), peer=tuple(owner),
        term=log.last_term, first=first, last=log.last_index,
        configuration=configuration.encode(), configured=configuration.index,
        snapshot=(snapshot.index, snapshot.term, snapshot.size, snapshot.checksum),
    )  # fmt: skip
    with BackupWriter(path, header) as writer:
        for offset in range(0, snapshot.size, PART_BYTES):
            writer.add_snapshot_part(store.snapshots.read(snapshot, offset, PART_BYTES))
        for _, entries in batches(store, first, log.last_index):
            writer.add_entries(entries)
        writer.finish()
    return header


def verify_backup(path: Path) -> BackupHeader:
    """Read all of a backup, and look at each entry. Raises StoreCorrupt."""
    header = read_header(path)
    index = header.first
    for kind, content in read_backup(path):
        if kind == ENTRIES:
            refuse_damaged(index, content)
            index += len(content)
    return header


def refuse_damaged(first: int, entries: list[bytes]) -> None:
    for index, entry in enumerate(entries, first):
        if damage := damage_in(index, entry):
            raise StoreCorrupt(f"entry {index} {damage}: {REMEDY}, of another member")


def import_backup(path: Path, directory: Path, *, peer: Address, kind: str) -> Configuration:
    """Make `directory`, which must not be there, from a backup, for the peer `peer`.

    It is the only member of a group with an id of its own, in which all that the backup holds is
    committed. Raises StoreError, StoreCorrupt.
    """
    header = verify_backup(path)
    try:
        with refused_in_words(directory), drafted(directory.absolute()) as draft:
            store = durable_kind(kind)(draft, peer)
            try:
                restore(store, header, read_backup(path))
                after = begin(store, header, peer)
            finally:
                store.close()
            with stopped(draft, kind) as written:
                check(written)
    except StoreCorrupt as error:
        what = str(error).replace(REJOIN, REMEDY)
        raise StoreCorrupt(f"{path} can't be restored: {what}") from error
    return after


@contextmanager
def drafted(directory: Path) -> Iterator[Path]:
    """Give a directory to fill beside `directory`, whose name it gets; if that fails it is removed.

    Raises StoreError if something has that name.
    """
    parent, missing = directory.parent, absent(directory)
    make_private(parent)
    lock = os.open(parent, os.O_RDONLY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(f"another import into {parent} is under way: wait for it") from None
        if os.path.lexists(directory):  # also a link that leads nowhere
            raise StoreError(
                f"{directory} is there already: a backup is restored to a new directory"
            )
        draft = directory.with_name(f"{directory.name}.importing")
        shutil.rmtree(draft, ignore_errors=True)  # left by an import that was killed
        try:
            yield draft
            draft.rename(directory)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        sync_names(directory, missing)
    finally:
        os.close(lock)


def restore(
    store: DurableStore[Any], header: BackupHeader, blocks: Iterable[tuple[bytes, Any]]
) -> None:
    """Put snapshot and log into a fresh store."""
    incoming = header.incoming
    offset, index = 0, header.first
    if incoming.index:
        store.restart((incoming.term, None), incoming.index, incoming.term)
    for kind, content in blocks:
        if kind == SNAPSHOT:
            store.snapshots.receive(incoming, offset, content)
            offset += len(content)
        else:
            store.save(None, index, content)
            index += len(content)
    if incoming.index:
        store.snapshots.finish(incoming)


def begin(store: DurableStore[Any], header: BackupHeader, peer: Address) -> Configuration:
    """Write the configuration of the new group, and that it comes from a backup."""
    store.save((header.term, None, header.configured), 0, [])
    before = Configuration.decode(header.configuration, header.configured)
    made = forcing(peer, recover(store, Config()), before, (peer,), backup_made_at=header.made_at)
    force(store, made)
    return made.after


def check(store: DurableStore[Any]) -> None:
    if problems := examine(store).problems:
        raise StoreCorrupt(problems[0])
