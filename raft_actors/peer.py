"""Peer: the actor that takes part in one group. Its mailbox feeds the core; here effects happen.

One thread owns the core, the log store and the user's state machine, as plain objects. Every
event that waits is stepped, then one flush is done: the busier the peer, the larger the batch.
On a node with several peers the bridge's thread steps for one that waits, docs/decisions/
many_groups.md; what is to be saved, and the machine, are left to the peer's own thread.
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
from typing import TYPE_CHECKING, Any

from pykka.messages import ProxyCall

from raft_actors import terms
from raft_actors.answers import Answering, encoded
from raft_actors.applied import WITNESS
from raft_actors.applying import Applying
from raft_actors.backlog import Backlog, Requests
from raft_actors.config import Config
from raft_actors.core.effects import Effects, News, Read, Trouble
from raft_actors.core.entry import TIME_MAX
from raft_actors.core.follower import Follower
from raft_actors.core.membership import Address
from raft_actors.core.messages import (
    Configure,
    Message,
    NodeLost,
    Tick,
    Transfer,
    Written,
)
from raft_actors.core.role import redirect
from raft_actors.core.server import Server
from raft_actors.declared import Formed, declaration
from raft_actors.disk_watch import DiskWatch
from raft_actors.errors import DataDirInUse, RaftError, StoreError
from raft_actors.events import LeaderChanged, publish
from raft_actors.node import NodeDown, NodeUp
from raft_actors.paths import absolute
from raft_actors.recovery import recover
from raft_actors.requests import Ask, TakeSnapshot, refuse
from raft_actors.snapshotting import Snapshotting, WriterEnded
from raft_actors.state_machine import StateMachine
from raft_actors.stores import Mark, open_store
from raft_actors.stores.directory import is_in_use
from raft_actors.trace import Trace, open_trace
from raft_actors.troubles import HEALS, in_words
from supervision import Process, tell_if_alive, text_of, timer

if TYPE_CHECKING:
    from raft_actors.peers import Peers

__all__ = ["Before", "Peer"]

logger = logging.getLogger("raft_actors.peer")

TICK = Tick()
MORE = object()
"""Told to itself: go on applying, after what has come meanwhile; or with what a visit left."""

LOOK = object()
LOOK_S = 5.0
"""How often a peer tells itself to look whether its directory is there, and at each save, too; and
whether it was taken out of its group."""

TOGETHER = 5
"""The alarms of a node's peers ring so many times in a heartbeat's time, and not in between."""

EVENTS = frozenset(Follower.handlers)
"""What the core takes, in whatever role."""

TAKEN = EVENTS | {Ask, TakeSnapshot, WriterEnded}
"""What a list may hold that a peer is told. One of anything else came from another node."""

NO_PEER = ("error", "no_peer")


PUBLIC_CALLS = (("status",), ("leader",))
"""What a proxy of a peer may call, without arguments."""


class NotPublic(RaftError, AttributeError):
    """A proxy was used for what a peer offers to nobody."""


class Peer(Applying, Answering, Process):
    """One member of a Raft group, named on its node.

    It may be told an event of the core, a list of them, or an `Ask`. Whatever goes wrong here
    ends the process; its supervisor starts a new one, which recovers from the store.

    due   the effects of the batch that is being done; left over when that ends the process
    """

    clock = staticmethod(time.monotonic)
    wall_clock = staticmethod(time.time)
    stop_watching: Callable[[], Any] = staticmethod(lambda: None)
    reply_errors = (NotPublic,)
    due: Effects | None = None
    random = Random()  # noqa: S311 - it draws timeouts, and asks the kernel for none of them
    snapshotter: type[Snapshotting] = Snapshotting
    trace: Trace | None = None

    def init(
        self,
        machine: type[StateMachine],
        name: str,
        config: Config,
        peers: "Peers",
        members: tuple[Address | str, ...] = (),
        before: "Before | None" = None,
    ) -> None:
        before = before or Before()
        self.peers = peers
        self.name = name
        self.released = threading.Event()
        self.address: Address = (name, peers.node.name)
        self.config = config = fitting(config, peers.node.config)
        self.path = data_path(name, config, peers)
        self.disk = DiskWatch(self.address, config)
        self.reads: list[Read] = []
        self.news: News | None = None
        self.alarm: Any = None
        self.look: Any = None
        self.ring_at = inf
        self.bell = Bell(self)
        self.asked: list[Ask] = []
        self.backlog = Backlog(config)
        self.ending: Any = None
        peers.await_release(self.path)
        if config.data_dir is None and config.log_store != "memory":
            look_beside(self.path, self.address)
        self.store = open_store(config.log_store, self.path, owner=self.address, mark=before.mark)
        try:
            self.recover(machine)
            before.mark = self.store.mark
            self.trace = open_trace(self.config.trace, self.core)
            if self.trace is not None:
                self.step = self.trace.step
            peers.joined(self)
            self.stop_watching = peers.node.monitor(self.actor_ref)
            if members:
                self.declare(declaration(members, self.address))
            self.on_drained()
            self.look_later()
        except BaseException:
            self.release()
            raise

    def recover(self, machine: type[StateMachine]) -> None:
        """Take up where the store ends: the state is the snapshot's, and goes on from there as
        the leader says what is committed.
        """
        found = recover(self.store, self.config)
        snapshots, snapshot = self.store.snapshots, found.snapshot
        stateless = snapshot.configuration.makes_stateless(self.address, found.incarnation) or (
            snapshot.index > 0 and snapshots.header(snapshot).kind == WITNESS
        )
        self.applied = applied = (
            self.no_state(self.make(machine)) if stateless else self.fresh_state(machine)
        )
        if applied.on_disk is not None:
            applied.on_disk.belong_to(found.incarnation)
        if applied.index < snapshot.index:
            applied.restore(snapshots, snapshot)
        elif applied.index:  # on disk
            applied.catch_up_sessions(snapshots, snapshot, found.log)
        self.core = Server(
            self.address, config=self.config, random=self.random, ballot=found.ballot,
            log=found.log, incarnation=found.incarnation, now=self.clock(),
            snapshots=snapshots, snapshot=snapshot, incoming=found.incoming,
            commit_index=applied.index, machine=applied.machine.version,
            frame_bytes_max=self.peers.frame_bytes_max_to,
        )  # fmt: skip
        self.core.stateless = stateless
        self.core.version = applied.version
        self.say_if_state_is_missing(snapshot.configuration)
        self.snapshotting = self.snapshotter(self)
        self.snapshotting.prune()
        self.step = self.core.step

    def declare(self, members: tuple[Address, ...]) -> None:
        """Form the declared group, if this peer is of none; else its log knows better."""
        configuration = self.core.configuration
        if not configuration.members:
            self.step(Configure(members, Formed(self.name), declared=True))
        elif configuration.members != members:
            logger.warning(
                "%s declares other members than its group has. The group's log counts: %s are "
                "members and not declared, %s are declared and no members. Change the group by "
                "Raft.set_configuration at its leader, or the declaration",
                self.name,
                sorted({*configuration.members} - {*members}),
                sorted({*members} - {*configuration.everyone}),
            )

    # Events.

    def on_receive(self, message: Any) -> None:
        core = self.core
        core.now, core.wall_ms = self.clock(), milliseconds(self.wall_clock())
        kind = type(message)
        if kind is Requests:
            self.backlog.taken(message)
            for event in message:
                self.take(event)
        elif kind is list and (not message or type(message[0]) in TAKEN):
            for event in message:
                self.take(event)
        elif kind is NodeDown:
            self.step(NodeLost(message.node))
        elif kind is Tick:
            if self.alarm is not None and not self.alarm.waiting:
                self.alarm = None  # else one that was moved has rung all the same
            if core.now >= core.alarm:
                self.step(message)
        elif message is LOOK:
            self.store.check()
            self.say_if_removed()
            self.look_later()
        elif message is not MORE and kind is not NodeUp:
            self.take(message)

    def _handle_receive(self, message: Any) -> Any:
        """Take what a proxy sends, here or on another node: a few calls, and nothing of what this
        peer consists of, for that leads to the disk. `Raft` has all the others.
        """
        path = tuple(message.attr_path)
        if path in PUBLIC_CALLS and message == ProxyCall(message.attr_path, (), {}):
            return super()._handle_receive(message)
        error = NotPublic(
            f"a peer's proxy has {', '.join(f'{name}()' for (name,) in PUBLIC_CALLS)} and no "
            f"{'.'.join(path)}; what else a peer does is asked by `Raft`"
        )
        if self.actor_ref.actor_inbox.current.reply_to is not None:
            raise error
        logger.warning("%s: %s", self.name, error)  # deferred: nobody waits for an answer
        return None

    def take(self, event: Any) -> None:
        kind = type(event)
        if kind is Ask:
            self.asked.append(event)
        elif kind in EVENTS:
            self.step(event)
        elif kind is TakeSnapshot:
            self.snapshotting.ask(event.ticket)
        elif kind is WriterEnded:
            self.snapshotting.ended(event)
        else:  # any actor may be told anything, by its name and from other nodes too
            logger.warning(
                "%s was told what it does not understand: %s", self.name, text_of(event, shortened)
            )

    def look_later(self) -> None:
        self.look = timer.send_after(LOOK_S, self.actor_ref, LOOK)

    def go_on_soon(self) -> None:
        tell_if_alive(self.actor_ref, MORE)

    def on_idle(self) -> None:
        self.peers.await_news(self)

    def on_visit(self, message: Any) -> None:
        """Step what the bridge brings; what then is more than to send is left to the own thread."""
        self.on_receive(message)
        self.due = due = self.core.flush()
        if self.is_talk(due):
            self.carry_out(due)
        else:
            self.go_on_soon()

    def after_visits(self) -> None:
        if self.due is not None:
            self.carry_out(self.due)

    def is_talk(self, due: Effects) -> bool:
        """Tell whether nothing is due but messages: no disk, nobody's code, nobody who waits."""
        return not (
            due.is_more_than_messages()
            or self.reads or self.asked or self.may_apply() or self.snapshotting.has_work()
        )  # fmt: skip

    # Effects, lane by lane. This order is the proof of durability.

    def on_drained(self) -> None:
        self.due = self.core.flush()
        self.carry_out(self.due)

    def carry_out(self, due: Effects) -> None:
        core, peers, trace = self.core, self.peers, self.trace
        if due.early:
            self.say(due.early)
        if due.ballot is not None or due.entries:
            if self.fenced:
                raise AssertionError("another process may own the store by now")
            took_s = self.save(due)
            if trace is not None:
                trace.saved(due)
            if due.entries:
                self.step(
                    Written(
                        last_index=core.log.last_index, last_term=core.log.last_term, took_s=took_s
                    )
                )
        if due.compact is not None:
            self.store.compact(*due.compact)
        if due.restart is not None or due.compact is not None:
            self.store.snapshots.reached(core.snapshot)
        for chunk in due.chunks:
            self.take_chunk(chunk)
        if due.doubted is not None:
            self.snapshotting.look_at(due.doubted)
        if due.send:
            self.say(due.send)
        if self.snapshotting.image is None:
            self.apply()
        self.reads += due.reads
        if self.reads:
            self.answer_reads()
        for ticket, answer in due.answers:
            ticket.set(encoded(answer))
        for ask in self.asked:
            ask.ticket.set(terms.dumps_stored(getattr(self, ask.what)(*ask.arguments)))
        self.asked = []
        if due.news is not None:
            self.announce(due.news)
        for trouble in due.troubles:
            self.complain(trouble)
        if trace is not None:
            trace.end_batch(self.applied.index)
        peers.node.flush()
        self.due = None
        self.set_alarm()
        if self.snapshotting.go_on() or self.may_apply():
            self.go_on_soon()

    def say(self, messages: list[Message]) -> None:
        """Send these now, for others wait for them while this peer saves, or applies.

        With a trace they leave for other nodes as the batch ends, after what it tells is written.
        """
        if self.trace is not None:
            self.trace.sent(messages)
        self.peers.send(messages, at_once=self.trace is None)

    def save(self, due: Effects) -> float:
        """Make ballot and entries durable; return how many seconds that took.

        A disk that refuses ends this peer: nothing may be promised any more. Its supervisor tries
        again later, and as a leader it names a successor as it goes.
        """
        self.disk.begin()
        try:
            self.persist(due)
        except StoreError as error:
            self.disk.refused(error)
            raise
        return self.disk.end()

    def persist(self, due: Effects) -> None:
        ballot = due.ballot.stored() if due.ballot is not None else None
        if due.restart is not None:
            assert ballot is not None, "a ballot names a configuration of the log before"
            self.store.restart(ballot, *due.restart, due.entries)
        else:
            self.store.save(ballot, due.first, due.entries)

    def announce(self, news: News) -> None:
        before, self.news = self.news, news
        if before is None or (before.leader, before.term) != (news.leader, news.term):
            logger.info(
                "%s: %s in term %d, leader %s", self.name, news.role, news.term, news.leader
            )
        if before is None or before.leader != news.leader:
            publish(LeaderChanged(self.address, news.leader, news.term))

    def complain(self, trouble: Trouble) -> None:
        level = logging.WARNING if trouble.what in HEALS else logging.ERROR
        logger.log(level, "%s: %s", self.name, in_words(trouble, self.address))

    def set_alarm(self) -> None:
        """Have the timer ring when the core wants a Tick, but not once for every heartbeat heard.

        An alarm that rings too early is set again then; only a later one must be moved. Those of
        several peers ring together, up to a fifth of a heartbeat's time later: what they send
        and are answered then travels together, too.
        """
        wanted = self.core.alarm
        if wanted < inf and not self.peers.is_alone(self):
            beat_s = self.config.heartbeat_timeout / TOGETHER
            wanted = ceil(wanted / beat_s) * beat_s
        if self.alarm is not None:
            if self.ring_at <= wanted:  # not `deadline`, which is some microseconds later
                return
            self.alarm.cancel()
            self.alarm = None
        if wanted < inf:
            self.ring_at = wanted
            self.alarm = timer.send_after(wanted - time.monotonic(), self.bell, TICK)

    # The end.

    def asked_to_end(self, reason: Any) -> None:
        """Hand the office over first, if there is one, so that nobody waits for a timeout.

        The order to hand over is answered in every case, within an election timeout.
        """
        if self.ending is None:
            self.ending = reason
            self.take(Transfer(None, HandedOver(self)))

    def say_farewell(self) -> None:
        farewell = self.core.role.farewell()
        self.core.sign(farewell)
        if self.trace is not None:
            self.trace.sent(farewell)
            self.trace.flush()
        self.peers.send(farewell)

    def terminate(self, reason: Any) -> None:
        """Leave nobody waiting, and the store closed for the next owner."""
        core, due = self.core, self.due
        try:
            self.snapshotting.give_up()
            self.peers.left(self)
            self.say_farewell()
            core.role.leave()
            core.give_up_founding(("error", "peers_not_responding"))
            # What the batch that ended it owes, if one did, is owed still.
            for ticket, answer in (due.answers if due else []) + core.effects.answers:
                ticket.set(encoded(answer))
            self.snapshotting.answer_all(NO_PEER)
            for read in self.reads + (due.reads if due else []) + core.effects.reads:
                read.ticket.set(encoded(redirect(None)))
            for ask in self.asked:
                ask.ticket.set(encoded(NO_PEER))
            self.peers.node.flush()
        finally:
            self.release()
            if self.trace is not None:
                self.trace.close(reason)

    def abandoned(self) -> None:
        """Killed: what is said here, that an outcome is unknown and others may lead, is true."""
        self.terminate("killed")

    def release(self) -> None:
        """Let go of what would keep a successor from starting."""
        self.stop_watching()
        for each in (self.alarm, self.look):
            if each is not None:
                each.cancel()
        try:
            if hasattr(self, "applied"):
                self.applied.close()
        finally:
            try:
                self.store.close()  # else its lock stays, and no successor ever starts
            finally:
                self.released.set()

    @staticmethod
    def undelivered(message: Any) -> None:
        events = message if isinstance(message, list) else [message]
        refuse(events, encoded(NO_PEER))


@dataclass(slots=True)
class Before:
    """What a peer that is restarted had before: the mark of its store, None at the first start.

    It must find that store again: an empty one would found its declared group anew, and a copy may
    have forgotten a vote.
    """

    mark: Mark | None = None


@dataclass(frozen=True, slots=True)
class Bell:
    """What the timer tells of an alarm, for the node to bring it to the peer."""

    peer: Peer

    def tell(self, tick: Tick) -> None:
        self.peer.peers.bring_soon(self.peer, tick)


@dataclass(frozen=True, slots=True)
class HandedOver:
    """The ticket of a leader that hands over because it was asked to end."""

    peer: Peer

    def set(self, _answer: Any) -> None:
        self.peer.exit(self.peer.ending)


def milliseconds(wall_s: float) -> int:
    """Return the time of a wall clock, which may be wrong by centuries, as an entry can have it."""
    return min(max(int(wall_s * 1000), 0), TIME_MAX)


def fitting(config: Config, of_node: Config) -> Config:
    """Bound what goes into one message by what the node's frames hold."""
    return replace(
        config,
        command_bytes_max=min(config.command_bytes_max, of_node.command_bytes_max),
        append_bytes_max=min(config.append_bytes_max, of_node.frame_bytes_max // 2),
        snapshot_chunk_bytes=min(config.snapshot_chunk_bytes, of_node.frame_bytes_max // 2),
    )


def data_path(name: str, config: Config, peers: "Peers") -> Path:
    """Return `config.data_dir` as it is, or a directory for this peer under its node's."""
    if config.data_dir is not None:
        return Path(config.data_dir)
    return (peers.node.data_dir or absolute("data")) / peers.node.name / name


def look_beside(path: Path, peer: Address) -> None:
    """Raise DataDirInUse where `peer` would begin anew beside its directory on a host of before;
    warn where it does beside that of its name on another node, which may be what was meant.
    A name may have its node's in it.

    One that is in use is that of a peer which runs, here or on another host that shares the disk.
    """
    if (path / "store.json").exists():
        return
    name, node = peer
    for found in sorted(path.parent.parent.glob("*@*/*/store.json")):
        was, before = found.parent.name, found.parent.parent.name
        if before == node or was.replace(before, "@") != name.replace(node, "@"):
            continue
        if is_in_use(found.parent):
            continue
        if before.partition("@")[0] != node.partition("@")[0]:
            logger.warning(
                "%s on %s begins anew, empty. %s, of %s, is beside it and not in use: if that one "
                "was meant, start this node as %s", name, node, found.parent, before, before,
            )  # fmt: skip
        else:
            raise DataDirInUse(
                f"{name} on {node} would begin anew, empty, for {path} is not there; but "
                f"{found.parent} is, of {was} on {before}: was this host renamed? Start the node "
                f"by its old name, Node.start({before!r}), and {was} goes on; or else move that "
                "directory away, or give the node a data_dir of its own"
            )
