"""Statuses: the status of each member of a group."""

from contextlib import suppress

from raft_actors.client.leader_finder import LeaderFinder, status_in
from raft_actors.client.views import Status, in_view
from raft_actors.errors import RaftError
from raft_actors.names import Address

__all__ = ["statuses"]

STATUS_S = 1.0
"""How long the status of one peer is waited for."""


def statuses(finder: LeaderFinder) -> dict[Address, Status | None]:
    """Return the status of each member; None for a member that does not answer."""
    found: dict[Address, Status | None] = {}
    while new := [member for member in finder.members if member not in found]:
        # A status has the configuration, so `finder.members` may have grown after this line.
        found |= {member: status_of(finder, member) for member in new}
    return {member: found[member] for member in finder.members}


def status_of(finder: LeaderFinder, peer: Address) -> Status | None:
    answer = finder.ask(peer)
    with suppress(RaftError, TimeoutError):
        answer.get(STATUS_S)
    answer.abandon()
    status = status_in(answer)
    if status is None:
        return None
    finder.learn(status)
    shown: Status = in_view(status, Status)
    return shown
