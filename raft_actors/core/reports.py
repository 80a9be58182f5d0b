"""Reports: what a person is told where a peer finds no group, or no leader."""

from collections.abc import Mapping

from raft_actors.core.configuration import named
from raft_actors.core.effects import Trouble
from raft_actors.core.state import State
from raft_actors.names import Address

__all__ = ["report_leaderless", "report_no_group", "report_silent"]

TOLD_AGAIN_S = 60.0
"""How often at the least; at first each time after as long again."""


def report_silent(state: State, silent: list[Address]) -> None:
    """Name those that have not answered a founder: they don't run, or are called otherwise."""
    if silent:
        state.troubles.pop("silent", None)  # of an earlier attempt
        state.report(Trouble("silent", silent[0], named(silent)))


def report_no_group(state: State) -> None:
    """Have a person told who asks a peer of no group for what only a group can do."""
    if not state.voters.members:
        state.report(Trouble("no_group", state.peer))


def report_leaderless(state: State, heard: Mapping[Address, int] | None = None) -> None:
    """Have a person told, now and then, that there has been no leader for long, and who of
    the members is not among those that were `heard`, or has another data directory. A learner
    asks nobody.
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
        return  # those say why
    detail = f"for {since:.0f} s"
    if silent:
        detail += f": no answer from {named(silent)}"
    for member in asked:
        if member in heard and not state.voters.counts(member, heard[member]):
            detail += (
                f"; {named([member])} answers, and has no vote: the group does not know the "
                "data directory it has"
            )
    state.troubles.pop(what, None)  # it is told again
    state.report(Trouble(what, silent[0] if silent else state.peer, detail))
