"""ReplicatedState: a user's machine and its state, after a number of entries of the log."""

import inspect
import logging
from pathlib import Path
from typing import Any

from raft_actors import encoding
from raft_actors.core.entry import COMMAND, VERSION, RequestId, command_of, kind_of, version_of
from raft_actors.core.log import Log
from raft_actors.core.snapshot import Snapshot
from raft_actors.errors import (
    MachineTooOld,
    RaftError,
    StoreCorrupt,
    StoreError,
    UpgradeFailed,
    in_text,
)
from raft_actors.machine.contract import (
    RAISED,
    DiskState,
    Machine,
    check_version,
    is_by_default,
    pair_of,
    reply_of,
)
from raft_actors.machine.digits import check_digits
from raft_actors.machine.exceptions import (
    MachineExceptions,
    depends_on_host,
    first_state,
    place_of,
)
from raft_actors.machine.sessions import END, NEW, REPLY, Sessions, reply_at
from raft_actors.machine.state_image import StateImage, opened, pieces_of, put_together
from raft_actors.stores.snapshots import Snapshots

__all__ = ["ReplicatedState"]

logger = logging.getLogger("raft_actors.state_machine")

NO_TERM = encoding.dumps(("error", ("exception", "ValueError", "the command is no term")))

NOWHERE = Path()
WITNESS = "witness"
"""Kind of a snapshot that holds no state: see raft_actors/machine/witness_state.py."""


class ReplicatedState:
    """The state after `index` entries of the log: the machine's, and the clients' sessions.

    Replies are encoded here, once: a caller in this process and one on another node get equal
    values, and none shares an object with the state.
    """

    keeps_state = True

    def __init__(self, machine: Machine, name: str, directory: Path = NOWHERE) -> None:
        """`directory` is where a state that lives on disk is kept."""
        self.machine = machine
        self.name = name
        check_version(machine)
        check_digits(name)
        machine.current_version = 1
        self.on_disk: DiskState | None = None
        self.exceptions = MachineExceptions(machine, name)
        self.changes_told: set[tuple[type, type]] = set()
        self.state: Any
        if machine.state_is_on_disk:
            machine.directory = directory
            self.state = self.on_disk = first_state(machine, name)
            self.index = self.on_disk.index
            if self.index:
                self.on_disk.rollback()  # `init` says what is so before the first command
            else:
                self.on_disk.commit()
            self.can_snapshot = True
        else:
            self.state = first_state(machine, name)
            keep(self.state)
            self.index = 0
            self.can_snapshot = self.try_image()
            self.check_first_none()
        self.began_with = type(self.state)
        self.sessions = Sessions()

    # Versions.

    @property
    def version(self) -> int:
        """What the machine runs as, which the log says; its own version is the newest it can."""
        return self.machine.current_version

    def upgrade(self, version: int) -> None:
        """Move the state on, step by step, and run the commands that follow as `version`.

        Raises MachineTooOld and UpgradeFailed. Then this replica must stop: it can't follow.
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
            logger.info("%s: its machine runs as version %d from entry %d on",
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

    def try_image(self) -> bool:
        """Find out at the start, and not when the disk is full, that no snapshot is possible."""
        try:
            for piece in pieces_of(self.what_snapshot_gives())[1]:
                encoding.dumps_stored(piece)
        except RAISED as error:
            kind = type(self.machine)
            if is_by_default(inspect.unwrap(kind.snapshot)):
                what = f"give {kind.__name__} a snapshot(state) and a restore(data)"
            else:
                what = f"mend {kind.__name__}.snapshot ({place_of(error, kind.snapshot)})"
            logger.warning("%s: no snapshots, so the log is kept whole: %s; %s",
                           self.name, error, what)  # fmt: skip
            return False
        return True

    def check_first_none(self) -> None:
        """Raise ValueError for a first state of None that a snapshot makes something of, and
        `restore` None again: the next start would take that for a `restore` that returns nothing.
        """
        machine = self.machine
        if self.state is not None or not self.can_snapshot:
            return
        kind, pieces = pieces_of(machine.snapshot(None))
        data = put_together(
            kind, (encoding.loads_stored(encoding.dumps_stored(each)) for each in pieces)
        )
        if data is not None and machine.restore(data) is None:
            name = type(machine).__name__
            raise ValueError(
                f"{name}.init returned None, and so does {name}.restore, from a snapshot of it: "
                "that can't be told from a restore that forgets to return the state. Return "
                "another state, which may be empty: a dict, a list, a tuple"
            )

    def image(self) -> StateImage:
        """Begin to take in the state as it is now. Raises what the machine raises, and TypeError
        where `restored` would not take the result.
        """
        if self.on_disk is not None:
            self.on_disk.sync()  # the log is cut after it
        data = self.what_snapshot_gives()
        if self.state is None and self.began_with is not type(None) and data is not None:
            raise TypeError(
                "the state is None, which can't be told from a restore that forgets to return it"
            )
        return StateImage(data, self.sessions.stored())

    def what_snapshot_gives(self) -> Any:
        """Ask the machine. What it changes meanwhile in a state that can take that back is taken
        back, for each replica takes its snapshot at another entry.
        """
        data = self.machine.snapshot(self.state)
        if hasattr(self.state, "rollback"):
            self.state.rollback()
        return data

    def restore(self, snapshots: Snapshots, snapshot: Snapshot) -> None:
        """Become what a snapshot says. On any error nothing has changed.

        Raises StoreCorrupt if it is damaged, MachineTooOld or another RaftError if the machine
        can't take it.
        """
        header = snapshots.header(snapshot)
        self.check_known(header.machine)
        if header.kind == WITNESS:
            raise StoreCorrupt(
                f"{self.name}: the snapshot of entry {snapshot.index} is a witness's and holds no "
                "state: remove this peer from its group, give it an empty data directory, and add "
                "it again"
            )
        sessions, rest = opened(snapshots.pieces(snapshot))
        machine, version = self.machine, self.version
        machine.current_version = header.machine
        try:
            data = put_together(header.kind, (term for _kind, term in rest))
            state = self.restored(data, snapshot)
            for _ in rest:  # to its end, which says that nothing is missing
                pass
        except BaseException:
            machine.current_version = version
            raise
        self.state, self.sessions, self.index = state, sessions, snapshot.index
        self.end_batch()

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
        """Raise TypeError where a state on disk would be left for another one: what that one says
        would be so until the next start, and here alone. Also where None was made of something:
        who changes a state in place may forget to return it.
        """
        if self.on_disk is not None and state is not self.on_disk:
            raise TypeError(
                "a state on disk is changed in place: return the state that was given, not "
                f"{type(state).__name__}"
            )
        if state is None and made_of is not None:
            raise TypeError("it must return the state, and it returned None")

    def catch_up_sessions(self, snapshots: Snapshots, snapshot: Snapshot, log: Log) -> None:
        """Bring sessions and version to where a state on disk is: its commands have run.

        Raises StoreCorrupt if the state is ahead of the log, MachineTooOld if it is of a version
        that this program has not.
        """
        if self.index > log.last_index:
            raise StoreCorrupt(
                f"the state in {self.machine.directory} is that after entry {self.index}, and the "
                f"log ends at {log.last_index}: move the state away, and the peer makes it anew"
            )
        if snapshot.index:
            self.sessions, _ = opened(snapshots.pieces(snapshot))
            self.found_at(snapshots.header(snapshot).machine)
        index = snapshot.index
        while index < self.index:
            for entry in log.some(index + 1, self.index):
                index += 1
                self.pass_over(index, entry)

    def pass_over(self, index: int, entry: bytes) -> None:
        """Note an entry that was applied in a life before this one."""
        if kind_of(entry) == COMMAND:
            command, request, time_ms = command_of(entry)
            if request[0] == NEW:
                self.sessions.open(index, request[1], time_ms)
            elif request[0] == END:
                self.sessions.end(request[1])
            elif request[0]:
                self.sessions.pass_over(request, command, index, time_ms)
        elif kind_of(entry) == VERSION:
            self.found_at(version_of(entry))

    def found_at(self, version: int) -> None:
        """Note that a state on disk is of this version, or a later one."""
        self.check_known(version)
        self.machine.current_version = max(self.version, version)

    def begin_batch(self) -> None:
        """Some entries are going to be applied. Raises HostError."""
        check_digits(self.name)

    def end_batch(self) -> None:
        """What was applied together has been."""
        if self.on_disk is not None:
            self.on_disk.flush(self.index)

    def close(self) -> None:
        if self.on_disk is not None:
            self.on_disk.close()

    # Commands and queries.

    def write(self, command: bytes, request: RequestId = (0, 0), time_ms: int = 0) -> bytes:
        """Apply the command of the next entry and return the encoded answer; see `sessions`."""
        if not request[0]:
            return self.run(command)
        if request[0] == NEW:
            return self.sessions.open(self.index + 1, request[1], time_ms)
        if request[0] == END:
            return self.sessions.end(request[1])
        return self.sessions.once(request, self.run, command, self.index + 1, time_ms)

    def run(self, command: bytes) -> bytes:
        """Run one command and return its encoded reply.

        An exception is a result like any other, the same on every replica: the state stays the
        one before, and the cluster goes on. What is this peer's own trouble ends it: what depends
        on its host, and a disk that can't say what the state is; for the others go on from another.

        Raises HostError and StoreError.
        """
        state = self.state
        try:
            try:
                asked = encoding.loads(command, check_hashes=False)
            except ValueError as error:  # of which only a stranger's client can be guilty
                logger.info("%s: entry %d: %s", self.name, self.index + 1, error)
                return NO_TERM
            reply, changed = pair_of(self.machine.handle_write(asked, state), asked)
            if changed is not state:
                self.refuse_another(changed)
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
        if type(changed) is not type(state):
            self.tell_of_change(state, changed)
        return encoded

    def read(self, query: bytes) -> bytes:
        """Answer one query, encoded.

        A query that begins with REPLY gets an answer that does, with the index of the state, so
        that the machine's errors and Raft's are told apart. REPLY alone is a question for that.
        """
        if not query.startswith(REPLY):
            return self.look(query)
        asked = query[len(REPLY) :]
        return reply_at(self.index, self.look(asked) if asked else b"")

    def look(self, query: bytes) -> bytes:
        """Have the machine answer. An exception is an answer to this reader alone, but for those
        that are this peer's own trouble; see `run`."""
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

    def tell_of_change(self, before: Any, after: Any) -> None:
        """Warn, once for each pair, of a state that is of another type than before: `return reply,
        state.update(...)` leaves None for it. To become something out of None is how states begin.
        """
        change = type(before), type(after)
        if before is None or change in self.changes_told:
            return
        self.changes_told.add(change)
        logger.warning("%s: %s", self.name, changed_type(self.machine, before, after, self.index))


def keep(state: Any) -> None:
    """Have a state that can take changes back begin here: it may have been filled key by key, and
    the first command that raises would take that back.
    """
    if hasattr(state, "commit"):
        state.commit()


def changed_type(machine: Machine, before: Any, after: Any, index: int) -> str:
    """Say that the entry after `index` made another type of the state."""
    new = "None" if after is None else f"a {type(after).__name__}"
    return (
        f"{type(machine).__name__}.handle_write made {new} of the state, a "
        f"{type(before).__name__}, at entry {index + 1}: unless that is meant, what was in it is "
        "gone on every replica. Return (reply, state); state.update(...), state.append(...) and "
        "the like return None"
    )
