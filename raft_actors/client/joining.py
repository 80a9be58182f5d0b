"""Joining and leaving a running group, also while leaders change and calls fail.

Both read the present state, do the next step, and read the state again. So they may be called again
at any time, from any node, and several calls at the same time wait for each other.
"""

import time
from collections.abc import Iterable
from random import uniform
from typing import Literal, TypeVar

from raft_actors.client.answers import Answer, Done, Failure, Started
from raft_actors.client.leader_finder import LeaderFinder, PlainSeeker, router_here
from raft_actors.client.membership import (
    LEARNER,
    VOTER,
    WITNESS,
    add,
    remove,
    transfer_leadership,
)
from raft_actors.client.rpc import (
    CALL_TIMEOUT,
    PeerRef,
    address_of,
    addresses_of,
    status_of,
    stop,
)
from raft_actors.client.views import ConfigurationView, Status
from raft_actors.config import Config
from raft_actors.core.replies import ELECTION_IN_PROGRESS, NO_PEER, TIMEOUT
from raft_actors.machine.contract import Machine, Replicable
from raft_actors.names import Address, check_peer_name
from raft_actors.peer.peers import peers_here

__all__ = ["join", "leave"]

T = TypeVar("T")

PAUSE_S = 0.05
TURN_S = 2.0
"""How long a peer that leaves leads at most, before it hands over for the second time."""
SEARCH_S = 0.5
"""How long the leader is searched before the peer's own status is read again."""
TRANSIENT = {"change_in_progress", "election_in_progress", "timeout", "outcome_unknown", "no_node",
             "no_peer", "no_such_member", "restarting", "transfer_in_progress"}  # fmt: skip
"""Errors after which the state is read again: they pass, or the state shows what to do."""
TRANSIENT_WITH = {"redirect", "configuration_changed", "newcomers_too_slow"}
"""The same for errors that are a pair: the reason and a detail."""


def join(
    machine: type[Machine | Replicable],
    name: str,
    via: PeerRef | Iterable[PeerRef],
    part: str,
    config: Config,
    timeout: float,
) -> Started[ConfigurationView]:
    """Make a peer of this node a member with this part; see `Raft.join`."""
    members = addresses_of(via)
    if not members:
        raise ValueError("via must name at least one member of the group")
    deadline = time.monotonic() + timeout
    if text := not_here(members):
        return ("error", ("no_peer", text))
    check_peer_name(name)
    is_started_here = False
    match peers_here().start(machine, name, config):
        case ("ok", _):
            is_started_here = True
        case ("error", ("already_started", _) | "restarting"):
            pass
        case failed:
            refused: Started[ConfigurationView] = failed
            return refused
    finder, seeker = LeaderFinder(router_here, members), PlainSeeker(deadline)
    error: Failure = TIMEOUT
    while (remaining := deadline - time.monotonic()) > 0:
        leader = leader_status(finder, seeker, deadline)
        own = status_of(name, min(CALL_TIMEOUT, remaining))
        if leader[0] != "ok":
            error = leader
        elif own[0] != "ok":
            error = own
        else:
            answer = step_in(leader[1], own[1], part, remaining)
            if answer is not None and (answer[0] == "ok" or not is_transient(answer)):
                if answer[0] != "ok" and is_started_here and not is_in(leader[1], name):
                    stop(name)  # nothing of a join that is refused remains
                return answer
            error = answer or TIMEOUT
        time.sleep(PAUSE_S)
    return error


def is_in(leader: Status, name: str) -> bool:
    """Return whether the leader's configuration has the peer of this node."""
    return part_in(leader["configuration"], (name, peers_here().node.name)) is not None


def not_here(named: tuple[Address, ...]) -> str:
    """Return the text of an error if all named members would be on this node, and none of them runs
    or is being started. Else return "".

    A name without a node means a peer of this node; it is easily written where a member on another
    node is meant.
    """
    here = peers_here()
    if any(node != here.node.name or here.is_expected(peer) for peer, node in named):
        return ""
    peers = " and ".join(peer for peer, _node in named)
    return (
        f"{peers} on {here.node.name}, which is this node, should be in the group, but no such "
        "peer runs here: start it first; or give the address of a member on another node: "
        'via=("peer1", "a@host")'
    )


def step_in(
    leader: Status, own: Status, part: str, timeout: float
) -> Answer[ConfigurationView] | None:
    """Do the next step of joining. Return ("ok", configuration) when the peer has joined, an error,
    or None: read the state again.

    leader, own  the status of the leader, and of the peer that joins
    """
    address = own["name"], own["node"]
    at = leader["name"], leader["node"]
    if own["group"] not in ("", leader["group"]):
        text = (
            f"the data directory of {address} belongs to the group {own['group']}, and {at} leads "
            f"{leader['group']}: give the peer an empty data directory"
        )
        return ("error", ("in_another_group", text))
    now = leader["configuration"]
    has = part_in(now, address)
    incarnation = leader["incarnations"].get(address, 0)
    if has is not None and incarnation not in (0, own["incarnation"]):
        # The configuration has this peer with an older data directory: remove the peer first.
        return waiting(remove(at, address, timeout=timeout))
    if has == part:
        done = incarnation and now["state"] == "stable"
        return ("ok", now) if done else None  # None: the leader has not recorded the directory yet
    if has is None and part != LEARNER:
        return waiting(add(at, address, LEARNER, timeout=timeout))
    if WITNESS in (has, part) and has == VOTER:
        text = "the peer is a member with a state: call Raft.leave, and then Raft.join"
        return ("error", ("has_another_part", text))
    return waiting(add(at, address, part, timeout=timeout))


def waiting(answer: Answer[T]) -> Failure | None:
    """Return None after a step that succeeded: the state is read again. Else return the error."""
    return None if answer[0] == "ok" else answer


def part_in(configuration: ConfigurationView, peer: Address) -> str | None:
    if peer in configuration.get("witnesses", ()):
        return WITNESS
    if peer in configuration["members"]:
        return VOTER
    return LEARNER if peer in configuration.get("learners", ()) else None


def leave(peer: PeerRef, timeout: float) -> Done:
    """Take a peer out of its group and stop it; see `Raft.leave`."""
    address = address_of(peer)
    deadline = time.monotonic() + timeout
    finder, seeker = LeaderFinder(router_here, (address,)), PlainSeeker(deadline)
    error: Failure = TIMEOUT
    has_handed_over = False
    while (remaining := deadline - time.monotonic()) > 0:
        match status_of(address, min(CALL_TIMEOUT, remaining)):
            case ("error", "no_peer"):
                return NO_PEER
            case ("ok", {"group": "", "configuration": {"members": []}}):
                return stop(address)  # of no group
        leader = leader_status(finder, seeker, deadline)
        leads = leader[0] == "ok" and (leader[1]["name"], leader[1]["node"]) == address
        if leader[0] != "ok":
            error = leader
        elif leads and has_handed_over:
            # Another member leaves, too, and has handed the leadership back. It is removed while
            # this peer leads for some time.
            has_handed_over = False
            time.sleep(min(uniform(0, TURN_S), remaining))  # noqa: S311 - no secret
        else:
            has_handed_over = leads
            answer = step_out(leader[1], address, remaining)
            if answer == "out":
                return stop(address)
            if answer is not None and not is_transient(answer):
                return answer
            error = answer or TIMEOUT
        time.sleep(PAUSE_S)
    return error


def step_out(leader: Status, peer: Address, timeout: float) -> Failure | Literal["out"] | None:
    """Do the next step of leaving. Return "out" when the peer is not in the configuration, an
    error, or None: read the state again.
    """
    at = leader["name"], leader["node"]
    now = leader["configuration"]
    if part_in(now, peer) is None:
        return "out" if now["state"] == "stable" else None
    if now["members"] == [peer]:
        text = "a group needs at least one member: stop the peer to end the group"
        return ("error", ("last_member", text))
    if at == peer and len(now["members"]) > len(now.get("witnesses", ())) + 1:
        return waiting(transfer_leadership(at))
    return waiting(remove(at, peer, timeout=timeout))


def is_transient(answer: Failure) -> bool:
    match answer:
        case ("error", str() as reason):
            return reason in TRANSIENT
        case ("error", (str() as reason, _)):
            return reason in TRANSIENT_WITH
    return False


def leader_status(finder: LeaderFinder, seeker: PlainSeeker, deadline: float) -> Answer[Status]:
    """Return ("ok", status of the leader), or the error that says why none is found."""
    seeker.deadline = min(deadline, time.monotonic() + SEARCH_S)
    leader = finder.leader or finder.find(seeker)
    if leader is None:
        return finder.error
    answer = status_of(leader, min(CALL_TIMEOUT, max(0.0, deadline - time.monotonic())))
    if answer[0] == "ok" and answer[1]["current_state"] == "leader":
        return answer
    seeker.target = leader
    finder.lost(leader)
    return ELECTION_IN_PROGRESS
