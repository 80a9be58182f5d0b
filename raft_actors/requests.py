"""Requests: what a client may ask a peer, as events here and as frames between nodes.

request   [operation, peer name, payload, session, sequence]
answer    bytes: the encoded answer; or a list of addresses: the peer has stopped, ask those
"""

from dataclasses import dataclass
from itertools import count
from secrets import randbits
from typing import Any, Protocol

from raft_actors import terms
from raft_actors.core.entry import RequestId
from raft_actors.core.messages import Configure, Propose, Query, Transfer

__all__ = ["ASKS", "CONFIGURE", "READ", "STOP", "TRANSFER", "WRITE", "Ask", "Ticket", "event_of",
           "next_request"]  # fmt: skip

WRITE, READ, CONFIGURE, STATUS, LEADER, ENTRY, STOP, TRANSFER = range(8)
ASKS = {STATUS: "status", LEADER: "leader", ENTRY: "get_entry"}
"""Operations that a method of the peer answers."""


class Ticket(Protocol):
    """Who waits for an answer, here or on another node."""

    def set(self, answer: Any) -> Any: ...


@dataclass(slots=True)
class Ask:
    """A question about the peer itself: call the method `what` after the batch."""

    what: str
    arguments: tuple[Any, ...]
    ticket: Ticket


SESSION = randbits(64)
SEQUENCE = count(1)


def next_request() -> RequestId:
    """A request id of this process, for one command."""
    return SESSION, next(SEQUENCE)


def event_of(operation: int, payload: bytes, request: RequestId, ticket: Ticket) -> Any:
    """Return what to tell the peer. Raises ValueError for a request that makes no sense."""
    if operation == WRITE:
        return Propose(payload, ticket, request)
    if operation == READ:
        return Query(payload, ticket)
    arguments = terms.loads(payload)
    if operation == CONFIGURE:
        return Configure(arguments, ticket)
    if operation == TRANSFER:
        return Transfer(arguments, ticket)
    if operation in ASKS:
        return Ask(ASKS[operation], arguments, ticket)
    raise ValueError(f"no operation {operation} in this version")
