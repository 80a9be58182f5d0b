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
from raft_actors.machine.contract import Machine, Replicable, machine_of
from raft_actors.names import Address, check_peer_name, checked_member, listed
from raft_actors.node.local_node import LocalNode
from raft_actors.node.node import Node
from raft_actors.paths import absolute
from raft_actors.peer.lead_holders import LeadHolder, LeadHolders
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

logger: logging.Logger = logging.getLogger("raft_actors.peers")

RELEASE_S = 5.0
"""How long a peer waits for the thread of its killed predecessor, which may hang in a save."""

STOP_S = 5.0
STOPPED_MAX = 1_000
"""For so many stopped peers the node remembers the members of their group."""


class Peers:
    """The peers of `node`, found by name, running or stopped.

    running      the ref of each running peer, by name
    starting     the names of the peers that are being started; a name that two threads start is
                 in the list twice
    supervisors  the supervisor of each peer, by the peer's name
    hosted       the Peer object of each ref; only this node has it, for its admission limit and
                 for `handle_inline`
    members      the members of the group of each peer that runs or ran here: a client that asks for
                 a stopped peer is sent to them
    stores       the last Peer of each data directory
    holders      who runs something only while a peer leads
    """

    def __init__(self, node: LocalNode) -> None:
        self.node = node
        self.running: dict[str, ProcessRef[Peer]] = {}
        self.starting: list[str] = []
        self.supervisors: dict[str, ProcessRef[PeerSupervisor]] = {}
        self.members: dict[str, tuple[Address, ...]] = {}
        self.hosted: dict[ProcessRef[Peer], Peer] = {}
        self.stores: WeakValueDictionary[Path, Peer] = WeakValueDictionary()
        self.holders: LeadHolders = LeadHolders()
        self.stops_trees_at_exit: bool = False  # whether `stop_trees` is registered with `atexit`
        # A signal handler may interrupt a method, and call another.
        self.lock: threading.RLock = threading.RLock()
        self.top: ProcessRef[DynamicSupervisor] | None = None
        self.router: Router = Router(
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

    def whereis(self, address: Address | str) -> Any:
        return self.node.whereis(address)

    def watch_nodes(self, ref: ProcessRef[Any]) -> Callable[[], Any]:
        return self.node.monitor(ref)

    # Starting and stopping.

    def start(
        self,
        machine: type[Machine | Replicable],
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
                # Without a link: the peers belong to the node, and not to the actor that calls.
                self.top = DynamicSupervisor.start(strategy="one_for_one")
        spec = peer_spec(
            machine, name=name, config=config, members=members, peers=self, restart="temporary"
        )
        match DynamicSupervisor.start_child(self.top, spec):
            case ("ok", _supervisor) if name in self.running:
                return ("ok", self.running[name])
            case ("ok", _supervisor):
                return ("error", "crashed")  # the peer's supervisor starts it again
            case ("error", ("shutdown", ("failed_to_start_child", _id, reason))):
                return ("error", reason)
            case answer:
                return answer

    def stop(self, name: str) -> Any:
        """Stop a peer for good, under the node's own supervisor or another one."""
        supervisor = self.supervisors.get(name)
        if supervisor is None:
            return NO_PEER
        self.let_holders_rest(name)
        try:
            stop(supervisor, "shutdown")
        except Exited as exited:  # another caller has stopped the peer, or its supervisor gave up
            return NO_PEER if exited.reason == "noproc" else "ok"
        return "ok"

    def names(self) -> list[str]:
        """Return the names of the peers that run or are being restarted."""
        return sorted(name for name in tuple(self.supervisors) if self.is_supervised(name))

    def stop_all(self) -> None:
        """Stop every peer for good: first those under the node's own supervisor, all at the same
        time, then those under other supervisors. Before that end what runs only where they lead.
        """
        for name in tuple(self.running):
            self.let_holders_rest(name)
        own = () if self.top is None else (self.top,)
        for tree in (*own, *self.supervisors.values()):
            try:
                stop(tree, "shutdown", STOP_S)
            except Exited:
                continue  # the tree had ended before, or ended for another reason
            except TimeoutError:
                logger.warning("%s has not ended within %g s, and is left running", tree, STOP_S)

    def supervise(self, name: str, supervisor: ProcessRef[PeerSupervisor]) -> None:
        """Record the supervisor of a peer, until this supervisor ends."""
        self.supervisors[name] = supervisor

        def on_end(_reason: Any) -> None:
            if self.supervisors.get(name) is supervisor:
                del self.supervisors[name]

        supervisor.watch(on_end)

    def forget(self) -> None:
        """Forget all peers."""
        for known in (self.running, self.supervisors, self.members, self.hosted, self.stores):
            known.clear()
        self.holders.clear()
        self.starting.clear()
        self.stops_trees_at_exit = False
        self.lock = threading.RLock()
        self.top = None

    def is_supervised(self, name: str) -> bool:
        """Return whether the peer runs or is being restarted."""
        supervisor = self.supervisors.get(name)
        return supervisor is not None and exit_reason(supervisor) is None

    def is_expected(self, name: str) -> bool:
        """Return whether the peer runs, or is being started or restarted."""
        return name in self.starting or self.is_supervised(name)

    def register(self, peer: Peer) -> None:
        with self.lock:
            if not self.stops_trees_at_exit:
                self.stops_trees_at_exit = True
                atexit.register(
                    stop_trees
                )  # runs before the node's exit handler, registered earlier
        self.members[peer.name] = peer.replica.core.configuration.members
        self.hosted[peer.actor_ref] = peer
        self.running[peer.name] = peer.actor_ref
        self.stores[peer.path] = peer
        peer.actor_ref.watch(lambda _reason: self.unregister(peer))  # also if the peer is killed

    def await_release(self, path: Path) -> None:
        """Wait until the thread of a killed peer has closed its store; RELEASE_S at most."""
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
            for holder in self.holders.of(peer.name):
                holder.lost()
        self.node.flush()  # send the answers to the requests that the end of the peer has refused

    def let_holders_rest(self, name: str) -> None:
        """End what runs only while this peer leads, before the peer is stopped."""
        for holder in self.holders.of(name):
            holder.rest(self.hosted_as(name))

    def hosted_as(self, name: str) -> Peer | None:
        ref = self.running.get(name)
        return None if ref is None else self.hosted.get(ref)

    def hold(self, name: str, holder: LeadHolder) -> Callable[[], None]:
        """Tell `holder` when the peer `name` leads, until the returned function is called."""
        self.holders.add(name, holder)
        peer = self.hosted_as(name)
        if peer is not None and peer.news is not None and peer.news.role == "leader":
            holder.leads(peer)
        return partial(self.holders.remove, name, holder)

    def referral(self, name: str) -> tuple[Any, list[list[str]]]:
        """For a peer that does not run, return the answer that says why, and the other members of
        its group.
        """
        members = self.members.get(name, ())
        others = [list(member) for member in members if member != (name, self.node.name)]
        return RESTARTING if self.is_supervised(name) else NO_PEER, others


def stop_trees() -> None:
    """Stop every supervision tree when this operating-system process ends. Leaders among the peers
    transfer their leadership first.

    The peers run on daemon threads: without this function they would be cut off in the middle of a
    write if a program ends without stopping them. Afterwards the temporary directories are removed.
    """
    for root in ActorRegistry.get_all():  # only roots of trees are in this registry
        if issubclass(root.actor_class, Supervisor | DynamicSupervisor):
            with suppress(TimeoutError, Exited):
                stop(root, "shutdown", STOP_S)
    while directories_of_tests:
        shutil.rmtree(directories_of_tests.pop(), ignore_errors=True)


making: threading.RLock = threading.RLock()
directories_of_tests: list[Path] = []
"""Temporary directories, removed when this operating-system process ends, after its peers."""


def forget_trees() -> None:
    """Forget the parent's peers, in a forked child: it has none of their threads."""
    global making  # noqa: PLW0603 - a thread of the parent may have held the old lock
    making = threading.RLock()
    # The first peer of the child registers the handler again. Without that, the exit handler of the
    # child's node would be the newer one and run first: before the handler that stops its peers.
    atexit.unregister(stop_trees)
    directories_of_tests.clear()  # they belong to the parent


os.register_at_fork(after_in_child=forget_trees)


def peers_here() -> Peers:
    """Return the peers of this process's node: of `Node.current()`."""
    return peers_of(Node.current())


def peers_of(node: LocalNode) -> Peers:
    with making:
        if node.residents is None:
            node.residents = Peers(node)
        assert isinstance(node.residents, Peers)
        return node.residents


def peer_spec(
    machine: type[Machine | Replicable],
    *,
    name: str,
    config: Config | None = None,
    members: Iterable[Address | str] = (),
    peers: Peers | None = None,
    restart: Any = "transient",
    **fields: Any,
) -> ChildSpec:
    """Return the child spec of a peer. `fields` are fields of Config; they override `config`.

    members   the members that are to form a group, the peer itself among them: addresses, or names
              of peers of this node. See docs/membership.md

    Raises BadName, TypeError if `machine` is no StateMachine class, and ValueError for a bad
    config.
    """
    check_peer_name(name)
    machine = machine_of(machine)
    declared = tuple(checked_member(member) for member in listed(members))
    config = Config.of(config, **fields)
    if config.trace is None and (wanted := os.environ.get("RAFT_TRACE")):
        config = Config.of(config, trace=absolute_at_first(wanted))
    start = partial(start_peer_supervisor, machine, name, config, peers, declared)
    return ChildSpec(
        ("PeerSupervisor", name), start, restart=restart, type="supervisor", modules=(machine,)
    )


@cache
def absolute_at_first(path: str) -> Path:
    """Return the absolute path of a relative path, as it was at the first call: specifications are
    made many times, and the program may change its working directory in between.
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
            # Record the supervisor only if it started: a refused second start of the same name must
            # not replace the supervisor that runs.
            case ("ok", ref):
                peers.supervise(name, ref)
    finally:
        with suppress(ValueError):  # in a forked child `forget` has removed the name
            peers.starting.remove(name)
    return answer
