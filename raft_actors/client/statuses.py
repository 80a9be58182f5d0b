"""Statuses: the status of each member of a group, and the members that are behind."""

import time
from contextlib import suppress

from raft_actors.client.leader_finder import LeaderFinder, status_in
from raft_actors.client.retrying_client import RetryingClient
from raft_actors.client.rpc import PeerRef, address_of
from raft_actors.client.views import Status, in_view
from raft_actors.core.configuration import named
from raft_actors.errors import RaftError, Unavailable
from raft_actors.names import Address

__all__ = ["PAUSE_S", "await_applied", "behind", "not_applied", "statuses", "wanted_applied"]

STATUS_S = 1.0
"""How long the status of one peer is waited for."""
PAUSE_S = 0.02
"""The pause before the statuses are asked for again."""


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
    return in_view(status, Status)


def await_applied(
    client: RetryingClient, index: int, at: PeerRef | None, timeout: float | None
) -> None:
    deadline, wanted = wanted_applied(client, index, at, timeout)
    while slow := behind(client.finder, index, wanted):
        if time.monotonic() >= deadline:
            raise not_applied(index, slow)
        time.sleep(PAUSE_S)


def wanted_applied(
    client: RetryingClient, index: int, at: PeerRef | None, timeout: float | None
) -> tuple[float, Address | None]:
    """Return the deadline of `await_applied`, and the peer that it asks; None for every member."""
    if type(index) is not int:
        raise TypeError(f"the index of an entry is a whole number, not {index!r}")
    return client.deadline(timeout), None if at is None else address_of(at)


def behind(finder: LeaderFinder, index: int, at: Address | None) -> dict[Address, Status | None]:
    """Return the peers that have not applied `index`, with their status; None for no answer.

    at  the peer to ask; None for every member
    """
    asked = statuses(finder) if at is None else {at: status_of(finder, at)}
    return {
        peer: status
        for peer, status in asked.items()
        if status is None or status["last_applied"] < index
    }


def not_applied(index: int, slow: dict[Address, Status | None]) -> Unavailable:
    unanswered = [peer for peer, status in slow.items() if status is None]
    why = f" ({named(unanswered)} did not answer)" if unanswered else ""
    return Unavailable(f"{[*slow]} have not applied entry {index} in time{why}; wait again")
