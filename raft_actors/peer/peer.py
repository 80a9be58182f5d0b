"""Peer: the actor around a replica. It hands events to the replica, and is its environment.

The peer handles all events that wait, and then does one flush: the busier the peer, the larger the
batch. On a node with several peers, the bridge's thread handles messages for a peer whose thread
waits (docs/decisions/many_groups.md). Saves, and calls of the state machine, are left to the peer's
own thread.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil, inf
from pathlib import Path
from random import Random
from reprlib import repr as shortened
from typing import Any, ClassVar

from pykka.messages import ProxyCall

from raft_actors.clock import since_boot
from raft_actors.config import Config
from raft_actors.core.configuration import Configuration
from raft_actors.core.effects import Effects, LeadNews, RoleChange, Trouble
from raft_actors.core.messages import Configure, Message, NodeLost, Tick, Transfer
from raft_actors.core.replies import NO_PEER
from raft_actors.errors import RaftError, StoreError
from raft_actors.events import LeaderChanged, StateDiverged, publish
from raft_actors.machine.contract import Machine
from raft_actors.names import Address
from raft_actors.node.node_events import NodeDown, NodeUp
from raft_actors.peer.admission import AdmissionLimit, RequestBatch
from raft_actors.peer.data_path import check_other_directories, data_path
from raft_actors.peer.declaration import FormedTicket, declaration
from raft_actors.peer.disk_watchdog import DiskWatchdog
from raft_actors.peer.host import Host, Routes
from raft_actors.peer.messenger import Messenger, WhenAnswered
from raft_actors.peer.watchdog import CHECK, Watchdog
from raft_actors.replica.digester import DigestEnded
from raft_actors.replica.parked_calls import PARKING
from raft_actors.replica.problem_texts import HEALS, problem_text
from raft_actors.replica.replica import EVENTS, Replica
from raft_actors.replica.requests import Ask, TakeSnapshot, answer_all, encoded
from raft_actors.replica.snapshotter import WriterEnded
from raft_actors.stores import Mark, open_store
from raft_actors.stores.log_store import LogStore
from supervision import Process, tell_if_alive, text_of, timer

__all__ = ["Before", "Peer"]

logger: logging.Logger = logging.getLogger("raft_actors.peer")

TICK = Tick()
CONTINUE = object()
"""A message of a peer to itself. It continues applying committed entries after the messages that
have arrived meanwhile, or it makes the peer's own thread finish what `on_inline` has left.
"""

END = object()
"""A message of a peer to itself: end now, also if the leadership was not transferred."""

END_S = 4.0
"""A peer that was asked to end waits so long for the transfer. Its supervisor kills it after 5 s.
"""

REMOVED_S = 1.0
"""How long a peer that was removed from its group runs before this is logged."""

ALARMS_PER_HEARTBEAT = 5
"""The alarms of all peers of a node fire together, at so many moments in each heartbeat timeout."""

LISTED: frozenset[type] = EVENTS | PARKING | {Ask, TakeSnapshot, WriterEnded, DigestEnded}
"""The types of events that a list in the mailbox may have. Any other list is an unknown message."""

PUBLIC_CALLS = (("status",), ("leader",))
"""The methods that a proxy of a peer may call, without arguments."""


class NotPublic(RaftError, AttributeError):
    """A proxy was used for a method or an attribute that a peer does not offer to others."""


class Peer(Process):
    """One member of a Raft group, named on its node.

    Its messages are events of the core, lists of them, and `Ask`. An exception ends the process;
    its supervisor starts a new one, which recovers from the store.
    """

    clock: Callable[[], float] = staticmethod(since_boot)
    thread_clock: Callable[[], float] = staticmethod(time.thread_time)
    wall_clock: Callable[[], float] = staticmethod(time.time)
    stop_watching: Callable[[], Any] = staticmethod(lambda: None)
    reply_errors: ClassVar[tuple[type[Exception], ...]] = (NotPublic,)
    takes_messages_of_guests = False
    """Clients ask a peer by requests: their number is bounded, and the mailbox's is not."""
    random: Random = Random()  # noqa: S311 - for election timeouts, which no one needs to keep secret
    replica: Replica

    def init(
        self,
        machine: type[Machine],
        name: str,
        config: Config,
        host: Host,
        members: tuple[Address | str, ...] = (),
        before: "Before | None" = None,
    ) -> None:
        before = before or Before()
        self.host = host
        self.routes: Routes = host.router
        self.name = name
        self.released: threading.Event = threading.Event()
        self.address: Address = (name, host.name)
        config = fitting(config, host.config)
        self.config: Config = config
        self.path: Path = data_path(name, config, host)
        self.disk: DiskWatchdog = DiskWatchdog(self.address, config)
        self.news: RoleChange | None = None
        self.alarm: Any = None
        self.watchdog: Watchdog = Watchdog(name, self.actor_ref, self.disk)
        self.alarm_at: float = inf
        self.removed: tuple[Configuration, float] | None = None
        self.alarm_target: AlarmTarget = AlarmTarget(self)
        messenger = Messenger(name, host.whereis)
        self.tell_actor: Callable[[Address | str, bytes], None] = messenger.tell
        self.ask_actor: Callable[[Address | str, str, bytes, WhenAnswered], None] = messenger.ask
        self.admission: AdmissionLimit = AdmissionLimit(config)
        self.ending: Any = None
        host.await_release(self.path)
        if config.data_dir is None and config.log_store != "memory":
            check_other_directories(self.path, self.address)
        self.store: LogStore = open_store(
            config.log_store, self.path, owner=self.address, mark=before.mark
        )
        try:
            self.replica = Replica(
                self.address, config, self.store, machine(), self, directory=self.path / "machine"
            )
            before.mark = self.store.mark
            host.register(self)
            self.stop_watching = host.watch_nodes(self.actor_ref)
            if members:
                self.declare(declaration(members, self.address))
            self.on_batch_end()
            self.watchdog.begin()
        except BaseException:
            self.release()
            raise

    def declare(self, members: tuple[Address, ...]) -> None:
        """Form the declared group if this peer is in no group. Otherwise the members are in the
        log, and a declaration with other members is only logged.
        """
        configuration = self.replica.core.configuration
        if not configuration.members:
            self.replica.handle_one(Configure(members, FormedTicket(self.name), declared=True))
        elif configuration.members != members:
            logger.warning(
                "%s declares other members than its group has. The members in the group's log "
                "count: %s are members and not declared, %s are declared and not members. Change "
                "the group by Raft.set_configuration at its leader, or change the declaration",
                self.name,
                sorted({*configuration.members} - {*members}),
                sorted({*members} - {*configuration.everyone}),
            )

    # Events.

    def on_receive(self, message: Any) -> None:
        replica = self.replica
        replica.look_at_clocks()
        kind = type(message)
        if kind is RequestBatch:
            self.admission.taken(message)
            for event in message:
                replica.handle_one(event)
        elif kind is list and (not message or type(message[0]) in LISTED):
            for event in message:
                replica.handle_one(event)
        elif kind is NodeDown:
            replica.handle_one(NodeLost(message.node))
        elif kind is Tick:
            if self.alarm is not None and not self.alarm.waiting:
                # The present alarm has fired. Otherwise this Tick is that of an earlier alarm,
                # which fired although it was cancelled, and the present alarm still waits.
                self.alarm = None
            if replica.core.now >= replica.core.alarm:
                replica.handle_one(message)
        elif message is END:
            self.exit(self.ending)
        elif message is CHECK:
            self.store.check()
            self.log_if_removed()
            self.watchdog.checked()
        elif message is not CONTINUE and kind is not NodeUp:
            replica.handle_one(message)

    def _handle_receive(self, message: Any) -> Any:
        """Handle a message of a proxy, from this node or another one: only the few public calls.
        The attributes of a peer are refused, because they give access to its disk. `Raft` has all
        other requests.
        """
        path = tuple(message.attr_path)
        if path in PUBLIC_CALLS and message == ProxyCall(message.attr_path, (), {}):
            return super()._handle_receive(message)
        error = NotPublic(
            f"a peer's proxy has {', '.join(f'{name}()' for (name,) in PUBLIC_CALLS)} and no "
            f"{'.'.join(path)}: use the functions of `Raft` for everything else"
        )
        if self.actor_ref.actor_inbox.current.reply_to is not None:
            raise error
        logger.warning("%s: %s", self.name, error)  # sent by `defer`: no caller gets the error
        return None

    def status(self) -> Any:
        return self.replica.inspection.status()

    def leader(self) -> Address | None:
        return self.replica.inspection.leader()

    def on_idle(self) -> None:
        self.routes.work_for_bridge(self)

    def on_inline(self, message: Any) -> None:
        """Handle a message on the bridge's thread, and send the messages that follow from it. The
        peer's own thread does the other effects, a save for example.
        """
        self.on_receive(message)
        if not self.replica.flush_messages():
            self.continue_soon()

    def finish_inline(self) -> None:
        self.replica.finish()

    def on_batch_end(self) -> None:
        self.replica.flush()

    # The environment of the replica.

    def send(self, messages: list[Message], *, at_once: bool) -> None:
        self.routes.send(messages, at_once=at_once)

    def flush(self) -> None:
        self.routes.flush()

    def frame_bytes_max_to(self, peer: Address) -> int:
        return self.routes.frame_bytes_max_to(peer)

    def save(self, persist: Callable[[Effects], None], due: Effects) -> float:
        """Save, and return how many seconds it took. A StoreError ends this peer, because it can't
        promise anything that is not on its disk. A leader asks another member to take over as it
        ends, and the supervisor starts the peer again later.
        """
        if self.fenced:
            raise AssertionError("this peer was killed: its successor may own the store now")
        self.disk.begin()
        try:
            persist(due)
        except StoreError as error:
            self.disk.refused(error)
            raise
        return self.disk.end()

    def run_aside(self, work: Callable[[], None], name: str) -> Callable[[float], object]:
        thread = threading.Thread(target=work, name=name, daemon=True)
        thread.start()
        return thread.join

    def deliver(self, event: Any) -> None:
        tell_if_alive(self.actor_ref, event)

    def continue_soon(self) -> None:
        tell_if_alive(self.actor_ref, CONTINUE)

    def wake_at(self, when: float) -> None:
        """Set the alarm, so that the timer sends a Tick when the core needs one.

        Each heartbeat moves the election deadline to a later time, but the alarm stays: when it
        fires too early, it is set again. Only an alarm that would fire too late is moved. The
        alarms of several peers fire together, at most a fifth of `heartbeat_timeout` late, so that
        their messages, and the replies to them, share frames.
        """
        wanted = when
        if wanted < inf and not self.routes.is_alone(self):
            spacing_s = self.config.heartbeat_timeout / ALARMS_PER_HEARTBEAT
            wanted = ceil(wanted / spacing_s) * spacing_s
        if self.alarm is not None:
            if self.alarm_at <= wanted:  # not `alarm.deadline`, which is some microseconds later
                return
            self.alarm.cancel()
            self.alarm = None
        if wanted < inf:
            self.alarm_at = wanted
            self.alarm = timer.send_after(wanted - self.clock(), self.alarm_target, TICK)

    def on_role(self, news: RoleChange) -> None:
        before, self.news = self.news, news
        if before is None or (before.leader, before.term) != (news.leader, news.term):
            logger.info(
                "%s: %s in term %d, leader %s", self.name, news.role, news.term, news.leader
            )
        if before is None or before.leader != news.leader:
            publish(LeaderChanged(self.address, news.leader, news.term))
        self.host.holders.on_role(self, news)

    def on_lead(self, news: LeadNews) -> None:
        self.host.holders.on_news(self, news)

    def on_trouble(self, trouble: Trouble) -> None:
        level = logging.WARNING if trouble.what in HEALS else logging.ERROR
        logger.log(level, "%s: %s", self.name, problem_text(trouble, self.address))
        differs = self.replica.core.digests.differs
        if trouble.what in ("diverged", "digests_differ") and differs is not None:
            publish(StateDiverged(self.address, differs.after, differs.index, differs.decided))

    def on_unknown(self, event: Any) -> None:
        """Log an unknown message. Any program, also on other nodes, may send any message to an
        actor whose name it knows.
        """
        logger.warning("%s received an unknown message: %s", self.name, text_of(event, shortened))

    def on_removed(self, configuration: Configuration) -> None:
        self.removed = configuration, self.clock()

    def log_if_removed(self) -> None:
        """Log a removal from the group after REMOVED_S: `Raft.leave` stops the peer before that."""
        if self.removed is None or self.clock() < self.removed[1] + REMOVED_S:
            return
        (configuration, _at), self.removed = self.removed, None
        if self.address not in self.replica.core.configuration.everyone:
            logger.warning(
                "%s is no member of its group since entry %d: %s; stop it, or add it again",
                self.name, configuration.index, configuration.members,
            )  # fmt: skip

    # The end.

    def asked_to_end(self, reason: Any) -> None:
        """If this peer leads, transfer the leadership first, so that no client waits for an
        election timeout. Then end. The Transfer is answered within an election timeout, unless
        holders of grants keep the leader waiting: see `END_S`.
        """
        if self.ending is None:
            self.ending = reason
            timer.send_after(END_S, self.actor_ref, END)
            self.replica.handle_one(Transfer(None, EndAfterTransfer(self)))

    def terminate(self, reason: Any) -> None:
        """Answer all requests that wait, and close the store for the successor."""
        try:
            self.replica.digester.give_up()
            self.replica.snapshotter.give_up()
            self.host.unregister(self)
            if reason != "killed":  # else another thread may still run the state machine
                self.replica.leadership.end(self.replica.applier.applied)
            self.replica.end()
        finally:
            self.release()
            if self.replica.trace is not None:
                self.replica.trace.close(reason)

    def abandoned(self) -> None:
        """Do what `terminate` does, after a kill. Its answers are also true after a kill: that the
        outcome of a request is unknown, and that another peer may lead.
        """
        self.terminate("killed")

    def release(self) -> None:
        """Release the store and the rest, so that a successor can start."""
        self.stop_watching()
        self.watchdog.end()
        if self.alarm is not None:
            self.alarm.cancel()
        try:
            if hasattr(self, "replica"):
                self.replica.close()
        finally:
            try:
                self.store.close()  # without this its lock stays, and no successor can start
            finally:
                self.released.set()

    @staticmethod
    def undelivered(message: Any) -> None:
        events = message if isinstance(message, list) else [message]
        answer_all(events, encoded(NO_PEER))


@dataclass(slots=True)
class Before:
    """What a peer passes on to its restarted successor: the mark of its store; None at first.

    The successor must open this very store. With an empty one it would form its declared group a
    second time, and in an older copy a vote may be missing.
    """

    mark: Mark | None = None


@dataclass(frozen=True, slots=True)
class AlarmTarget:
    """The receiver of a peer's alarms: it delivers the Tick by way of the node, so that the
    bridge's thread can handle it.
    """

    peer: Peer

    def tell(self, tick: Tick) -> None:
        self.peer.routes.deliver_soon(self.peer, tick)


@dataclass(frozen=True, slots=True)
class EndAfterTransfer:
    """The ticket of the Transfer event of a peer that was asked to end: when it is answered, the
    peer ends.
    """

    peer: Peer

    def set(self, _answer: Any) -> None:
        self.peer.exit(self.peer.ending)


def fitting(config: Config, of_node: Config) -> Config:
    """Return the config with its sizes bounded, so that each message fits into a frame of the
    node.
    """
    return replace(
        config,
        command_bytes_max=min(config.command_bytes_max, of_node.command_bytes_max),
        append_bytes_max=min(config.append_bytes_max, of_node.frame_bytes_max // 2),
        snapshot_chunk_bytes=min(config.snapshot_chunk_bytes, of_node.frame_bytes_max // 2),
    )
