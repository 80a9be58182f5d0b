"""RPC: one request to one peer; and for a stopped peer, the search for the leader of its group."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pykka

from raft_actors import encoding
from raft_actors.client.answers import Answer, Done
from raft_actors.client.leader_finder import find_leader, router_here
from raft_actors.client.views import Status, viewed
from raft_actors.core.replies import (
    ELECTION_IN_PROGRESS,
    NO_NODE,
    NO_PEER,
    TIMEOUT,
    redirect,
)
from raft_actors.errors import FrameTooLarge, NoConnection, NoProcess
from raft_actors.machine.sessions import REPLY, reply_in
from raft_actors.names import Address, check_node_name, check_peer_name
from raft_actors.node.remote_ref import RemoteRef
from raft_actors.peer.peers import peers_here
from raft_actors.replica.requests import LEADER, STATUS, STOP, next_request
from raft_actors.timeouts import seconds
from supervision import ProcessRef

__all__ = [
    "CALL_TIMEOUT",
    "PeerRef",
    "Referral",
    "address_of",
    "addresses_of",
    "ask",
    "follow_referral",
    "leader_of",
    "request",
    "status_of",
    "stop",
]

CALL_TIMEOUT = 5.0
"""The timeout of calls that have none of their own, in seconds."""
PeerRef = str | Address | pykka.ActorRef[Any] | pykka.ActorProxy[Any]


@dataclass(frozen=True, slots=True)
class Referral:
    """The answer for a peer that has stopped: `others` are the other members of its group."""

    stopped: Address
    others: list[Address]


def address_of(peer: PeerRef) -> Address:
    """Return the address of a peer that is given in one of the allowed ways.

    Raises BadName or TypeError.
    """
    if isinstance(peer, str):
        return check_peer_name(peer), peers_here().node.name
    if isinstance(peer, pykka.ActorProxy):
        peer = peer.actor_ref
    if isinstance(peer, RemoteRef):
        return peer.address
    if isinstance(peer, ProcessRef) and isinstance(peer.name, str):
        return peer.name, peers_here().node.name
    if isinstance(peer, tuple) and len(peer) == 2:
        return check_peer_name(peer[0]), check_node_name(peer[1])
    raise TypeError(
        f"a peer is its name, its address (name, node), its ActorRef or a proxy, not {peer!r}"
    )


def addresses_of(peers: PeerRef | Iterable[PeerRef]) -> tuple[Address, ...]:
    """Return the addresses of several peers, in any iterable, or of a single peer."""
    if isinstance(peers, str) or is_address(peers) or not isinstance(peers, Iterable):
        return (address_of(peers),)  # type: ignore[arg-type]
    return tuple(address_of(peer) for peer in peers)  # type: ignore[union-attr]


def is_address(value: Any) -> bool:
    return isinstance(value, tuple) and tuple(map(type, value)) == (str, str)


def ask(peer: PeerRef, operation: int, arguments: Any, timeout: float) -> Any:
    """Make a request with `arguments`. It must be safe to make it a second time."""
    return request(peer, operation, encoding.dumps(arguments), timeout, NO_NODE)


def request(peer: PeerRef, operation: int, payload: bytes, timeout: float, if_lost: Any) -> Any:
    """Make a request and return the answer. The answer to the query REPLY is ("ok", index). If the
    peer has stopped, and other members of its group are known, it is a Referral.

    if_lost  what to return if the connection breaks after the request was sent
    """
    seconds(timeout)
    router = router_here()
    limit = router.node.config.command_bytes_max
    if len(payload) > limit:
        raise ValueError(
            f"{len(payload)} bytes are more than Config.command_bytes_max ({limit}); "
            "split it, or raise the bound on every node"
        )
    name, node = address_of(peer)
    body = [operation, name, payload, *next_request()]
    try:
        future = router.request((name, node), body)
        try:
            answer = future.get(timeout)
        finally:
            future.abandon()
    except TimeoutError:
        return TIMEOUT
    except NoConnection as error:
        return if_lost if error.was_sent else NO_NODE
    except NoProcess:  # no peer has been started on this node yet
        return NO_PEER
    except FrameTooLarge:  # the peer's node accepts only smaller frames than this node
        return ("error", "command_too_large")
    if isinstance(answer, bytes):
        return (
            ("ok", reply_in(answer)[0])
            if answer.startswith(REPLY)
            else encoding.loads_stored(answer)
        )
    return Referral((name, node), [(other, other_node) for other, other_node in answer])


def follow_referral(answer: Any, timeout: float = CALL_TIMEOUT) -> Any:
    """For a Referral, find the leader of the group and return a redirect to it. Return any other
    answer as it is.
    """
    if not isinstance(answer, Referral):
        return answer
    leader = find_leader(answer.others, time.monotonic() + timeout, other_than=answer.stopped)
    return redirect(leader) if leader else ELECTION_IN_PROGRESS


def status_of(peer: PeerRef, timeout: float = CALL_TIMEOUT) -> Answer[Status]:
    answer: Answer[Status] = viewed(ask(peer, STATUS, (), timeout), Status)
    return answer


def leader_of(peer: PeerRef) -> Address | None:
    """Return the leader that `peer` knows; for a stopped peer, the present leader of its group."""
    answer = ask(peer, LEADER, (), CALL_TIMEOUT)
    if isinstance(answer, Referral):
        answer = follow_referral(answer)
        return answer[1][1] if answer != ELECTION_IN_PROGRESS else None
    return None if answer is None or answer[0] == "error" else answer


def stop(peer: PeerRef) -> Done:
    answer: Done = ask(peer, STOP, (), CALL_TIMEOUT)
    return answer
