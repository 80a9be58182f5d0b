"""ReplicatedState: a user's state machine with its state, after a number of applied entries."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from raft_actors import encoding
from raft_actors.core.digests import Comparison, comparison_in
from raft_actors.core.entry import (
    COMMAND,
    NOOP,
    VERSION,
    RequestId,
    command_of,
    has_extensions,
    kind_of,
    request_of,
    term_of,
    version_of,
)
from raft_actors.core.log import Log
from raft_actors.core.snapshot import Snapshot
from raft_actors.effects import Effect, Notify, Tell, TimerFired
from raft_actors.errors import (
    MachineTooOld,
    RaftError,
    StoreCorrupt,
    StoreError,
    UpgradeFailed,
    in_text,
)
from raft_actors.machine.contract import (
    DiskState,
    Machine,
    check_version,
    disk_state_of,
    reply_of,
    triple_of,
)
from raft_actors.machine.digits import check_digits
from raft_actors.machine.duties import ACKED, Duties, checked
from raft_actors.machine.exceptions import (
    MachineExceptions,
    depends_on_host,
    first_state,
)
from raft_actors.machine.meta import Meta
from raft_actors.machine.sessions import END, LIMITS, NEW, REPLY, Sessions, reply_at
from raft_actors.machine.state_checks import (
    can_be_saved,
    changed_type,
    check_none,
    keep,
    snapshot_of,
)
from raft_actors.machine.state_digest import StateDigest
from raft_actors.machine.state_image import StateImage, opened, put_together
from raft_actors.machine.topics import Topics
from raft_actors.names import Address
from raft_actors.stores.snapshots import Snapshots

__all__ = ["ReplicatedState"]

logger: logging.Logger = logging.getLogger("raft_actors.state_machine")

NOTHING = encoding.dumps(None)
NO_TERM = encoding.dumps(("error", ("exception", "ValueError", "the command is no term")))

NOWHERE = Path()
WITNESS = "witness"
"""Kind of a snapshot without a state, see raft_actors/machine/witness_state.py."""


class ReplicatedState:
    """The state machine's state and the clients' sessions, after entry `index` of the log.

    compared_before  the newest comparison of digests among the entries that were passed over at the
                     start

    Replies are encoded here, once. So a client in this process and a client on another node get
    equal values, and neither shares an object with the state.

    duties    the timers, and the messages in the outbox
    tells     (term of the entry, receiver, encoded message) for each `Tell` of this batch
    topics    what the commands have changed lately, for clients that wait for it
    entry     the entry that is applied now, or was applied last; empty if the state is that of a
              snapshot, or the first one
    term      the term of the snapshot's last entry, if `entry` is empty
    applying  1 while a batch of entries is applied: `entry` has the index after `index` then
    """

    keeps_state = True
    entry: bytes = b""
    term: int = 0
    applying: int = 0

    def __init__(self, machine: Machine, name: str, directory: Path = NOWHERE) -> None:
        """`directory` is the place for a state on disk."""
        self.machine = machine
        self.name = name
        check_version(machine)
        check_digits(name)
        machine.current_version = 1
        self.on_disk: DiskState | None = None
        self.exceptions: MachineExceptions = MachineExceptions(machine, name)
        self.changes_told: set[tuple[type, type]] = set()
        self.state: Any
        if machine.state_is_on_disk:
            machine.directory = directory
            self.state = first_state(machine, name)
            self.on_disk = on_disk = disk_state_of(self.state)
            self.index: int = on_disk.index
            if self.index:
                on_disk.rollback()  # changes by `init` are for a state without any command
            else:
                on_disk.commit()
            self.can_snapshot: bool = True
        else:
            self.state = first_state(machine, name)
            keep(self.state)
            self.index = 0
            self.can_snapshot = can_be_saved(machine, self.state, name)
            if self.state is None and self.can_snapshot:
                check_none(machine)
        self.began_with: type = type(self.state)
        self.compared_before: Comparison | None = None
        self.sessions: Sessions = Sessions()
        self.topics: Topics = Topics(self.index)
        self.duties: Duties = Duties()
        self.tells: list[tuple[int, Address | str, bytes]] = []
        machine._raft_place = self

    def meta(self) -> Meta:
        """Return the place in the log, for `StateMachine.meta`. It is made only for a machine that
        asks for it. While a command is applied, it is the place of the command's entry; else, as in
        a read, that of the last entry that was applied.
        """
        entry, session = self.entry, 0
        if entry and self.applying and kind_of(entry) == COMMAND:
            session, sequence = request_of(entry)
        return Meta(
            self.index + self.applying,
            self.last_term(),
            self.sessions.now_ms,
            (session, sequence) if session else None,
        )

    def last_term(self) -> int:
        """Return the term of the entry that is applied now, or was applied last."""
        return term_of(self.entry) if self.entry else self.term

    # Versions.

    @property
    def version(self) -> int:
        """The version that the state machine runs as, by the log. `machine.version` is the newest
        version that it can run as.
        """
        return self.machine.current_version

    def upgrade(self, version: int) -> None:
        """Upgrade the state step by step to `version`, and run the following commands as `version`.

        Raises MachineTooOld and UpgradeFailed. This replica must then stop, as it can't apply the
        following commands like the others.
        """
        machine = self.machine
        self.check_known(version)
        while machine.current_version < version:
            step = machine.current_version
            try:
                state = machine.upgrade(self.state, step)
                self.refuse_another(state, self.state)
                keep(state)
            except (MemoryError, StoreError):
                raise
            except Exception as error:
                raise UpgradeFailed(
                    f"{self.name}: {type(machine).__name__}.upgrade(state, {step}) raised "
                    f"{': '.join(in_text(error))}; every replica stops at entry "
                    f"{self.index + 1}: install a version whose upgrade works"
                ) from error
            self.state = state
            machine.current_version = step + 1
            logger.info("%s: the state machine runs as version %d from entry %d on",
                        self.name, step + 1, self.index + 1)  # fmt: skip

    def check_known(self, version: int) -> None:
        """Raise MachineTooOld unless this program can run as `version`."""
        machine = self.machine
        if version > machine.version:
            raise MachineTooOld(
                f"{self.name}: its group runs version {version} of {type(machine).__name__}, and "
                f"this program has version {machine.version}: install one that has version "
                f"{version} or later"
            )

    # Snapshots.

    def image(self) -> StateImage:
        """Begin a copy of the present state. Raises the exceptions of the state machine, and
        TypeError if `restored` would refuse the result.
        """
        if self.on_disk is not None:
            self.on_disk.sync()  # the log is compacted after the snapshot
        data = self.what_snapshot_gives()
        if self.state is None and self.began_with is not type(None) and data is not None:
            raise TypeError(
                "the state is None, which can't be told from a restore that forgets to return it"
            )
        return StateImage(data, self.sessions.stored(), self.duties.stored())

    def digest(self) -> StateDigest:
        """Begin a digest of the present state. Raises the exceptions of the state machine."""
        duties = self.duties.stored()
        return StateDigest(self.what_snapshot_gives(), self.sessions, self.version, duties)

    def what_snapshot_gives(self) -> Any:
        return snapshot_of(self.machine, self.state)

    def restore(self, snapshots: Snapshots, snapshot: Snapshot) -> None:
        """Replace the state by that of a snapshot. After an error the state is the one before.

        Raises StoreCorrupt if the snapshot is damaged; MachineTooOld or another RaftError if the
        state machine can't restore it.
        """
        header = snapshots.header(snapshot)
        self.check_known(header.machine)
        if header.kind == WITNESS:
            raise StoreCorrupt(
                f"{self.name}: the snapshot of entry {snapshot.index} is a witness's and holds no "
                "state: remove this peer from its group, give it an empty data directory, and add "
                "it again"
            )
        sessions, duties, rest = opened(snapshots.pieces(snapshot))
        machine, version = self.machine, self.version
        machine.current_version = header.machine
        try:
            data = put_together(header.kind, (term for _kind, term in rest))
            state = self.restored(data, snapshot)
            for _ in rest:  # read up to the END block, which checks that no block is missing
                pass
        except BaseException:
            machine.current_version = version
            raise
        self.state, self.sessions, self.index = state, sessions, snapshot.index
        self.topics.restart(self.index)
        self.duties = duties
        self.entry, self.term = b"", snapshot.term
        self.end_batch()

    def forget(self) -> None:
        """Remove a state on disk, because a snapshot is about to take its place. Otherwise a peer
        that is restarted in between would go on with this state, which may be newer than the
        snapshot, and wrong.
        """
        if self.on_disk is not None:
            self.on_disk.forget()

    def restored(self, data: Any, snapshot: Snapshot) -> Any:
        try:
            state = self.machine.restore(data)
            self.refuse_another(state, data)
            keep(state)
        except (MemoryError, RaftError):
            raise
        except Exception as error:
            raise RaftError(
                f"{type(self.machine).__name__}.restore could not take the snapshot of entry "
                f"{snapshot.index}: {': '.join(in_text(error))}; run the version that took it"
            ) from error
        return state

    def refuse_another(self, state: Any, made_of: Any = None) -> None:
        """Raise TypeError if `state` is to replace a state on disk: the new one would be lost at
        the next start, on this replica only. Also if `state` is None and was made of something
        else: code that changes a state in place may have forgotten to return it.
        """
        if self.on_disk is not None and state is not self.state:
            raise TypeError(
                "a state on disk is changed in place: return the state that was given, not "
                f"{type(state).__name__}"
            )
        if state is None and made_of is not None:
            raise TypeError("it must return the state, and it returned None")

    def catch_up_sessions(self, snapshots: Snapshots, snapshot: Snapshot, log: Log) -> None:
        """Bring sessions and version to the index of a state on disk, whose commands have run
        already.

        Raises StoreCorrupt if the state is ahead of the log, MachineTooOld if the state has a
        version that this program does not know.
        """
        if self.index > log.last_index:
            raise StoreCorrupt(
                f"the state in {self.machine.directory} is that after entry {self.index}, and the "
                f"log ends at {log.last_index}: move the state away, and the peer makes it anew"
            )
        if snapshot.index:
            self.sessions, _, _ = opened(snapshots.pieces(snapshot))
            self.found_at(snapshots.header(snapshot).machine)
        index = snapshot.index
        while index < self.index:
            for entry in log.some(index + 1, self.index):
                index += 1
                self.pass_over(index, entry)

    def pass_over(self, index: int, entry: bytes) -> None:
        """Note an entry that was applied before the peer was restarted."""
        self.entry = entry
        if kind_of(entry) == COMMAND:
            command, request, time_ms = command_of(entry)
            sessions = self.sessions
            sessions.now_ms = max(sessions.now_ms, time_ms)
            if request[0] == NEW:
                sessions.open(index, request[1])
            elif request[0] == END:
                sessions.end(request[1])
            elif request[0] == LIMITS:
                sessions.limit(command)
            elif 0 < request[0] < LIMITS:
                sessions.pass_over(request, command, index)
        elif kind_of(entry) == VERSION:
            self.found_at(version_of(entry))
        elif kind_of(entry) == NOOP and has_extensions(entry):
            self.compared_before = comparison_in(entry) or self.compared_before

    def found_at(self, version: int) -> None:
        """Note that the state is of this version or of a later one."""
        self.check_known(version)
        self.machine.current_version = max(self.version, version)

    def begin_batch(self) -> None:
        """Prepare to apply a batch of entries. Raises HostError, see `check_digits`."""
        check_digits(self.name)
        self.applying = 1
        self.tells.clear()

    def end_batch(self) -> None:
        """End a batch: a state on disk writes its changes."""
        self.applying = 0
        if self.on_disk is not None:
            self.on_disk.flush(self.index)

    def close(self) -> None:
        if self.on_disk is not None:
            self.on_disk.close()

    # Commands and queries.

    def write(self, command: bytes, request: RequestId = (0, 0), time_ms: int = 0) -> bytes:
        """Apply the command of the next entry and return the encoded answer; see `sessions`.

        Replicated time is the latest of the times of all commands, so a leader whose clock is
        behind the clock of the leader before does not set it back.
        """
        sessions = self.sessions
        if time_ms > sessions.now_ms:
            sessions.now_ms = time_ms
        number, sequence = request
        if not number:
            return self.run(command)
        if number < LIMITS:
            return sessions.once(request, self.run, command, self.index + 1)
        if number == NEW:
            return sessions.open(self.index + 1, sequence)
        if number == END:
            return sessions.end(sequence)
        if number == LIMITS:
            return sessions.limit(command)
        return self.end_duty(command, number, sequence)

    def run(self, command: bytes, fired: TimerFired | None = None) -> bytes:
        """Run one command, or that of a timer which has fired, and return its encoded reply.

        An exception of the command is a result like any other, and is the same on every replica:
        the state stays the one before the command, and the group goes on. But an exception that
        depends on this host, or a failure of the disk with the state, ends this peer: the other
        replicas may have another result.

        Raises HostError and StoreError.
        """
        state = self.state
        try:
            try:
                asked = fired or encoding.loads(command, check_hashes=False)
            except ValueError as error:  # only a foreign client sends bytes that are no value
                logger.info("%s: entry %d: %s", self.name, self.index + 1, error)
                return NO_TERM
            result, effects = self.machine.handle_write(asked, state), ()
            if type(result) is tuple and len(result) == 2:
                reply, changed = result
            else:
                reply, changed, effects = triple_of(result, asked)
            if changed is not state:
                self.refuse_another(changed)
            if effects:
                effects = checked(effects, on_disk=self.on_disk is not None)
                self.duties.check_room(effects)
            encoded = encoding.dumps(reply, "reply", check_hashes=False)
        except StoreError:
            raise
        except BaseException as error:  # SystemExit of one command must not end every replica
            if depends_on_host(error):
                raise self.exceptions.host_error(self.index + 1, error) from error
            if hasattr(state, "rollback"):
                state.rollback()
            return self.exceptions.reply("handle_write", error)
        if hasattr(changed, "commit"):
            changed.commit()
        self.state = changed
        if effects:
            self.take_effects(effects)
        if type(changed) is not type(state):
            self.tell_of_change(state, changed)
        return encoded

    def tell_of_change(self, before: Any, after: Any) -> None:
        """Warn if a command has changed the type of the state, once for each pair of types: `return
        reply, state.update(...)` makes None of it by mistake. A change from None to something is
        not logged, because states may begin as None.
        """
        change = type(before), type(after)
        if before is None or change in self.changes_told:
            return
        self.changes_told.add(change)
        logger.warning("%s: %s", self.name, changed_type(self.machine, before, after, self.index))

    def take_effects(self, effects: list[Effect]) -> None:
        """Note the effects of the command that runs, at every replica. The leader's `Carrier`
        carries them out.
        """
        index = self.index + 1
        for effect in effects:
            if type(effect) is Tell:
                self.note_tell(effect)
            elif type(effect) is Notify:
                self.topics.publish(effect.topic, index)
            else:
                self.duties.take(effect, index)

    def note_tell(self, effect: Tell) -> None:
        message = encoding.dumps(effect.message, "message")
        self.tells.append((self.last_term(), effect.to, message))

    def end_duty(self, command: bytes, kind: int, index: int) -> bytes:
        """Apply an entry that ends the duty that the entry `index` has added. A timer fires: its
        command runs, but only once.
        """
        _word, name, _index = encoding.loads(command, check_hashes=False)
        if not self.duties.end((kind, name), index) or kind == ACKED:
            return NOTHING
        return self.run(command, TimerFired(name, index))

    def read(self, query: bytes) -> bytes:
        """Answer one query, encoded.

        A query that begins with REPLY gets an answer that begins with REPLY and the index of the
        state. So the client can tell errors of the state machine from errors of Raft. A query that
        is only REPLY asks only for the index.
        """
        if not query.startswith(REPLY):
            return self.look(query)
        asked = query[len(REPLY) :]
        return reply_at(self.index, self.look(asked) if asked else b"")

    def look(self, query: bytes) -> bytes:
        """Return the state machine's reply to a query. An exception becomes the reply to this
        client only; but MemoryError and StoreError end the peer, see `run`."""
        try:
            reply = reply_of(
                self.machine.handle_read(encoding.loads(query), self.state), self.state
            )
            return encoding.dumps(reply, "reply")
        except (MemoryError, StoreError):
            raise
        except BaseException as error:  # SystemExit of one command must not end every replica
            return self.exceptions.reply("handle_read", error)
        finally:
            if hasattr(self.state, "rollback"):
                self.state.rollback()

    def lead(self) -> None:
        """Call the state machine because this replica leads."""
        self.call("on_leader", self.ask_to_lead)

    def ask_to_lead(self) -> None:
        """Call `on_leader`. Changes of the state are taken back: no other replica makes them."""
        try:
            for effect in checked(self.machine.on_leader(self.state) or (), on_disk=False):
                if type(effect) is not Tell:
                    raise TypeError(f"on_leader returns Tells; {effect!r} comes with a command")
                self.note_tell(effect)
        finally:
            if hasattr(self.state, "rollback"):
                self.state.rollback()

    def follow(self) -> None:
        """Call the state machine because this replica is no leader any more."""
        self.call("on_follower", self.machine.on_follower)

    def call(self, method: str, function: Callable[[], None]) -> None:
        """Call a method of the state machine that answers nobody. An exception is logged, and the
        peer goes on; but MemoryError and StoreError end the peer, see `run`.
        """
        try:
            function()
        except (MemoryError, StoreError):
            raise
        except BaseException as error:
            self.exceptions.log(method, error, in_text(error)[1])
