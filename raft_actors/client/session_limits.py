"""Session limits: how many sessions a group keeps, and how long, set in its log."""

from math import isfinite

from raft_actors.client.answers import Answer
from raft_actors.client.leader_finder import routed_by
from raft_actors.client.retrying_client import RetryingClient
from raft_actors.client.rpc import CALL_TIMEOUT, PeerRef, ask, follow_referral
from raft_actors.client.views import SessionLimits
from raft_actors.errors import NotAllowed, NotApplied
from raft_actors.machine.sessions import change_of_limits
from raft_actors.replica.requests import LIMIT_SESSIONS
from raft_actors.timeouts import optional_seconds

__all__ = ["limit_sessions", "limit_sessions_of"]


def limit_sessions_of(
    client: RetryingClient, sessions_max: int | None, session_s: float | None
) -> SessionLimits:
    """As `limit_sessions`, of the group of a handle. Raises NotAllowed or NotApplied."""
    call = client.barrier_call(None)
    client.finish(client.send(call))
    with routed_by(client.finder.router):
        answer = limit_sessions(call.answered_by(), sessions_max, session_s)
    match answer:
        case ("ok", limits):
            return limits
        case ("error", "not_allowed"):
            raise NotAllowed("the limits of sessions are set with the cookie of a member")
        case (_, reason):
            raise NotApplied(f"the limits are as they were, the answer was {reason!r}: try again")


def limit_sessions(
    leader: PeerRef, sessions_max: int | None, session_s: float | None
) -> Answer[SessionLimits]:
    expiry_s = optional_seconds(session_s, "session_s")
    if sessions_max is None and expiry_s is None:
        raise ValueError("give sessions_max, session_s, or both")
    if expiry_s is not None and not isfinite(expiry_s):
        raise ValueError(f"session_s is a finite number of seconds, not {expiry_s}")
    change = change_of_limits((sessions_max, None if expiry_s is None else round(expiry_s * 1_000)))
    answer: Answer[SessionLimits] = follow_referral(
        ask(leader, LIMIT_SESSIONS, change, CALL_TIMEOUT)
    )
    return answer
