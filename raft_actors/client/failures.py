"""Failures: the error for a call that got no answer in time. It says what is known, and what to
do.
"""

from raft_actors.client.call import Call
from raft_actors.client.leader_finder import LeaderFinder
from raft_actors.errors import (
    NoLeader,
    OutcomeUnknown,
    Overloaded,
    RaftError,
    TooStale,
    Unavailable,
)
from raft_actors.machine.sessions import NEW
from raft_actors.replica.requests import WRITE

__all__ = ["no_session", "unanswered"]


def no_session() -> Unavailable:
    """Return the error of a call whose deadline came before a session was open."""
    return Unavailable("no session could be opened in time; nothing happened: try again")


def unanswered(call: Call, finder: LeaderFinder) -> RaftError:
    """Return the error of a call that has no reply at its deadline."""
    members = list(finder.members)
    why = f"the last answer was {call.reason!r} by {call.target}"
    if call.why:
        why += f": {call.why}"
    if call.target is None and finder.why:
        why = finder.why
    if (
        call.operation == WRITE
        and call.request[0] != NEW
        and (call.may_have_happened or not call.payload)
    ):
        if call.session is not None:
            call.session.in_doubt = True
        return OutcomeUnknown(
            f"this command may have happened, or may still ({why}): settle it with "
            f"cluster.outcome({call.request})",
            call.request,
        )
    match call.reason:
        case "overloaded":
            return Overloaded(f"{call.target} has too many requests; try again later ({why})")
        case "too_stale":
            return TooStale(
                "no peer could prove in time that its state is fresh enough: allow a larger "
                f"max_staleness_s ({why})"
            )
        case ("redirect", (_, _)) if call.read_targets is not None:
            return Unavailable(
                f"{call.target} answers no reads, because it is a witness and keeps no state: "
                f"leave out `at`, or name another member ({why})"
            )
        case "election_in_progress" | ("redirect", _):
            return NoLeader(
                f"no leader was found in time; nothing happened: check that a majority of "
                f"{members} runs, and try again ({why})"
            )
    if call.read_targets is not None:
        return Unavailable(
            f"no peer that was asked answered in time: check that it runs, or leave out `at`, "
            f"because any of {members} may answer ({why})"
        )
    return Unavailable(
        f"no leader answered in time; nothing happened: check that a majority of {members} runs, "
        f"and try again ({why})"
    )
