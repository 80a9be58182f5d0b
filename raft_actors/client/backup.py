"""Backup: downloads a snapshot of a running peer into a file."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from raft_actors.client.answers import Answer
from raft_actors.client.rpc import PeerRef, address_of, ask, follow_referral, request
from raft_actors.core.messages import FOLLOWER
from raft_actors.core.replies import NO_NODE
from raft_actors.errors import StoreCorrupt, StoreError
from raft_actors.machine.sessions import REPLY
from raft_actors.replica.requests import PART, SNAPSHOT, read_request
from raft_actors.stores.backup_file import BackupHeader, BackupWriter

__all__ = ["download", "snapshot"]

TRIES = 3
"""How often a download begins: a newer snapshot may replace the one that is being read."""


def download(peer: PeerRef, path: Path, timeout: float) -> Answer[int]:
    """Write a backup to `path`; return ("ok", index) or ("error", reason).

    timeout  for each step: the read of `take`, the snapshot, and each part of it
    """
    answer: Answer[int] = ("error", "not_found")
    for _ in range(TRIES):
        taken = take(peer, timeout)
        if taken[0] != "ok":
            return taken
        try:
            answer = write(peer, path, taken[1], timeout)
        except (StoreError, StoreCorrupt) as error:
            return ("error", ("backup_failed", str(error)))
        if answer != ("error", "not_found"):
            break
    return answer


def take(peer: PeerRef, timeout: float) -> Answer[int]:
    """Let the peer take a snapshot, and return ("ok", index). A linearizable read comes first, so
    that the snapshot contains every write that was acknowledged before this call.
    """
    operation, payload = read_request(REPLY, FOLLOWER)
    seen: Answer[int] = follow_referral(
        request(peer, operation, payload, timeout, NO_NODE), timeout
    )
    return snapshot(peer, timeout) if seen[0] == "ok" else seen


def snapshot(peer: PeerRef, timeout: float) -> Answer[int]:
    answer: Answer[int] = ask(peer, SNAPSHOT, (), timeout)
    return answer


def write(peer: PeerRef, path: Path, index: int, timeout: float) -> Answer[int]:
    part: Answer[dict[str, Any]] = ask(peer, PART, (index, 0), timeout)
    if part[0] != "ok":
        return part
    first = part[1]
    header = BackupHeader(
        made_at=datetime.now(UTC).isoformat(timespec="seconds"), peer=address_of(peer),
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
            if offset >= first["size"] or not data:  # no data: the peer's file has become shorter
                writer.finish()
                return ("ok", index)
            part = ask(peer, PART, (index, offset), timeout)
            if part[0] != "ok":
                return part
