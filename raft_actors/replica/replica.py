"""Replica: one member of a group, without a thread: protocol, log and snapshots, state machine.

Its owner passes events to `handle`, and then calls `flush`, which performs their effects. All
events that came meanwhile are one batch, so a busier replica has larger batches. `perform` performs
the effects lane by lane.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from raft_actors import encoding
from raft_actors.config import Config
from raft_actors.core.divergence import note_comparison
from raft_actors.core.effects import Effects
from raft_actors.core.entry import TIME_MAX
from raft_actors.core.follower import Follower
from raft_actors.core.messages import Event, Message, Written
from raft_actors.core.replies import NO_PEER, redirect
from raft_actors.core.server import Server
from raft_actors.machine.contract import Machine
from raft_actors.machine.replicated_state import NOWHERE, WITNESS, ReplicatedState
from raft_actors.machine.witness_state import WitnessState
from raft_actors.names import Address
from raft_actors.replica.applier import Applier
from raft_actors.replica.carrier import Carrier, Delivered
from raft_actors.replica.digester import DigestEnded, Digester
from raft_actors.replica.environment import Environment
from raft_actors.replica.inspection import Inspection
from raft_actors.replica.leadership import Leadership
from raft_actors.replica.parked_calls import PARKING, ParkedCalls
from raft_actors.replica.recovery import Recovered, recover
from raft_actors.replica.requests import Ask, TakeSnapshot, encoded
from raft_actors.replica.snapshotter import SLICE_S, Snapshotter, WriterEnded
from raft_actors.replica.trace import Trace, open_trace
from raft_actors.stores import LogStore

__all__ = ["Replica"]

EVENTS = frozenset(Follower.handlers)
"""The events that the core handles in every role."""


class Replica:
    """One member of a Raft group, from its start to its end. Only one thread at a time may call it.

    Every exception here, like StoreError, ends the replica: its owner starts a new one, which
    recovers from the store.

    core         the protocol
    applier      applies the log to the state
    snapshotter  takes snapshots of the state
    parked       the calls of clients that wait for news
    digester     makes digests of the state
    inspection   answers questions about the replica, like its status
    carrier      carries out the effects of commands, if this replica leads
    leadership   tells the state machine whether this replica leads
    step         steps an event in the core, and writes it to the trace if there is one
    due          the effects that are being performed; they stay here if one of them raises
    """

    def __init__(
        self,
        address: Address,
        config: Config,
        store: LogStore,
        machine: Machine,
        environment: Environment,
        *,
        directory: Path = NOWHERE,
        make_state: Callable[[Machine, str, Path], ReplicatedState] = ReplicatedState,
        make_witness: Callable[[Machine, str, int], ReplicatedState] = WitnessState,
        slice_s: float = SLICE_S,
    ) -> None:
        """Begin with the content of the store. The state is that of the newest snapshot, or the one
        on disk. Later entries are applied again when this replica learns that they are committed.

        directory  where a state on disk is kept
        slice_s    for how long a snapshot may copy the state before other work is done

        Raises StoreError, MachineTooOld, and the exceptions of the state machine.
        """
        self.config = config
        self.store = store
        self.environment = environment
        found = recover(store, config)
        snapshot = found.snapshot
        is_witness = snapshot.configuration.makes_stateless(address, found.incarnation) or (
            snapshot.index > 0 and store.snapshots.header(snapshot).kind == WITNESS
        )
        applied = (
            make_witness(machine, address[0], 0)
            if is_witness
            else make_state(machine, address[0], directory)
        )
        try:
            if applied.on_disk is not None:
                applied.on_disk.belong_to(found.incarnation)
            if applied.index < snapshot.index:
                applied.restore(store.snapshots, snapshot)
            elif applied.index:  # on disk
                applied.catch_up_sessions(store.snapshots, snapshot, found.log)
            core = self.make_core(address, found, applied)
            self.core: Server = core
            core.has_witness_directory = is_witness
            self.trace: Trace | None = open_trace(config.trace, core)
        except BaseException:
            applied.close()
            raise
        self.step: Callable[[Event], None] = core.step if self.trace is None else self.trace.step
        self.snapshotter: Snapshotter = Snapshotter(
            core, store.snapshots, config, environment, self.step, slice_s=slice_s
        )
        self.digester: Digester = Digester(core, environment, self.step, slice_s=slice_s)
        self.applier: Applier = Applier(
            core, store.snapshots, config, environment, self.step, self.snapshotter, self.digester,
            applied, make_witness,
        )  # fmt: skip
        self.parked: ParkedCalls = ParkedCalls(core, config, lambda: self.applier.applied)
        self.inspection: Inspection = Inspection(
            core, store.snapshots, config, self.applier, self.parked
        )
        self.leadership: Leadership = Leadership(core, applied)
        self.carrier: Carrier = Carrier(core, environment)
        self.applier.report_missing_state(snapshot.configuration)
        if applied.compared_before is not None:
            note_comparison(core, applied.compared_before)
        self.asked: list[Ask] = []
        self.due: Effects | None = None
        self.snapshotter.prune()

    def make_core(self, address: Address, found: Recovered, applied: ReplicatedState) -> Server:
        environment = self.environment
        core = Server(
            address, config=self.config, random=environment.random, ballot=found.ballot,
            log=found.log, incarnation=found.incarnation, now=environment.clock(),
            snapshots=self.store.snapshots, snapshot=found.snapshot, incoming=found.incoming,
            commit_index=applied.index, machine_version_max=applied.machine.version,
            frame_bytes_max=environment.frame_bytes_max_to,
        )  # fmt: skip
        core.machine_version = applied.version
        return core

    # Events.

    def look_at_clocks(self) -> None:
        """Set the core's clocks to now, for the events that are stepped next."""
        core, environment = self.core, self.environment
        core.now = environment.clock()
        core.wall_ms = milliseconds(environment.wall_clock())

    def handle(self, events: Iterable[Any]) -> None:
        """Handle events of the core and requests of clients, in order. `flush` performs their
        effects.
        """
        self.look_at_clocks()
        for event in events:
            self.handle_one(event)

    def handle_one(self, event: Any) -> None:
        kind = type(event)
        if kind in EVENTS:
            self.step(event)
        elif kind is Ask:
            self.asked.append(event)
        elif kind in PARKING:
            self.parked.handle(event)
        elif kind is TakeSnapshot:
            self.snapshotter.ask(event.ticket)
        elif kind is Delivered:
            self.carrier.delivered(event)
        elif kind is WriterEnded:
            self.snapshotter.ended(event)
        elif kind is DigestEnded:
            self.digester.ended(event)
        else:
            self.environment.on_unknown(event)

    # Effects, lane by lane. Durability rests on this order, see `core.effects`.

    def flush(self) -> None:
        """Perform the effects of all events that were handled since the last flush."""
        self.due = self.core.flush()
        self.perform(self.due)

    def flush_messages(self) -> bool:
        """Perform the effects since the last flush if they are only messages to send: nothing to
        save, no call of the user's code, no client to answer. Otherwise perform nothing and return
        False; then the owner must call `finish` on the replica's own thread.
        """
        self.due = due = self.core.flush()
        if (
            due.needs_own_thread() or self.applier.reads or self.asked
            or self.may_apply() or self.snapshotter.has_work(self.applier.applied)
            or self.parked.has_work() or self.carrier.has_work()
            or self.digester.capturing is not None
        ):  # fmt: skip
            return False
        self.perform(due)
        return True

    def finish(self) -> None:
        """Perform the effects that `flush_messages` has left."""
        if self.due is not None:
            self.perform(self.due)

    def perform(self, due: Effects) -> None:
        core, trace, applier, environment = self.core, self.trace, self.applier, self.environment
        if due.before_save:
            self.send(due.before_save)
        if due.ballot is not None or due.entries:
            self.inspection.last_save_s = took_s = environment.save(self.persist, due)
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
            applier.take_chunk(chunk)
        if due.doubted is not None:
            self.snapshotter.look_at(due.doubted)
        if due.after_save:
            self.send(due.after_save)
        if self.is_free():
            applier.apply()
        if self.leadership.wanted:
            self.leadership.look(applier.applied)
        if applier.applied.tells:
            self.carrier.tell(applier.applied)
        if self.carrier.term or applier.applied.duties.exist():
            self.carrier.look(applier.applied)
        if due.reads or applier.reads:
            applier.answer_reads(due.reads)
        for ticket, answer in due.answers:
            ticket.set(encoded(answer))
        for ask in self.asked:
            answer = getattr(self.inspection, ask.what)(*ask.arguments)
            ask.ticket.set(encoding.dumps_stored(answer))
        self.asked = []
        parked, has_more = self.parked, False
        if parked.calls or parked.arrived or parked.answers:
            has_more = parked.look()
        if due.role_change is not None:
            environment.on_role(due.role_change)
        if due.lead is not None:
            environment.on_lead(due.lead)
        for trouble in due.troubles:
            environment.on_trouble(trouble)
        if trace is not None:
            trace.end_batch(applier.applied.index)
        environment.flush()
        self.due = None
        environment.wake_at(self.alarm)
        if self.digester.capturing is not None:
            has_more |= self.digester.go_on()
        if self.snapshotter.go_on(applier.applied) or self.may_apply() or has_more:
            environment.continue_soon()

    @property
    def alarm(self) -> float:
        """When the replica needs a Tick, in seconds of its clock."""
        alarm = self.core.alarm
        if self.parked.calls:
            alarm = min(alarm, self.parked.alarm)
        if self.carrier.due:
            alarm = min(alarm, self.carrier.alarm)
        return alarm

    def may_apply(self) -> bool:
        return self.applier.applied.index < self.core.commit_index and self.is_free()

    def is_free(self) -> bool:
        """Return whether commands may change the state: it is not being copied or noted."""
        return self.snapshotter.image is None and self.digester.capturing is None

    def send(self, messages: list[Message]) -> None:
        """Send `messages` at once, so that the other peers need not wait while this replica saves
        or applies.

        With a trace the messages leave only at the end of the batch, after their lines are written.
        """
        if self.trace is not None:
            self.trace.sent(messages)
        self.environment.send(messages, at_once=self.trace is None)

    def persist(self, due: Effects) -> None:
        """Save ballot and entries in one batch."""
        ballot = due.ballot.stored() if due.ballot is not None else None
        if due.restart is not None:
            assert ballot is not None, "a ballot names a configuration of the log before"
            self.store.restart(ballot, *due.restart, due.entries)
        else:
            self.store.save(ballot, due.first, due.entries)

    # The end.

    def send_last_messages(self) -> None:
        """Send the last messages of the role: a leader sends TimeoutNow to a successor."""
        messages = self.core.role.last_messages()
        self.core.stamp_incarnations(messages)
        if self.trace is not None:
            self.trace.sent(messages)
            self.trace.flush()
        self.environment.send(messages, at_once=False)

    def end(self) -> None:
        """Answer all requests that wait for this replica. If an exception in a batch has ended the
        replica, the answers that are left of this batch are given, too.
        """
        core, due = self.core, self.due
        self.send_last_messages()
        core.role.leave()
        core.give_up_founding(("error", "peers_not_responding"))
        for ticket, answer in (due.answers if due else []) + core.effects.answers:
            ticket.set(encoded(answer))
        self.snapshotter.answer_all(NO_PEER)
        for ticket in core.reseeding.tickets if core.reseeding is not None else ():
            ticket.set(encoded(NO_PEER))
        for read in self.applier.reads + (due.reads if due else []) + core.effects.reads:
            read.ticket.set(encoded(redirect(None)))
        for ask in self.asked:
            ask.ticket.set(encoded(NO_PEER))
        self.parked.end()
        self.environment.flush()

    def close(self) -> None:
        """Close the state on disk, if there is one. The owner of the store closes the store."""
        self.applier.applied.close()


def milliseconds(wall_s: float) -> int:
    """Return the time of a wall clock in the milliseconds of an entry. A clock that is wrong by
    centuries gives the nearest time that an entry can have.
    """
    return min(max(int(wall_s * 1000), 0), TIME_MAX)
