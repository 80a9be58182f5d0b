"""Replica: one member of a group without a thread: protocol, log and snapshots, state machine.

Whoever owns it hands it events, `handle`, and then has their effects done, `flush`: the more events
came meanwhile, the larger the batch. `perform` does them lane by lane.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from raft_actors import encoding
from raft_actors.config import Config
from raft_actors.core.effects import Effects
from raft_actors.core.entry import TIME_MAX
from raft_actors.core.follower import Follower
from raft_actors.core.messages import Message, Written
from raft_actors.core.replies import NO_PEER, redirect
from raft_actors.core.server import Server
from raft_actors.machine.contract import Machine
from raft_actors.machine.replicated_state import NOWHERE, WITNESS, ReplicatedState
from raft_actors.machine.witness_state import WitnessState
from raft_actors.names import Address
from raft_actors.replica.applier import Applier
from raft_actors.replica.environment import Environment
from raft_actors.replica.inspection import Inspection
from raft_actors.replica.recovery import Recovered, recover
from raft_actors.replica.requests import Ask, TakeSnapshot, encoded
from raft_actors.replica.snapshotter import SLICE_S, Snapshotter, WriterEnded
from raft_actors.replica.trace import open_trace
from raft_actors.stores import LogStore

__all__ = ["Replica"]

EVENTS = frozenset(Follower.handlers)
"""What the core takes, in whatever role."""


class Replica:
    """One member of a Raft group, from a start to its end. Only one thread may be in it at a time.

    A StoreError, and whatever else is raised here, ends it: the owner starts another, which
    recovers from the store.

    core         the protocol
    applier      the state, and how the log becomes it
    snapshotter  snapshots of that state
    inspection   what it tells of itself
    step         has the core take an event, and the trace tell of it if there is one
    due          the effects that are being done; left over when one of them raised
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
        """Take up where the store ends. The state is the snapshot's, or the one on disk, and goes
        on from there as the leader says what is committed.

        directory  where a state on disk is kept
        slice_s    how long a snapshot takes the state in before other work is looked at

        Raises StoreError, MachineTooOld, and what the machine raises.
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
            self.core = core = self.make_core(address, found, applied)
            core.has_witness_directory = is_witness
            self.trace = open_trace(config.trace, core)
        except BaseException:
            applied.close()
            raise
        self.step = core.step if self.trace is None else self.trace.step
        self.snapshotter = Snapshotter(
            core, store.snapshots, config, environment, self.step, slice_s=slice_s
        )
        self.applier = Applier(
            core, store.snapshots, config, environment, self.step, self.snapshotter, applied,
            make_witness,
        )  # fmt: skip
        self.inspection = Inspection(core, store.snapshots, config, self.applier)
        self.applier.report_missing_state(snapshot.configuration)
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
        """What is stepped from now on happens now."""
        core, environment = self.core, self.environment
        core.now = environment.clock()
        core.wall_ms = milliseconds(environment.wall_clock())

    def handle(self, events: Iterable[Any]) -> None:
        """Take events of the core, and what clients ask, in order; `flush` does what follows."""
        self.look_at_clocks()
        for event in events:
            self.handle_one(event)

    def handle_one(self, event: Any) -> None:
        kind = type(event)
        if kind in EVENTS:
            self.step(event)
        elif kind is Ask:
            self.asked.append(event)
        elif kind is TakeSnapshot:
            self.snapshotter.ask(event.ticket)
        elif kind is WriterEnded:
            self.snapshotter.ended(event)
        else:
            self.environment.on_unknown(event)

    # Effects, lane by lane. This order is the proof of durability.

    def flush(self) -> None:
        """Do what follows from all that was handled."""
        self.due = self.core.flush()
        self.perform(self.due)

    def flush_messages(self) -> bool:
        """Do what follows from all that was handled, where that is nothing but to send: no disk,
        nobody's code, nobody who waits. Return False where it is more; then `finish` it.
        """
        self.due = due = self.core.flush()
        if (
            due.needs_own_thread() or self.applier.reads or self.asked
            or self.may_apply() or self.snapshotter.has_work(self.applier.applied)
        ):  # fmt: skip
            return False
        self.perform(due)
        return True

    def finish(self) -> None:
        """Do what `flush_messages` has left."""
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
        if self.snapshotter.image is None:
            applier.apply()
        applier.answer_reads(due.reads)
        for ticket, answer in due.answers:
            ticket.set(encoded(answer))
        for ask in self.asked:
            answer = getattr(self.inspection, ask.what)(*ask.arguments)
            ask.ticket.set(encoding.dumps_stored(answer))
        self.asked = []
        if due.role_change is not None:
            environment.on_role(due.role_change)
        for trouble in due.troubles:
            environment.on_trouble(trouble)
        if trace is not None:
            trace.end_batch(applier.applied.index)
        environment.flush()
        self.due = None
        environment.wake_at(core.alarm)
        if self.snapshotter.go_on(applier.applied) or self.may_apply():
            environment.continue_soon()

    def may_apply(self) -> bool:
        return (
            self.applier.applied.index < self.core.commit_index and self.snapshotter.image is None
        )

    def send(self, messages: list[Message]) -> None:
        """Send these now, for others wait for them while this replica saves, or applies.

        With a trace they leave for other nodes as the batch ends, after what it tells is written.
        """
        if self.trace is not None:
            self.trace.sent(messages)
        self.environment.send(messages, at_once=self.trace is None)

    def persist(self, due: Effects) -> None:
        """Make ballot and entries durable, in one batch."""
        ballot = due.ballot.stored() if due.ballot is not None else None
        if due.restart is not None:
            assert ballot is not None, "a ballot names a configuration of the log before"
            self.store.restart(ballot, *due.restart, due.entries)
        else:
            self.store.save(ballot, due.first, due.entries)

    # The end.

    def send_last_messages(self) -> None:
        """A leader names its successor as it goes."""
        messages = self.core.role.last_messages()
        self.core.stamp_incarnations(messages)
        if self.trace is not None:
            self.trace.sent(messages)
            self.trace.flush()
        self.environment.send(messages, at_once=False)

    def end(self) -> None:
        """Leave nobody waiting. What the batch that ended it owes, if one did, is owed still."""
        core, due = self.core, self.due
        self.send_last_messages()
        core.role.leave()
        core.give_up_founding(("error", "peers_not_responding"))
        for ticket, answer in (due.answers if due else []) + core.effects.answers:
            ticket.set(encoded(answer))
        self.snapshotter.answer_all(NO_PEER)
        for read in self.applier.reads + (due.reads if due else []) + core.effects.reads:
            read.ticket.set(encoded(redirect(None)))
        for ask in self.asked:
            ask.ticket.set(encoded(NO_PEER))
        self.environment.flush()

    def close(self) -> None:
        """Let go of a state on disk; the store is its owner's."""
        self.applier.applied.close()


def milliseconds(wall_s: float) -> int:
    """Return the time of a wall clock, which may be wrong by centuries, as an entry can have it."""
    return min(max(int(wall_s * 1000), 0), TIME_MAX)
