"""Peers: all peers of one node, and the way between them, other nodes' peers, and clients."""

import atexit
import logging
import os
import shutil
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from pykka import ActorDeadError, ActorRegistry

from raft_actors import encoding
from raft_actors.config import Config
from raft_actors.core.messages import NO_FRAMES, AppendEntries, InstallSnapshot, Message
from raft_actors.core.replies import NO_PEER, OVERLOADED, RESTARTING
from raft_actors.errors import FrameTooLarge, HostError, RaftError
from raft_actors.future import Future
from raft_actors.machine.contract import Machine, is_machine
from raft_actors.names import Address, check_peer_name, checked_member, listed
from raft_actors.node.local_node import LocalNode
from raft_actors.node.node import Node
from raft_actors.paths import absolute
from raft_actors.peer.message_codec import pack, unpack
from raft_actors.peer.peer import Peer
from raft_actors.peer.supervisor import PeerSupervisor
from raft_actors.replica.requests import STOP, Ask, TakeSnapshot, Ticket, answer_all, event_of
from raft_actors.transport.incoming import Incoming
from supervision import (
    ChildSpec,
    DynamicSupervisor,
    Exited,
    ProcessRef,
    Supervisor,
    exit_reason,
    stop,
    tell_if_alive,
)

__all__ = ["Peers", "directories_of_tests", "peer_spec", "peers_here", "peers_of"]


logger = logging.getLogger("raft_actors.peers")

RAFT, CLIENT = 16, 17
"""Kinds of frames between nodes: messages of peers, requests of clients."""

FRAME_BYTES = 256 * 1024
"""Entries that share a frame: as much as the bridge joins into one send."""

RELEASE_S = 5.0
"""How long a peer waits for the thread of its killed predecessor, which may hang in the disk."""

NO_ROOM = encoding.dumps(OVERLOADED)

STOP_S = 5.0
STOPPED_MAX = 1_000
"""Of so many stopped peers their node knows who else belonged to their group."""
REPORTED_MAX = 1_000


class RemoteTicket:
    """A client on another node, who gets the answer as a frame."""

    __slots__ = ("incoming",)

    def __init__(self, incoming: Incoming) -> None:
        self.incoming = incoming

    def set(self, answer: Any) -> None:
        try:
            self.incoming.reply(answer)
        except FrameTooLarge as error:
            self.incoming.reply(encoding.dumps(("error", ("reply_too_large", str(error)))))


class Peers:
    """The peers of `node`, found by name, running or stopped.

    running      the peer of each name
    hosted       what only this node may do with it: its admission limit, and `handle_inline`
    members      who belonged to the group of a peer that ran here: whoever asks for a stopped
                 peer is sent to them
    """

    def __init__(self, node: LocalNode) -> None:
        self.node = node
        self.running: dict[str, ProcessRef[Peer]] = {}
        self.supervisors: dict[str, ProcessRef[PeerSupervisor]] = {}
        self.members: dict[str, tuple[Address, ...]] = {}
        self.hosted: dict[ProcessRef[Peer], Peer] = {}
        self.stores: WeakValueDictionary[Path, Peer] = WeakValueDictionary()
        self.reported: set[str] = set()
        self.stops_trees_at_exit = False  # this process stops them as it ends
        self.lock = threading.Lock()
        self.top: ProcessRef[DynamicSupervisor] | None = None
        node.on_frames(RAFT, self.on_raft_frames)
        node.on_frames(CLIENT, self.on_client_frames)

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def config(self) -> Config:
        return self.node.config

    @property
    def data_dir(self) -> Path | None:
        return self.node.data_dir

    @property
    def registry(self) -> Any:
        return self.node.registry

    def flush(self) -> None:
        self.node.flush()

    def watch_nodes(self, ref: ProcessRef[Any]) -> Callable[[], Any]:
        return self.node.monitor(ref)

    # Starting and stopping.

    def start(
        self,
        machine: type[Machine],
        name: str,
        config: Config,
        members: Iterable[Address | str] = (),
    ) -> Any:
        """Start a peer under this node's own supervisor."""
        running = self.running.get(name)
        if running is not None:
            return ("error", ("already_started", running))
        if self.is_supervised(name):
            return ("error", "restarting")
        with self.lock:
            if self.top is None or exit_reason(self.top) is not None:
                # Without a link: the peers are the node's, not those of the actor that asked.
                self.top = DynamicSupervisor.start(strategy="one_for_one")
        spec = peer_spec(
            machine, name=name, config=config, members=members, peers=self, restart="temporary"
        )
        match DynamicSupervisor.start_child(self.top, spec):
            case ("ok", _supervisor) if name in self.running:
                return ("ok", self.running[name])
            case ("ok", _supervisor):
                return ("error", "crashed")  # its supervisor tries again
            case ("error", ("shutdown", ("failed_to_start_child", _id, reason))):
                return ("error", reason)
            case answer:
                return answer

    def stop(self, name: str) -> Any:
        """Stop a peer for good, whoever supervises it."""
        supervisor = self.supervisors.get(name)
        if supervisor is None:
            return NO_PEER
        try:
            stop(supervisor, "shutdown")
        except Exited as exited:  # someone else was faster, or it has given up
            return NO_PEER if exited.reason == "noproc" else "ok"
        return "ok"

    def names(self) -> list[str]:
        """Return the names of the peers that run, or will again by themselves."""
        return sorted(name for name in tuple(self.supervisors) if self.is_supervised(name))

    def stop_all(self) -> None:
        """Stop every peer for good: at once those under the node's own supervisor, then the others,
        whoever supervises them.
        """
        own = () if self.top is None else (self.top,)
        for tree in (*own, *self.supervisors.values()):
            try:
                stop(tree, "shutdown", STOP_S)
            except Exited:
                continue  # it had ended, or ended otherwise
            except TimeoutError:
                logger.warning("left behind: %s has not ended within %g s", tree, STOP_S)

    def supervise(self, name: str, supervisor: ProcessRef[PeerSupervisor]) -> None:
        """Know `supervisor` as the peer's, until it ends."""
        self.supervisors[name] = supervisor

        def on_end(_reason: Any) -> None:
            if self.supervisors.get(name) is supervisor:
                del self.supervisors[name]

        supervisor.watch(on_end)

    def forget(self) -> None:
        """Know of no peer any more."""
        for known in (self.running, self.supervisors, self.members, self.hosted, self.stores):
            known.clear()
        self.stops_trees_at_exit = False
        self.lock = threading.Lock()
        self.top = None

    def is_supervised(self, name: str) -> bool:
        """Tell whether the peer runs, or will again by itself."""
        supervisor = self.supervisors.get(name)
        return supervisor is not None and exit_reason(supervisor) is None

    def register(self, peer: Peer) -> None:
        with self.lock:
            if not self.stops_trees_at_exit:
                self.stops_trees_at_exit = True
                atexit.register(stop_trees)  # before the node, which was registered earlier
        self.members[peer.name] = peer.replica.core.configuration.members
        self.hosted[peer.actor_ref] = peer
        self.running[peer.name] = peer.actor_ref
        self.stores[peer.path] = peer
        peer.actor_ref.watch(lambda _reason: self.unregister(peer))  # also of one that is killed

    def await_release(self, path: Path) -> None:
        """Wait until the thread of a killed peer has let go of its store, or for a while."""
        before = self.stores.get(path)
        if before is not None and before.fenced:
            before.released.wait(RELEASE_S)

    def unregister(self, peer: Peer) -> None:
        with self.lock:
            self.members.pop(peer.name, None)
            self.members[peer.name] = peer.replica.core.configuration.members
            while len(self.members) > STOPPED_MAX + len(self.running):
                del self.members[next(iter(self.members))]
        self.hosted.pop(peer.actor_ref, None)
        if self.running.get(peer.name) is peer.actor_ref:
            del self.running[peer.name]
        self.node.flush()  # what the end has refused, on whatever thread it was

    def work_for_bridge(self, peer: Peer) -> None:
        """Do the bridge's work while `peer` has none, if it is the only one on this node."""
        if self.is_alone(peer):
            self.node.drive(peer.actor_ref.actor_inbox, lambda: not self.is_alone(peer))

    def is_alone(self, peer: Peer) -> bool:
        return len(self.running) == 1 and self.running.get(peer.name) is peer.actor_ref

    # Between peers.

    def send(self, messages: list[Message], *, at_once: bool = False) -> None:
        """Send in order: to a peer here as it is, to one elsewhere in few frames for each target.

        What can't be sent is dropped: Raft repeats itself.

        at_once  what is for one target leaves before the next one's is packed: the first follower
                 makes a majority, and need not wait for the others' frames. Else it is left to
                 the node's next flush
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
                    packed = [said for each in part if (said := pack(each, version)) is not None]
                    if packed:
                        self.node.cast(node, RAFT, [name, part[0].source[0], *about, packed])
                if at_once:
                    self.node.flush()
            except RaftError as error:
                self.report(node, error)

    def in_frames(self, batch: list[Message], node: str) -> Iterator[list[Message]]:
        return in_frames(batch, min(FRAME_BYTES, self.node.frame_bytes_max_with(node) // 2))

    def frame_bytes_max_to(self, peer: Address) -> int:
        """Return how many bytes one frame to this peer's node holds. Here there are no frames."""
        node = peer[1]
        return NO_FRAMES if node == self.node.name else self.node.frame_bytes_max_with(node)

    def report(self, node: str, error: RaftError) -> None:
        """Say once for each node what keeps peers from sending to it."""
        if node not in self.reported:
            if len(self.reported) >= REPORTED_MAX:
                self.reported.clear()
            self.reported.add(node)
            logger.warning("peers here can't send to %s: %s", node, error)

    def on_raft_frames(self, frames: list[Incoming]) -> None:
        """Bring each peer in one go what came for it in this poll round."""
        batches: dict[str, list[Any]] = defaultdict(list)
        for frame in frames:
            try:
                name, source_name, group, theirs, ours, packed = frame.body
                source, target = (source_name, frame.node), (name, self.node.name)
                batches[name] += [
                    unpack(each, source, target, group, (theirs, ours)) for each in packed
                ]
            except (ValueError, TypeError) as error:
                logger.warning("%s sent what is no peer message: %s", frame.node, error)
        for name, batch in batches.items():
            ref = self.running.get(name)
            if ref is not None and (peer := self.hosted.get(ref)) is not None:
                self.deliver(peer, batch)

    def deliver(self, peer: Peer, message: Any) -> None:
        """Have `peer` step `message`, here on the bridge's thread where its own only waits."""
        if not peer.handle_inline(message):
            tell_if_alive(peer.actor_ref, message)

    def deliver_soon(self, peer: Peer, message: Any) -> None:
        """As `deliver`, from any thread. A peer alone on its node does the bridge's work itself."""
        if self.is_alone(peer) or not self.node.post(partial(self.deliver, peer, message)):
            tell_if_alive(peer.actor_ref, message)

    # Clients.

    def request(self, address: Address, body: list[Any], *, flush: bool = True) -> Future[Any]:
        """Bring a request to the peer at `address`, wherever it is. See `requests` for `body`.

        flush  False: the caller flushes the node, soon
        """
        name, node = address
        if self.node.forked:
            self.node.check_process()
        if node != self.node.name:
            answer = self.node.call(node, CLIENT, body)
            if flush:
                self.node.flush_call()
            return answer
        future: Future[Any] = Future()
        operation, _name, payload, session, sequence = body
        if operation == STOP:
            future.set(encoding.dumps(self.stop(name)))
            return future
        self.submit(name, [event_of(operation, payload, (session, sequence), future)])
        return future

    def submit(self, name: str, events: list[Any]) -> None:
        """Tell a peer what clients ask of it, or answer them at once why not."""
        ref = self.running.get(name)
        peer = None if ref is None else self.hosted.get(ref)
        if ref is not None and peer is not None:
            admitted = peer.admission.admit(events)
            answer_all(events[len(admitted) :], NO_ROOM)
            events = admitted
            try:
                ref.tell(admitted)
            except ActorDeadError:
                pass
            else:
                return
        none = encoding.dumps(RESTARTING if self.is_supervised(name) else NO_PEER)
        answer_all([event for event in events if is_about_itself(event)], none)
        answer_all([event for event in events if not is_about_itself(event)],
               self.others_of(name) or none)  # fmt: skip

    def others_of(self, name: str) -> list[list[str]]:
        """Return who else was of the group of a peer that does not run: one of them may know."""
        members = self.members.get(name, ())
        return [list(member) for member in members if member != (name, self.node.name)]

    def on_client_frames(self, frames: list[Incoming]) -> None:
        batches: dict[str, list[Any]] = defaultdict(list)
        for frame in frames:
            if frame.call is None:
                logger.warning("%s sent a request to which it wants no answer", frame.node)
                continue
            ticket = RemoteTicket(frame)
            try:
                operation, name, payload, session, sequence = frame.body
                if operation == STOP:
                    self.stop_aside(str(name), ticket)
                else:
                    request = (session, sequence)
                    batches[name].append(event_of(operation, payload, request, ticket))
            except (ValueError, TypeError, HostError) as error:
                logger.warning("%s sent a request that makes no sense: %s", frame.node, error)
                ticket.set(encoding.dumps(("error", ("bad_request", str(error)))))
        for name, events in batches.items():
            self.submit(name, events)

    def stop_aside(self, name: str, ticket: Ticket) -> None:
        """Stopping takes as long as the peer's last batch, so not on the bridge's thread."""

        def work() -> None:
            ticket.set(encoding.dumps(self.stop(name)))
            self.node.flush()

        try:
            threading.Thread(target=work, name=f"stop-{name}", daemon=True).start()
        except RuntimeError:  # the system has no thread left
            ticket.set(NO_ROOM)


def is_about_itself(event: Any) -> bool:
    """Tell whether nobody else can answer for the peer that was asked."""
    return type(event) is TakeSnapshot or (type(event) is Ask and event.what != "leader")


def stop_trees() -> None:
    """Stop every supervision tree, as this process ends: leaders among their peers hand over.

    Whoever ends the interpreter without stopping what he started has peers on daemon threads: they
    would be cut off in the middle of a write. Then their directories go, where they are a test's.
    """
    for root in ActorRegistry.get_all():  # only the roots are there
        if issubclass(root.actor_class, Supervisor | DynamicSupervisor):
            with suppress(TimeoutError, Exited):
                stop(root, "shutdown", STOP_S)
    while directories_of_tests:
        shutil.rmtree(directories_of_tests.pop(), ignore_errors=True)


def in_frames(messages: list[Message], bytes_max: int) -> Iterator[list[Message]]:
    """Cut a batch into what one frame carries: a large append goes alone, small ones together.

    A follower far behind is sent `inflight_max` appends at once; in one frame they would be more
    than `frame_bytes_max`.
    """
    part: list[Message] = []
    room = bytes_max
    for message in messages:
        size = bytes_in(message)
        if size:
            if part and size > room:
                yield part
                part, room = [], bytes_max
            room -= size
        part.append(message)
    yield part


def bytes_in(message: Message) -> int:
    """Return the bytes of entries, or of a snapshot, that a message carries."""
    if type(message) is AppendEntries:
        return sum(map(len, message.entries))
    return len(message.data) if type(message) is InstallSnapshot else 0


making = threading.Lock()
directories_of_tests: list[Path] = []
"""Removed as this process ends, after its peers have been stopped."""


def forget_trees() -> None:
    """In a forked child run none of its parent's peers, for it has none of its threads."""
    global making  # noqa: PLW0603 - whoever held it is not here
    making = threading.Lock()
    atexit.unregister(stop_trees)  # or the child's node would be stopped before its peers
    directories_of_tests.clear()  # they are its parent's


os.register_at_fork(after_in_child=forget_trees)


def peers_here() -> Peers:
    """The peers of this process' node; of no node in particular before one is started."""
    return peers_of(Node.current())


def peers_of(node: LocalNode) -> Peers:
    with making:
        if node.residents is None:
            node.residents = Peers(node)
        assert isinstance(node.residents, Peers)
        return node.residents


def peer_spec(
    machine: type[Machine],
    *,
    name: str,
    config: Config | None = None,
    members: Iterable[Address | str] = (),
    peers: Peers | None = None,
    restart: Any = "transient",
    **fields: Any,
) -> ChildSpec:
    """Return the child spec of a peer. `fields` are Config's and go before those of `config`.

    members   who is to form a group, the peer itself among them: addresses, or names of peers
              of this node. See docs/membership.md

    Raises BadName, TypeError for what is no machine, and ValueError for a bad config.
    """
    check_peer_name(name)
    if not is_machine(machine):
        raise TypeError(f"a machine is given as a class derived from StateMachine, not {machine!r}")
    declared = tuple(checked_member(member) for member in listed(members))
    config = Config.of(config, **fields)
    if config.trace is None and (wanted := os.environ.get("RAFT_TRACE")):
        config = Config.of(config, trace=where_first_meant(wanted))
    start = partial(start_peer_supervisor, machine, name, config, peers, declared)
    return ChildSpec(
        ("PeerSupervisor", name), start, restart=restart, type="supervisor", modules=(machine,)
    )


@cache
def where_first_meant(path: str) -> Path:
    """Return the absolute path that one of the environment had when it was first used: specs are
    made again and again, and the program may have gone elsewhere.
    """
    return absolute(path)


def start_peer_supervisor(
    machine: type[Machine],
    name: str,
    config: Config,
    peers: Peers | None,
    members: tuple[Address | str, ...],
) -> Any:
    peers = peers or peers_here()
    answer = PeerSupervisor.start_link(machine, name, config, peers, members)
    match answer:
        case ("ok", ref):  # and no other, or the second start of a name would hide the first
            peers.supervise(name, ref)
    return answer
