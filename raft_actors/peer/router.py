"""Router: brings messages from peer to peer, and requests to peers, on this node and others."""

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from pykka import ActorDeadError

from raft_actors import encoding
from raft_actors.audit import audit, digest_of
from raft_actors.core.messages import NO_FRAMES, AppendEntries, InstallSnapshot, Message
from raft_actors.core.replies import NOT_ALLOWED, OVERLOADED
from raft_actors.errors import FrameTooLarge, HostError, RaftError
from raft_actors.future import Future
from raft_actors.machine.command_guard import RUNNING, refuse_in_a_command
from raft_actors.names import Address
from raft_actors.node.local_node import LocalNode
from raft_actors.peer.admission import GuestShares
from raft_actors.peer.message_codec import pack, unpack
from raft_actors.peer.peer import Peer
from raft_actors.replica.questions import SourceLost
from raft_actors.replica.requests import (
    AUDITED,
    OPERATIONS,
    PARK,
    PART,
    STOP,
    UNPARK,
    Ask,
    TakeSnapshot,
    Ticket,
    answer_all,
    event_of,
)
from raft_actors.transport.incoming import Incoming
from raft_actors.wire.roles import MEMBER, RIGHTS
from supervision import ProcessRef, tell_if_alive

__all__ = ["CLIENT", "RAFT", "Router"]

logger: logging.Logger = logging.getLogger("raft_actors.peers")

RAFT, CLIENT = 16, 17
"""Kinds of frames between nodes: RAFT for messages of peers, CLIENT for requests of clients."""

FRAME_BYTES = 256 * 1024
"""How many bytes of entries share a frame: as many as the bridge joins into one send."""

UNPARKED_MAX = 400
"""So many numbers of parked calls fit into one request."""

ALLOWED = {
    role: frozenset(map(OPERATIONS.index, rights.requests)) for role, rights in RIGHTS.items()
}
"""The operations that a node may ask for, by its role."""

REFUSED = encoding.dumps(OVERLOADED)
DENIED = encoding.dumps(NOT_ALLOWED)

REPORTED_MAX = 1_000
"""How many nodes are remembered as reported, so that each problem is logged once."""

ReferralOf = Callable[[str], tuple[Any, list[list[str]]]]
"""For a peer that does not run: the answer that says why, and the other members of its group, which
may know more.
"""


class RemoteTicket:
    """The ticket of a client on another node: the answer is sent to it as a frame."""

    __slots__ = ("incoming",)

    def __init__(self, incoming: Incoming) -> None:
        self.incoming: Incoming = incoming

    def set(self, answer: Any) -> None:
        try:
            self.incoming.reply(answer)
        except FrameTooLarge as error:
            self.incoming.reply(encoding.dumps(("error", ("reply_too_large", str(error)))))


class GuestTicket(RemoteTicket):
    """The ticket of a guest, whose open requests are counted in `shares`."""

    __slots__ = ("network", "shares", "size")

    def __init__(self, incoming: Incoming, shares: GuestShares, network: str, size: int) -> None:
        super().__init__(incoming)
        self.shares: GuestShares = shares
        self.network: str = network
        self.size: int = size

    def set(self, answer: Any) -> None:
        self.shares.give(self.network, self.size)
        super().set(answer)


class Nobody:
    """The ticket of a request that gets no answer."""

    def set(self, answer: Any) -> None: ...


NOBODY = Nobody()


class Router:
    """Brings messages and requests to the peers of one node, and messages of these peers to others.

    running   the ref of each running peer, by name
    hosted    the Peer object of each ref; only this node has it, to admit requests and to deliver
              messages on the bridge's thread
    referral  see `ReferralOf`
    stop      stops a peer of this node for good, and returns the answer for the client
    parked_at  the peers of this node at which a node may have parked calls, by node
    """

    def __init__(
        self,
        node: LocalNode,
        running: Mapping[str, ProcessRef[Peer]],
        hosted: Mapping[ProcessRef[Peer], Peer],
        *,
        referral: ReferralOf,
        stop: Callable[[str], Any],
    ) -> None:
        self.node = node
        self.running = running
        self.hosted = hosted
        self.referral = referral
        self.stop = stop
        self.reported: set[str] = set()
        self.parked_at: dict[str, set[str]] = {}
        node.on_link_lost(self.on_link_lost)
        node.on_frames(RAFT, self.on_raft_frames)
        node.on_frames(CLIENT, self.on_client_frames)

    def flush(self) -> None:
        self.node.flush()

    def work_for_bridge(self, peer: Peer) -> None:
        """Do the bridge's work on this thread while no message waits for `peer`, if this is the
        only peer of the node.
        """
        alone, running = {peer.name: peer.actor_ref}, self.running
        if running == alone:  # looks whether the ref is the same object, then whether it is equal
            self.node.run_rounds_until(peer.actor_ref.actor_inbox, lambda: running != alone)

    def is_alone(self, peer: Peer) -> bool:
        return len(self.running) == 1 and self.running.get(peer.name) is peer.actor_ref

    # Between peers.

    def send(self, messages: list[Message], *, at_once: bool = False) -> None:
        """Send messages in their order: to a peer of this node as objects, to a peer of another
        node in as few frames as possible.

        A message that can't be sent is dropped, because Raft sends again what is not answered.

        at_once  flush the frames for one target before those for the next target are packed: the
                 first follower completes a majority, and so need not wait for the frames of the
                 others. False: leave them to the node's next flush
        """
        here = self.node.name
        away: dict[tuple[Address, str, int, int], list[Message]] = defaultdict(list)
        for message in messages:
            target = message.target
            if target[1] != here:
                away[
                    target, message.group, message.source_incarnation, message.target_incarnation
                ].append(message)
            elif (ref := self.running.get(target[0])) is not None:
                tell_if_alive(ref, message)
        for ((name, node), *about), batch in away.items():
            try:
                version = self.node.version_with(node)
                for part in [batch] if len(batch) == 1 else self.in_frames(batch, node):
                    packed = [one for each in part if (one := pack(each, version)) is not None]
                    if packed:
                        self.node.cast(node, RAFT, [name, part[0].source[0], *about, packed])
                if at_once:
                    self.node.flush()
            except RaftError as error:
                self.report(node, error)

    def in_frames(self, batch: list[Message], node: str) -> Iterator[list[Message]]:
        return in_frames(batch, min(FRAME_BYTES, self.node.frame_bytes_max_with(node) // 2))

    def frame_bytes_max_to(self, peer: Address) -> int:
        """Return how many bytes one frame to this peer's node holds. A peer of this node gets no
        frames: NO_FRAMES.
        """
        node = peer[1]
        return NO_FRAMES if node == self.node.name else self.node.frame_bytes_max_with(node)

    def report(self, node: str, error: RaftError) -> None:
        """Log once for each node why peers can't send to it."""
        if node not in self.reported:
            if len(self.reported) >= REPORTED_MAX:
                self.reported.clear()
            self.reported.add(node)
            logger.warning("peers here can't send to %s: %s", node, error)

    def on_raft_frames(self, frames: list[Incoming]) -> None:
        """Give each peer all messages that came for it in this poll round, as one list."""
        batches: dict[str, list[Any]] = defaultdict(list)
        for frame in frames:
            if not RIGHTS[frame.role].raft:
                self.node.denials.note(frame.node, frame.role, "send messages of Raft")
                continue
            try:
                name, source_name, group, theirs, ours, packed = frame.body
                source, target = (source_name, frame.node), (name, self.node.name)
                batches[name] += [
                    unpack(each, source, target, group, (theirs, ours)) for each in packed
                ]
            except (ValueError, TypeError) as error:
                self.node.denials.note_nonsense(frame.node, f"sent a bad peer message: {error}")
        for name, batch in batches.items():
            ref = self.running.get(name)
            if ref is not None and (peer := self.hosted.get(ref)) is not None:
                self.deliver(peer, batch)

    def deliver(self, peer: Peer, message: Any) -> None:
        """Let `peer` handle `message`: on this thread, which is the bridge's, if the peer's own
        thread waits; else on the peer's own thread.
        """
        if not peer.handle_inline(message):
            tell_if_alive(peer.actor_ref, message)

    def deliver_soon(self, peer: Peer, message: Any) -> None:
        """As `deliver`, but called on any thread. A peer that is alone on its node does the
        bridge's work itself, so it gets the message directly.
        """
        if self.is_alone(peer) or not self.node.post(partial(self.deliver, peer, message)):
            tell_if_alive(peer.actor_ref, message)

    # Clients.

    def request(self, address: Address, body: list[Any], *, flush: bool = True) -> Future[Any]:
        """Bring a request to the peer at `address`, on this node or another one. For `body` see
        `replica/requests.py`.

        flush  False: the caller flushes the node soon
        """
        if RUNNING.machine is not None:
            refuse_in_a_command(RUNNING.machine)
        name, node = address
        if self.node.forked:
            self.node.check_process()
        operation, _name, payload, session, sequence = body
        if node != self.node.name:
            answer = self.node.call(node, CLIENT, body, long=operation == PARK)
            if flush:
                self.node.flush_call()
            return answer
        future: Future[Any] = Future()
        if operation in AUDITED:
            note_request(operation, address, payload, node, MEMBER)
        if operation == STOP:
            future.set(encoding.dumps(self.stop(name)))
            return future
        self.submit(name, [event_of(operation, payload, (session, sequence), future, node)])
        return future

    def unpark(self, address: Address, numbers: list[int]) -> None:
        """Take back parked calls at the peer at `address`, by their sequence numbers. Does not
        flush. If this is lost, the calls end by themselves after a minute.
        """
        name, node = address
        for first in range(0, len(numbers), UNPARKED_MAX):
            payload = encoding.dumps(tuple(numbers[first : first + UNPARKED_MAX]))
            if node == self.node.name:
                self.submit(name, [event_of(UNPARK, payload, (0, 0), NOBODY, node)])
            else:
                with suppress(RaftError):  # the link is gone, and with it the calls
                    self.node.cast(node, CLIENT, [UNPARK, name, payload, 0, 0])

    def submit(self, name: str, events: list[Any]) -> None:
        """Send requests of clients to a peer. Those that it can't take are answered at once."""
        ref = self.running.get(name)
        peer = None if ref is None else self.hosted.get(ref)
        if ref is not None and peer is not None:
            admitted = peer.admission.admit(events)
            answer_all(events[len(admitted) :], REFUSED)
            events = admitted
            try:
                ref.tell(admitted)
            except ActorDeadError:
                pass
            else:
                return
        reason, others = self.referral(name)
        absent = encoding.dumps(reason)
        answer_all([event for event in events if is_about_itself(event)], absent)
        answer_all([event for event in events if not is_about_itself(event)], others or absent)

    def on_client_frames(self, frames: list[Incoming]) -> None:
        batches: dict[str, list[Any]] = defaultdict(list)
        connection, role, network = None, MEMBER, ""
        for frame in frames:
            if frame.connection is not connection:  # most frames are of the connection before
                connection, role, network = frame.connection, frame.role, frame.network
            ticket: Ticket = NOBODY if frame.call is None else RemoteTicket(frame)
            try:
                operation, name, payload, session, sequence = frame.body
                if frame.call is None and operation != UNPARK:
                    self.node.denials.note_nonsense(
                        frame.node, "sent a request as a cast, which has no answer"
                    )
                    continue
                if role != MEMBER and operation not in ALLOWED[role]:
                    self.deny(frame, operation, ticket)
                    continue
                if network and operation not in (PARK, UNPARK):
                    counted = self.counted(frame, network, name, payload)
                    if counted is None:
                        ticket.set(REFUSED)
                        continue
                    ticket = counted
                if operation in AUDITED:
                    note_request(operation, (name, self.node.name), payload, frame.node, frame.role)
                if operation == STOP:
                    self.stop_aside(str(name), ticket)
                else:
                    request = (session, sequence)
                    event = event_of(operation, payload, request, ticket, frame.node, network)
                    batches[name].append(event)
                    if operation == PARK:
                        frame.body = None  # the call is kept for long
                        if name in self.running:
                            self.parked_at.setdefault(frame.node, set()).add(name)
            except (ValueError, TypeError, HostError) as error:
                self.node.denials.note_nonsense(frame.node, f"sent a bad request: {error}")
                ticket.set(encoding.dumps(("error", ("bad_request", str(error)))))
        for name, events in batches.items():
            self.submit(name, events)

    def on_link_lost(self, node: str) -> None:
        """Take out the parked calls of a node to which the connection is broken."""
        for name in self.parked_at.pop(node, ()):
            ref = self.running.get(name)
            if ref is not None:
                tell_if_alive(ref, SourceLost(node))

    def counted(
        self, frame: Incoming, network: str, name: str, payload: Any
    ) -> RemoteTicket | None:
        """Return the ticket of a guest's request; None if too many requests of guests from this
        network are open at the peer.
        """
        ref = self.running.get(name)
        peer = self.hosted.get(ref) if ref is not None else None
        if peer is None:
            return RemoteTicket(frame)
        size = len(payload) if type(payload) is bytes else 0
        if not peer.admission.guests.take(network, size):
            return None
        return GuestTicket(frame, peer.admission.guests, network, size)

    def deny(self, frame: Incoming, operation: Any, ticket: Ticket) -> None:
        known = type(operation) is int and 0 <= operation < len(OPERATIONS)
        what = OPERATIONS[operation] if known else "an unknown operation"
        self.node.denials.note(frame.node, frame.role, f"ask a peer for {what}")
        ticket.set(DENIED)

    def stop_aside(self, name: str, ticket: Ticket) -> None:
        """Stop a peer on a separate thread: stopping takes as long as the peer's last batch, and
        must not block the bridge's thread.
        """

        def work() -> None:
            ticket.set(encoding.dumps(self.stop(name)))
            self.node.flush()

        try:
            threading.Thread(target=work, name=f"stop-{name}", daemon=True).start()
        except RuntimeError:  # the system has no thread left
            ticket.set(REFUSED)


def note_request(operation: int, peer: Address, payload: Any, node: str, role: str) -> None:
    """Write to the audit log which node has asked for this. Of a backup only the first part is
    logged.
    """
    if operation != PART or is_first_part(payload):
        content = payload if type(payload) is bytes else b""
        what = "backup" if operation == PART else OPERATIONS[operation]
        audit("request", what=what, peer=peer, node=node, role=role, digest=digest_of(content))


def is_first_part(payload: Any) -> bool:
    """Return whether this asks for the first part of a backup: for the offset 0."""
    match encoding.loads(payload):
        case (_, 0):
            return True
    return False


def is_about_itself(event: Any) -> bool:
    """Return whether only the peer that was asked can answer this request."""
    return type(event) is TakeSnapshot or (type(event) is Ask and event.what != "leader")


def in_frames(messages: list[Message], bytes_max: int) -> Iterator[list[Message]]:
    """Cut a batch into parts that fit into a frame: a large append has its own frame, small ones
    share a frame.

    The leader sends `inflight_max` appends at once to a follower that is far behind; one frame with
    all of them would be larger than `frame_bytes_max`.
    """
    part: list[Message] = []
    bytes_left = bytes_max
    for message in messages:
        size = bytes_in(message)
        if size:
            if part and size > bytes_left:
                yield part
                part, bytes_left = [], bytes_max
            bytes_left -= size
        part.append(message)
    yield part


def bytes_in(message: Message) -> int:
    """Return the bytes of entries, or of a snapshot, that a message carries."""
    if type(message) is AppendEntries:
        return sum(map(len, message.entries))
    return len(message.data) if type(message) is InstallSnapshot else 0
