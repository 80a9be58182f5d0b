"""Download: a running peer's snapshot becomes a backup file of whoever asked for it."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from raft_actors.errors import StoreCorrupt, StoreError
from raft_actors.names import Address
from raft_actors.stores.backup_file import BackupHeader, BackupWriter

__all__ = ["download"]

TRIES = 3
"""A newer snapshot takes the place of the one that is read; then it begins again."""


def download(
    peer: Address,
    path: Path,
    take: Callable[[], Any],
    read: Callable[[int, int], Any],
) -> Any:
    """Write a backup to `path`; return ("ok", index) or ("error", reason).

    take   have the peer take a snapshot: ("ok", index)
    read   (index, offset) -> ("ok", `Peer.snapshot_part`), or an error
    """
    answer: Any = ("error", "not_found")
    for _ in range(TRIES):
        taken = take()
        if taken[0] != "ok":
            return taken
        try:
            answer = write(peer, path, taken[1], read)
        except (StoreError, StoreCorrupt) as error:
            return ("error", ("backup_failed", str(error)))
        if answer != ("error", "not_found"):
            break
    return answer


def write(peer: Address, path: Path, index: int, read: Callable[[int, int], Any]) -> Any:
    part = read(index, 0)
    if part[0] != "ok":
        return part
    first = part[1]
    header = BackupHeader(
        made_at=datetime.now(UTC).isoformat(timespec="seconds"), peer=peer,
        term=first["term"], first=index + 1, last=index,
        configuration=first["configuration"], configured=first["configured"],
        snapshot=(index, first["term"], first["size"], first["checksum"]),
    )  # fmt: skip
    with BackupWriter(path, header) as writer:
        offset = 0
        while True:
            data = part[1]["data"]
            writer.add_snapshot_part(data)
            offset += len(data)
            if offset >= first["size"] or not data:  # its file may be shorter than it was
                writer.finish()
                return ("ok", index)
            part = read(index, offset)
            if part[0] != "ok":
                return part
