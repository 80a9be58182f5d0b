"""Reports: what a peer reports to its operator if it finds no group, or no leader."""

from collections.abc import Mapping

from raft_actors.core.configuration import named
from raft_actors.core.effects import Trouble
from raft_actors.core.state import State
from raft_actors.names import Address

__all__ = ["report_leaderless", "report_no_group", "report_silent"]

TOLD_AGAIN_S = 60.0
"""Longest time between two reports. At first each report comes after twice the time of the one
before."""


def report_silent(state: State, silent: list[Address]) -> None:
    """Report the peers that have not answered a founder: they don't run, or have other names."""
    if silent:
        state.troubles.pop("silent", None)  # the report of an earlier attempt
        state.report(Trouble("silent", silent[0], named(silent)))


def report_no_group(state: State) -> None:
    """Report that this peer belongs to no group, and got a request that needs a group."""
    if not state.voters.members:
        state.report(Trouble("no_group", state.peer))


def report_leaderless(state: State, heard: Mapping[Address, int] | None = None) -> None:
    """Report from time to time that there has been no leader for long, and which members have not
    answered in this campaign or have another data directory.

    heard  the peers that have answered, and their incarnations; None for a peer that has asked
           nobody, like a learner
    """
    if state.now < state.tell_at:
        return
    since = state.now - state.leaderless_at
    state.tell_at = state.now + min(since, TOLD_AGAIN_S)
    asked = [] if heard is None else state.others()
    heard = heard or {}
    silent = [member for member in asked if member not in heard]
    what = "not_formed" if state.founding else "no_leader"
    if state.founding and state.troubles.keys() - {"not_formed", "no_group"}:
        return  # these problems are the reason, and are reported already
    detail = f"for {since:.0f} s"
    if silent:
        detail += f": no answer from {named(silent)}"
    for member in asked:
        if member in heard and not state.voters.counts(member, heard[member]):
            detail += (
                f"; {named([member])} answers, and has no vote: the group does not know the "
                "data directory it has"
            )
    state.troubles.pop(what, None)  # so that it is reported again
    state.report(Trouble(what, silent[0] if silent else state.peer, detail))
