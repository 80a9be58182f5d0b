"""Replies: the answers with which a peer, its node or a client refuses a request.

A refusal is `("error", word)` or `("error", (word, details...))`. The public calls return it so.
"""

from typing import Literal

from raft_actors.names import Address

__all__ = [
    "ELECTION_IN_PROGRESS",
    "NOT_ALLOWED",
    "NO_NODE",
    "NO_PEER",
    "OUTCOME_UNKNOWN",
    "OVERLOADED",
    "RESTARTING",
    "TIMEOUT",
    "TOO_STALE",
    "Refusal",
    "redirect",
]

Refusal = tuple[Literal["error"], str]

ELECTION_IN_PROGRESS: Refusal = ("error", "election_in_progress")
OUTCOME_UNKNOWN: Refusal = ("error", "outcome_unknown")
"""The command is in the log of a peer that is no longer the leader: it may still be committed."""
TOO_STALE: Refusal = ("error", "too_stale")
"""Refuses a stale read with a bound: no leader has sent this peer its commit index lately."""
NO_PEER: Refusal = ("error", "no_peer")
RESTARTING: Refusal = ("error", "restarting")
"""The peer has crashed, and its supervisor starts it again."""
NOT_ALLOWED: Refusal = ("error", "not_allowed")
"""The cookie of the node that asks is a client's or a reader's, which may not do that."""
OVERLOADED: Refusal = ("error", "overloaded")
"""Too many requests wait for the peer, or in this process. This one was not carried out."""
NO_NODE: Refusal = ("error", "no_node")
TIMEOUT: Refusal = ("error", "timeout")


def redirect(
    leader: Address | None,
) -> tuple[Literal["error"], tuple[Literal["redirect"], Address | None]]:
    """Return the refusal that names the leader; None: no leader is known."""
    return ("error", ("redirect", leader))
