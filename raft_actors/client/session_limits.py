"""Session limits: how many sessions a group keeps, and how long, set in its log."""

from math import isfinite

from raft_actors.client.answers import Answer
from raft_actors.client.rpc import CALL_TIMEOUT, PeerRef, ask, follow_referral
from raft_actors.client.views import SessionLimits
from raft_actors.machine.sessions import change_of_limits
from raft_actors.replica.requests import LIMIT_SESSIONS
from raft_actors.timeouts import optional_seconds

__all__ = ["limit_sessions"]


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
