"""Backup: a stopped peer's data as one file, and such a file as the beginning of a new group."""

import json
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from raft_actors.config import Config
from raft_actors.core.membership import Address, Configuration
from raft_actors.errors import StoreCorrupt, StoreError
from raft_actors.offline.examine import examine
from raft_actors.offline.force import CannotForce, force, forcing, refuse_stateless
from raft_actors.offline.stopped import batches, refused_in_words, stopped
from raft_actors.recovery import recover
from raft_actors.stores import durable_kind
from raft_actors.stores.backup import (
    ENTRIES,
    SNAPSHOT,
    BackupHeader,
    BackupWriter,
    read_backup,
    read_header,
)
from raft_actors.stores.durable import DurableStore
from raft_actors.stores.files import sync_directory

__all__ = ["check_backup", "export_backup", "import_backup"]

PART_BYTES = 256 * 1024


def export_backup(store: DurableStore[Any], path: Path) -> BackupHeader:
    """Write all that a stopped peer knows to `path`: its newest snapshot, and the log after it.

    Also entries that may never have been committed: nobody can tell from one directory.
    Raises StoreError, StoreCorrupt, CannotForce.
    """
    owner = json.loads(store.directory.format_file.read_text())["owner"]
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
    check_backup(path)
    return header


def check_backup(path: Path) -> BackupHeader:
    """Read all of a backup. Raises StoreCorrupt."""
    header = read_header(path)
    sizes = {SNAPSHOT: 0, ENTRIES: 0}
    for kind, content in read_backup(path):
        sizes[kind] += len(content)
    if sizes != {SNAPSHOT: header.incoming.size, ENTRIES: header.last - header.first + 1}:
        raise StoreCorrupt(f"{path} does not hold what it says: take another backup")
    return header


def import_backup(path: Path, directory: Path, *, peer: Address, kind: str) -> Configuration:
    """Make `directory`, which must not be there, from a backup, for the peer `peer`.

    It is the only member of a group with an id of its own, in which all that the backup holds is
    committed. Raises StoreError, StoreCorrupt.
    """
    if directory.exists():
        raise StoreError(f"{directory} is there already: a backup is restored to a new directory")
    header = check_backup(path)
    draft = directory.absolute().with_name(f"{directory.name}.importing")
    with refused_in_words(directory):
        shutil.rmtree(draft, ignore_errors=True)  # of an import that was interrupted: nobody's yet
        try:
            store = durable_kind(kind)(draft, peer)
            try:
                restore(store, header, read_backup(path))
                after = begin(store, header, peer)
            finally:
                store.close()
            with stopped(draft) as written:
                check(written, path)
            draft.rename(directory)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        sync_directory(directory.absolute().parent)
    return after


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


def check(store: DurableStore[Any], path: Path) -> None:
    if problems := examine(store).problems:
        raise StoreCorrupt(f"{path} can't be restored: {problems[0]}")
