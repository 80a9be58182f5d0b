"""Peers: all peers of one node, started, stopped and found by name."""

import atexit
import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from pykka import ActorRegistry

from raft_actors.config import Config
from raft_actors.core.replies import NO_PEER, RESTARTING
from raft_actors.machine.contract import Machine, is_machine
from raft_actors.names import Address, check_peer_name, checked_member, listed
from raft_actors.node.local_node import LocalNode
from raft_actors.node.node import Node
from raft_actors.paths import absolute
from raft_actors.peer.peer import Peer
from raft_actors.peer.router import Router
from raft_actors.peer.supervisor import PeerSupervisor
from supervision import (
    ChildSpec,
    DynamicSupervisor,
    Exited,
    ProcessRef,
    Supervisor,
    exit_reason,
    stop,
)

__all__ = ["Peers", "directories_of_tests", "peer_spec", "peers_here", "peers_of"]

logger = logging.getLogger("raft_actors.peers")

RELEASE_S = 5.0
"""How long a peer waits for the thread of its killed predecessor, which may hang in the disk."""

STOP_S = 5.0
STOPPED_MAX = 1_000
"""Of so many stopped peers their node knows who else belonged to their group."""


class Peers:
    """The peers of `node`, found by name, running or stopped.

    running      the peer of each name
    starting     the names of those that are being started, each as often as that is so
    hosted       what only this node may do with it: its admission limit, and `handle_inline`
    members      who belonged to the group of a peer that ran here: whoever asks for a stopped
                 peer is sent to them
    """

    def __init__(self, node: LocalNode) -> None:
        self.node = node
        self.running: dict[str, ProcessRef[Peer]] = {}
        self.starting: list[str] = []
        self.supervisors: dict[str, ProcessRef[PeerSupervisor]] = {}
        self.members: dict[str, tuple[Address, ...]] = {}
        self.hosted: dict[ProcessRef[Peer], Peer] = {}
        self.stores: WeakValueDictionary[Path, Peer] = WeakValueDictionary()
        self.stops_trees_at_exit = False  # this process stops them as it ends
        self.lock = threading.Lock()
        self.top: ProcessRef[DynamicSupervisor] | None = None
        self.router = Router(
            node, self.running, self.hosted, referral=self.referral, stop=self.stop
        )

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
        self.starting.clear()
        self.stops_trees_at_exit = False
        self.lock = threading.Lock()
        self.top = None

    def is_supervised(self, name: str) -> bool:
        """Tell whether the peer runs, or will again by itself."""
        supervisor = self.supervisors.get(name)
        return supervisor is not None and exit_reason(supervisor) is None

    def is_expected(self, name: str) -> bool:
        """Tell whether the peer runs, or will soon."""
        return name in self.starting or self.is_supervised(name)

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

    def referral(self, name: str) -> tuple[Any, list[list[str]]]:
        """Say of a peer that does not run why not, and who else was of its group."""
        members = self.members.get(name, ())
        others = [list(member) for member in members if member != (name, self.node.name)]
        return RESTARTING if self.is_supervised(name) else NO_PEER, others


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
    peers.starting.append(name)
    try:
        answer = PeerSupervisor.start_link(machine, name, config, peers, members)
        match answer:
            case ("ok", ref):  # and no other, or the second start of a name would hide the first
                peers.supervise(name, ref)
    finally:
        with suppress(ValueError):  # forgotten, in a forked child
            peers.starting.remove(name)
    return answer
