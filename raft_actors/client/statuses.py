"""Statuses: asks all members of a group for their status, at the same time."""

import time
from typing import Any

from raft_actors import encoding
from raft_actors.client.leader_finder import LeaderFinder
from raft_actors.client.views import Status, in_view
from raft_actors.errors import RaftError
from raft_actors.future import Future
from raft_actors.names import Address

__all__ = ["ask_all", "statuses"]

ANSWER_S = 1.0
"""How long all the peers that are asked together have time to answer."""


Views = dict[Address, dict[str, Any]]


def statuses(finder: LeaderFinder) -> dict[Address, Status | None]:
    """Return the status of each member; None for a member that does not answer."""
    views, _silent = ask_all(finder)
    return {
        member: in_view(views[member], Status) if member in views else None
        for member in finder.members
    }


def ask_all(finder: LeaderFinder) -> tuple[Views, dict[Address, str]]:
    """Return the status of each member, and why the others gave none. Those that are known at the
    same time are asked at the same time.
    """
    views: Views = {}
    silent: dict[Address, str] = {}
    asked: set[Address] = set()
    while new := [peer for peer in finder.members if peer not in asked]:
        asked.update(new)
        answers = [(peer, finder.ask(peer)) for peer in new]
        until = time.monotonic() + ANSWER_S
        for peer, answer in answers:
            found = answer_of(answer, until)
            if isinstance(found, str):
                silent[peer] = found
            else:
                views[found["name"], found["node"]] = found
                finder.learn(found)
    known = set(finder.members)
    return views, {peer: why for peer, why in silent.items() if peer in known and peer not in views}


def answer_of(answer: Future[Any], until: float) -> dict[str, Any] | str:
    """Return the status, or why there is none."""
    try:
        found = answer.get(max(0.0, until - time.monotonic()))
    except TimeoutError:
        return f"no answer within {ANSWER_S:g} s"
    except RaftError as error:
        return str(error)
    finally:
        answer.abandon()
    match encoding.loads_stored(found) if isinstance(found, bytes) else found:
        case ("ok", dict() as status):
            return status
        case ("error", reason):
            return str(reason)
    return "no_peer"  # a referral to the other members
