"""Requests: what a client may ask of a peer, as events in this process and as frames between nodes.

request   [operation, peer name, payload, session, sequence]
answer    bytes: the encoded answer; or a list of addresses: the peer has stopped, and the request
          can be sent to these members
"""

from dataclasses import dataclass
from itertools import count
from reprlib import repr as shortened
from typing import Any, Protocol

from raft_actors import encoding
from raft_actors.core.configuration import Configuration, is_address
from raft_actors.core.entry import RequestId
from raft_actors.core.messages import (
    CONSISTENCIES,
    LINEARIZABLE,
    STALE,
    Configure,
    Propose,
    Query,
    Reseed,
    Transfer,
)
from raft_actors.encoding import MARKED_HEAD, SMALL, may_have_many_keys, unknown_here
from raft_actors.machine.duties import ACKED, FIRED
from raft_actors.machine.sessions import LIMITS, change_of_limits
from raft_actors.replica.questions import EndCalls, ParkedCall, numbers_of, question_of
from raft_actors.timeouts import optional_seconds

__all__ = [
    "ASKS",
    "AUDITED",
    "CONFIGURE",
    "LIMIT_SESSIONS",
    "PARK",
    "PARK_BYTES_MAX",
    "PART",
    "READ",
    "READ_AS",
    "RESEED",
    "SNAPSHOT",
    "STOP",
    "TRANSFER",
    "UNPARK",
    "WRITE",
    "Ask",
    "TakeSnapshot",
    "Ticket",
    "answer_all",
    "configuration_view",
    "encoded",
    "event_of",
    "next_request",
    "read_request",
]

OPERATIONS = ("write", "read", "configure", "status", "leader", "get_entry", "stop", "transfer",
              "read_as", "snapshot", "snapshot_part", "park", "unpark", "reseed",
              "limit_sessions")  # fmt: skip
(WRITE, READ, CONFIGURE, STATUS, LEADER, ENTRY, STOP, TRANSFER, READ_AS, SNAPSHOT, PART, PARK,
 UNPARK, RESEED, LIMIT_SESSIONS) = range(15)  # fmt: skip
"""READ is a linearizable read; its payload is the query. The payload of READ_AS has the query and
the consistency of the read. The payload of PARK is a question (replica/questions.py): the answer
comes when there is news. UNPARK takes back calls of this kind; its payload has their sequence
numbers, and it gets no answer. The payload of LIMIT_SESSIONS has the limits to set."""

PARK_BYTES_MAX = 4_096
"""The longest payload of PARK and UNPARK. A parked call is kept in memory for long."""

AUDITED = {CONFIGURE, STOP, TRANSFER, SNAPSHOT, PART, RESEED, LIMIT_SESSIONS}
"""The operations that are written to the audit log."""

ASKS: dict[int, tuple[str, tuple[type, ...]]] = {
    STATUS: ("status", ()),
    LEADER: ("leader", ()),
    ENTRY: ("get_entry", (int,)),
    PART: ("snapshot_part", (int, int)),
}
"""Operations that a method of the peer answers, with the types of its arguments."""


class Ticket(Protocol):
    """Receives the answer of a request, for a client in this process or on another node."""

    def set(self, answer: Any) -> Any: ...


@dataclass(slots=True)
class Ask:
    """A question about the peer itself: the method `what` of `Inspection` answers it, at the end of
    the batch.
    """

    what: str
    arguments: tuple[Any, ...]
    ticket: Ticket


@dataclass(slots=True)
class TakeSnapshot:
    """A client's request to take a snapshot now. `ticket` gets ("ok", index) once it is saved."""

    ticket: Ticket


SEQUENCE = count(1)
NUMBER_MAX = (1 << 64) - 1


def next_request() -> RequestId:
    """Return a request id without a session, for a command that is sent only once."""
    return 0, next(SEQUENCE)


def event_of(
    operation: int,
    payload: bytes,
    request: RequestId,
    ticket: Ticket,
    source: str = "",
    network: str = "",
) -> Any:
    """Return the event of a request, for the peer. Raises ValueError for a malformed request.

    source   the node that asks, for parked calls: they are taken out when this node is gone
    network  of a guest, whose parked calls are counted by it

    Every request that could make a peer fail is refused here: a client's mistake must not end a
    peer.
    """
    if type(payload) is not bytes:
        raise ValueError("a request without a payload")
    if operation == WRITE:
        session, sequence = request
        if (
            type(session) is not int
            or type(sequence) is not int
            or not 0 <= session <= NUMBER_MAX >= sequence >= 0
        ):
            raise ValueError("a request id must be two numbers of 64 bits")
        if session in (FIRED, ACKED, LIMITS):
            raise ValueError("only the leader itself gives such a request id")
        if payload[:1] == MARKED_HEAD or len(payload) > SMALL:
            check_command(payload)
        return Propose(payload, ticket, request)
    if operation == READ:
        return Query(payload, ticket)
    if operation in (PARK, UNPARK):
        if len(payload) > PARK_BYTES_MAX:
            raise ValueError(f"a question of {len(payload)} bytes: {PARK_BYTES_MAX} may be parked")
        if operation == UNPARK:
            return EndCalls(source, numbers_of(encoding.loads(payload)))
        (number,) = numbers_of(request[1:])
        return ParkedCall(
            question_of(encoding.loads(payload)),
            ticket,
            source,
            number,
            len(payload),
            network=network,
        )
    arguments = encoding.loads(payload)
    if operation == READ_AS and is_way_to_read(arguments):
        query, consistency, staleness_s, after = arguments
        return Query(query, ticket, consistency, staleness_s, after)
    if operation == CONFIGURE and is_change(arguments):
        members, learners, expected, dry_run, *more = arguments
        return Configure(members, ticket, learners, expected, dry_run, *more)
    if operation == TRANSFER and (arguments is None or is_address(arguments)):
        return Transfer(arguments, ticket)
    if operation == SNAPSHOT and arguments == ():
        return TakeSnapshot(ticket)
    if operation == RESEED and arguments == ():
        return Reseed(ticket)
    if operation == LIMIT_SESSIONS:
        change_of_limits(arguments)
        (number,) = numbers_of(request[1:])
        return Propose(payload, ticket, (LIMITS, number))
    if operation in ASKS and type(arguments) is tuple:
        name, kinds = ASKS[operation]
        if tuple(map(type, arguments)) == kinds:
            return Ask(name, arguments, ticket)
    raise ValueError(
        f"this version has no operation {shortened(operation)} with {shortened(arguments)}"
    )


def check_command(payload: bytes) -> None:
    """Raise ValueError for a command that replicas could not apply, or not in a short time."""
    unknown = unknown_here(payload)
    if unknown:
        raise ValueError(
            f"a command with {', '.join(unknown)}, which the program of this peer does not know: "
            "update this program first, then send such commands"
        )
    if may_have_many_keys(payload):
        encoding.loads(payload)  # checks the hashes of keys: later readers of the log do not


def answer_all(events: list[Any], answer: Any) -> None:
    """Give `answer` to the ticket of each of these events that has one."""
    for event in events:
        ticket = getattr(event, "ticket", None)
        if ticket is not None:
            ticket.set(answer)


def read_request(
    query: bytes,
    consistency: str = LINEARIZABLE,
    max_staleness_s: float | None = None,
    after: int = 0,
) -> tuple[int, bytes]:
    """Return operation and payload of a read. Raises ValueError for arguments that are invalid or
    can't be combined.
    """
    if consistency not in CONSISTENCIES:
        raise ValueError(f"consistency is one of {', '.join(CONSISTENCIES)}, not {consistency!r}")
    if consistency != STALE and max_staleness_s is not None:
        raise ValueError(
            f"a {consistency} read is never stale: max_staleness_s is for stale reads only"
        )
    if (optional_seconds(max_staleness_s, "max_staleness_s") or 0) < 0:
        raise ValueError(
            f"max_staleness_s must be a number of seconds from 0 on, not {max_staleness_s!r}"
        )
    if type(after) is not int or not 0 <= after <= NUMBER_MAX:
        raise ValueError(f"after must be the token of a handle, not {after!r}")
    if consistency == LINEARIZABLE:
        return READ, query
    staleness_s = None if max_staleness_s is None else float(max_staleness_s)
    return READ_AS, encoding.dumps((query, consistency, staleness_s, after))


def is_way_to_read(value: Any) -> bool:
    """Return whether this is (query, consistency, staleness_s, after); see `Query`."""
    match value:
        case (bytes(), str() as consistency, None | float() as staleness_s, int() as after):
            return (
                consistency in CONSISTENCIES
                and (staleness_s is None or staleness_s >= 0)
                and 0 <= after < 1 << 64
            )
    return False


def is_change(value: Any) -> bool:
    """Return whether this is (members, learners, expected, dry_run, witnesses); see `Configure`.
    The last one may be left out.
    """
    match value:
        case (tuple() as members, tuple() as learners, None | int(), bool(), *more):
            witnesses = more[0] if more else ()
            return (
                len(more) < 2
                and type(witnesses) is tuple
                and all(map(is_address, (*members, *learners, *witnesses)))
            )
    return False


def encoded(answer: Any) -> bytes:
    match answer:
        case ("ok", Configuration() as configuration):
            answer = ("ok", configuration_view(configuration))
    return encoding.dumps(answer)


def configuration_view(configuration: Configuration) -> dict[str, Any]:
    """Return a configuration as clients see it: learners, witnesses and old members only if there
    are any.
    """
    state = "none"
    if configuration.members:
        state = "transitional" if configuration.old else "stable"
    view: dict[str, Any] = {"state": state, "members": list(configuration.members)}
    if configuration.learners:
        view["learners"] = list(configuration.learners)
    if configuration.witnesses:
        view["witnesses"] = list(configuration.witnesses)
    if configuration.old:
        view["old_members"] = list(configuration.old)
    return {**view, "index": configuration.index}
