"""Joining and leaving a running group, also while leaders change and calls fail.

Both read the present state, do the next step, and read the state again. So they may be called again
at any time, from any node, and several calls at the same time wait for each other.
"""

import time
from collections.abc import Iterable
from typing import Any

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
    several,
    status_of,
    stop,
)
from raft_actors.config import Config
from raft_actors.core.replies import ELECTION_IN_PROGRESS, NO_PEER, TIMEOUT
from raft_actors.machine.contract import Machine
from raft_actors.names import Address, check_peer_name
from raft_actors.peer.peers import peers_here

__all__ = ["join", "leave"]

LOOK_AROUND_S = 0.05
TRANSIENT = {"change_in_progress", "election_in_progress", "timeout", "outcome_unknown", "no_node",
             "no_peer", "no_such_member", "restarting", "transfer_in_progress"}  # fmt: skip
"""Errors after which the state is read again: they pass, or the state shows what to do."""
TRANSIENT_WITH = {"redirect", "configuration_changed", "newcomers_too_slow"}
"""The same for errors that are a pair: the reason and a detail."""


def join(
    machine: type[Machine],
    name: str,
    via: PeerRef | Iterable[PeerRef],
    part: str,
    config: Config,
    timeout: float,
) -> Any:
    """Make a peer of this node a member with this part; see `Raft.join`."""
    asked = several(via)
    if not asked:
        raise ValueError("via names whom to ask for the group: one member at least")
    deadline = time.monotonic() + timeout
    search = LeaderSearch(asked)
    if text := not_here(search.named):
        return ("error", ("no_peer", text))
    check_peer_name(name)
    match peers_here().start(machine, name, config):
        case ("ok", _) | ("error", ("already_started", _) | "restarting"):
            pass
        case answer:
            return answer
    trouble: Any = TIMEOUT
    while (remaining := deadline - time.monotonic()) > 0:
        leader, why = search.leader(deadline)
        mine = status_of(name, min(CALL_TIMEOUT, remaining))
        if leader is None:
            trouble = why
        elif mine[0] != "ok":
            trouble = mine
        else:
            answer = step_in(leader, mine[1], part, remaining)
            if answer is not None and not is_transient(answer):
                return answer
            trouble = answer or TIMEOUT
        time.sleep(LOOK_AROUND_S)
    return trouble


def not_here(named: list[Address]) -> str:
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
        f"{peers} on {here.node.name}, this node, would know the group, and no such peer runs "
        "here: start it first; or, for a member elsewhere, write its address: "
        'via=("peer1", "a@host")'
    )


def step_in(leader: Any, mine: Any, part: str, timeout: float) -> Any:
    """Do the next step of joining. Return ("ok", configuration) when the peer has joined, an error,
    or None: read the state again.
    """
    address = mine["name"], mine["node"]
    at = leader["name"], leader["node"]
    if mine["group"] not in ("", leader["group"]):
        text = (
            f"the data directory of {address} is of the group {mine['group']}, and {at} leads "
            f"{leader['group']}: give the peer an empty data directory"
        )
        return ("error", ("in_another_group", text))
    now = leader["configuration"]
    has = part_in(now, address)
    incarnation = leader["incarnations"].get(address, 0)
    if has is not None and incarnation not in (0, mine["incarnation"]):
        # The configuration has this peer with an older data directory: remove the peer first.
        return waiting(remove(at, address, timeout=timeout))
    if has == part:
        done = incarnation and now["state"] == "stable"
        return ("ok", now) if done else None  # None: the leader has not recorded the directory yet
    if has is None and part != LEARNER:
        return waiting(add(at, address, LEARNER, timeout=timeout))
    if WITNESS in (has, part) and has == VOTER:
        return ("error", ("has_another_part", "it is a member with a state: Raft.leave, then join"))
    return waiting(add(at, address, part, timeout=timeout))


def waiting(answer: Any) -> Any:
    """Return None after a step that succeeded: the state is read again. Else return the error."""
    return None if answer[0] == "ok" else answer


def part_in(configuration: Any, peer: Address) -> str | None:
    if peer in configuration.get("witnesses", ()):
        return WITNESS
    if peer in configuration["members"]:
        return VOTER
    return LEARNER if peer in configuration.get("learners", ()) else None


def leave(peer: PeerRef, timeout: float) -> Any:
    """Take a peer out of its group and stop it; see `Raft.leave`."""
    address = address_of(peer)
    deadline = time.monotonic() + timeout
    search = LeaderSearch([address])
    trouble: Any = TIMEOUT
    while (remaining := deadline - time.monotonic()) > 0:
        match status_of(address, min(CALL_TIMEOUT, remaining)):
            case ("error", "no_peer"):
                return NO_PEER
            case ("ok", {"group": "", "configuration": {"members": []}}):
                return stop(address)  # of no group
        leader, why = search.leader(deadline)
        if leader is None:
            trouble = why
        else:
            answer = step_out(leader, address, remaining)
            if answer == "out":
                return stop(address)
            if answer is not None and not is_transient(answer):
                return answer
            trouble = answer or TIMEOUT
        time.sleep(LOOK_AROUND_S)
    return trouble


def step_out(leader: Any, peer: Address, timeout: float) -> Any:
    """Do the next step of leaving. Return "out" when the peer is not in the configuration, an
    error, or None: read the state again.
    """
    at = leader["name"], leader["node"]
    now = leader["configuration"]
    if part_in(now, peer) is None:
        return "out" if now["state"] == "stable" else None
    if now["members"] == [peer]:
        return ("error", ("last_member", "a group has at least one; stop the peer to end it"))
    if at == peer and len(now["members"]) > len(now.get("witnesses", ())) + 1:
        return waiting(transfer_leadership(at))
    return waiting(remove(at, peer, timeout=timeout))


def is_transient(answer: Any) -> bool:
    match answer:
        case ("error", str() as reason):
            return reason in TRANSIENT
        case ("error", (str() as reason, _)):
            return reason in TRANSIENT_WITH
    return False


class LeaderSearch:
    """Finds the leader by asking the named members, and the members that these name."""

    def __init__(self, via: Iterable[PeerRef]) -> None:
        self.named = [address_of(peer) for peer in via]
        self.known = list(self.named)

    def leader(self, deadline: float) -> tuple[Any, Any]:
        """Return (the leader's status, None), or (None, the error that says why there is none).

        If any member answers, the error is that the group has no leader. That a member does not run
        is the error only if no member answers: in an answer of `leave` it would look as if the peer
        itself did not run.
        """
        trouble: Any = ELECTION_IN_PROGRESS
        is_heard = False
        asked: set[Address] = set()
        queue = list(self.known)
        while queue and (remaining := deadline - time.monotonic()) > 0:
            peer = queue.pop(0)
            if peer in asked:
                continue
            asked.add(peer)
            match status_of(peer, min(CALL_TIMEOUT, remaining)):
                case ("ok", status):
                    members = status["configuration"]["members"]
                    if status["current_state"] == "leader":
                        self.known = [peer, *members, *self.named]
                        return status, None
                    if members:
                        trouble = ELECTION_IN_PROGRESS
                    elif not is_heard:
                        trouble = ("error", ("no_group", f"{peer} is of no group"))
                    is_heard = True
                    leader = status["leader"]
                    queue = [leader, *queue, *members] if leader else [*queue, *members]
                case answer:
                    if not is_heard:
                        trouble = answer
        return None, trouble
