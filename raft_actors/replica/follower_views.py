"""Follower views: what a leader knows of each peer that it sends to, for the status.

Nothing is counted for this: a view is made from the `Progress` that the leader keeps anyway, and
from one entry of its log, when somebody asks.
"""

from math import isfinite
from typing import Any

from raft_actors.core.entry import command_of
from raft_actors.core.leader_base import LeaderBase
from raft_actors.core.progress import Progress
from raft_actors.core.server import Server
from raft_actors.errors import StoreError
from raft_actors.names import Address

__all__ = ["follower_views", "queue_view"]


def follower_views(core: Server) -> dict[Address, dict[str, Any]]:
    """Return a view of each follower; nothing at a peer that does not lead."""
    role = core.role
    if not isinstance(role, LeaderBase):
        return {}
    return {peer: follower_view(core, progress) for peer, progress in role.progress.items()}


def follower_view(core: Server, progress: Progress) -> dict[str, Any]:
    """Return what is known of one follower. `lag_s` is None if the log has no time for the first
    entry that the follower lacks: the entry is compacted, or is not a command.
    """
    shipment = progress.shipment
    return {
        "match": progress.match,
        "next": progress.next,
        "inflight": len(progress.inflight),
        "lag_entries": core.log.last_index - progress.match,
        "lag_s": age_s(core, progress.match + 1),
        "heard_s": max(0.0, core.now - progress.heard) if isfinite(progress.heard) else None,
        "connected": progress.is_connected,
        "snapshot": None if shipment is None else (shipment.sent, shipment.snapshot.size),
    }


def age_s(core: Server, index: int) -> float | None:
    """Return how many seconds ago the command at `index` came, by the clocks of the leaders."""
    log = core.log
    if index > log.last_index:
        return 0.0
    if index <= log.base:
        return None
    try:
        time_ms = command_of(log.between(index, index)[0])[2]
    except StoreError:
        return None
    return max(0.0, (core.wall_ms - time_ms) / 1000) if time_ms else None


def queue_view(core: Server, applied: int) -> dict[str, int]:
    """Return what waits: writes and reads without an answer, and committed entries."""
    role, to_apply = core.role, core.commit_index - applied
    if not isinstance(role, LeaderBase):
        return {"writes": 0, "reads": 0, "to_apply": to_apply}
    return {"writes": len(role.tickets), "reads": role.reads.count, "to_apply": to_apply}
