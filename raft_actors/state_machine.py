"""StateMachine and OnDiskStateMachine: the classes that a user derives from.

Every replica runs the same machine over the same commands (Raft §2).
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic

from raft_actors.machine.contract import by_default
from raft_actors.machine.meta import NOWHERE, Fixed, Meta, Place
from raft_actors.machine.state_image import Frozen
from raft_actors.peer.peers import peer_spec
from raft_actors.stores import cannot_import
from supervision import ChildSpec

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    from raft_actors.effects import Effect, Tell
    from raft_actors.machine.disk_dict import DiskDict

    State = TypeVar("State", default=Any)
    Command = TypeVar("Command", default=Any)
    Reply = TypeVar("Reply", default=Any)
else:
    from typing import TypeVar  # before Python 3.13 without a default, which only checkers need

    State, Command, Reply = TypeVar("State"), TypeVar("Command"), TypeVar("Reply")

__all__ = ["OnDiskStateMachine", "StateMachine"]


class StateMachine(Generic[State, Command, Reply]):
    """A replicated state machine: three methods, called on the peer's own thread.

    >>> from raft_actors import Raft, StateMachine
    >>> class Counter(StateMachine):
    ...     def init(self, name):
    ...         return 0
    ...     def handle_write(self, command, state):
    ...         return state + command, state + command
    ...     def handle_read(self, query, state):
    ...         return state
    >>> peers = Raft.test_cluster(Counter)
    >>> leader = Raft.leader(peers[0])
    >>> Raft.write(leader, 5), Raft.write(leader, 2), Raft.read(leader, "sum")
    (5, 7, 7)

    Commands, queries, replies, and the parts of a state that are put into them, are made of these
    types: None, bool, int, float, str, bytes, list, tuple, dict, set, frozenset, datetime, date,
    time, timedelta.

    A command must do the same on every replica: nothing in `handle_write` may depend on clocks,
    random numbers, files, threads, the order of a set or `hash(str)`. Put such values into the
    command. `meta` has a time that is the same on every replica. A command must not ask a peer:
    `Raft` and `Cluster` raise RuntimeError there.

    An exception in `handle_write` is the result of the command on every replica: the writer gets
    `("error", ("exception", type_name, text))`, and the state must stay as it was before the
    command. If `handle_write` returns a new state, this is always so. A machine that changes its
    state in place must raise before its first change, or keep its state in an object with
    `commit()` and `rollback()`, such as `raft_actors.UndoDict`: the library calls these methods. An
    exception that depends on the host (no memory, too deep a recursion, a missing file or module)
    is no result, because other replicas may not raise it: the replica stops before this command and
    logs an error.

    For a type checker: `StateMachine[State, Command, Reply]`, each of them Any if left out.

    version          the newest version that this class can run. Increase it with each change of
                     what a command does or of the form of the state, and let `upgrade` change the
                     state of the version before; see docs/upgrades.md
    current_version  the version that the group uses for the entry that is applied now: it becomes
                     `version` when every member can run it. Commands and reads must do what this
                     version did
    """

    version: int = 1
    current_version: int = 1
    state_is_on_disk = False
    directory: Path
    _raft_place: Place = NOWHERE

    @property
    def meta(self) -> Meta:
        """The place in the log of the command that runs, and its time, equal on every replica: see
        `Meta`. In `handle_read` the place of the last entry that this replica has applied.

        A test that calls the methods itself may set it: `machine.meta = Meta(1, 1, time_ms)`.
        """
        return self._raft_place.meta()

    @meta.setter
    def meta(self, meta: Meta) -> None:
        if not isinstance(self._raft_place, Fixed):
            raise AttributeError(  # noqa: TRY004 - what Python raises where there is no setter
                "the peer sets meta: only a test that has no peer may set it"
            )
        self._raft_place = Fixed(meta)

    def init(self, name: str) -> State:
        """Return the state before the first command, in the form of version 1. `name` is the name
        of the peer.
        """
        raise NotImplementedError(f"{type(self).__name__} needs init(self, name)")

    def handle_write(
        self, command: Command, state: State
    ) -> "tuple[Reply, State] | tuple[Reply, State, Iterable[Effect]]":
        """Run a committed command. Return (reply, state), or (reply, state, effects).

        reply    a value for the caller of `Raft.write`
        state    the state after the command: a new one, or the same object, changed
        effects  a list of `raft_actors.effects`, which the leader carries out: messages to actors,
                 timers, news for clients that wait. See docs/machines.md
        """
        raise NotImplementedError(f"{type(self).__name__} needs handle_write(self, command, state)")

    def handle_read(self, query: Any, state: State) -> Any:
        """Answer a query. Return `reply` or `(reply, state)`.

        Do not change the state: a read runs on one replica only, so a change in place would make
        this replica differ from the others, and nothing reports it. Only an `UndoDict` and a state
        on disk undo such a change. The fixture `raft_simulation` finds such a bug.
        A pair means (reply, state) if its second part is the object `state` itself and its first
        part is neither "ok" nor "error". Every other pair is the reply.
        """
        raise NotImplementedError(f"{type(self).__name__} needs handle_read(self, query, state)")

    @by_default
    def snapshot(self, state: State) -> Any:
        """Return the state in the form that `restore` takes: a value, or an iterator of values.

        The library calls this method from time to time, saves the result, and then deletes the log
        entries that the snapshot replaces. No command is applied while the result is read, so the
        result may be the state itself, as it is here. A very big state is better returned as
        `Frozen(pieces)`: another thread reads the pieces while commands are applied, so the pieces
        must not change with the state.
        """
        return state

    def restore(self, data: Any) -> State:
        """Return the state that `snapshot` was called with, made from the result of `snapshot`.

        data   the value that `snapshot` returned; if it returned an iterator or `Frozen`, an
               iterator of the same pieces
        """
        state: State = data
        return state

    @by_default
    def upgrade(self, state: Any, from_version: int) -> Any:
        """Return the state of version `from_version` + 1, made from a state of `from_version`.

        Every replica calls it at the same entry of the log, so it must do the same everywhere, as
        `handle_write` must. It is called once for each version in between. If it raises, the peer
        stops.
        """
        raise NotImplementedError(
            f"{type(self).__name__} has version {self.version} and no upgrade(self, state, "
            "from_version)"
        )

    @by_default
    def on_leader(self, state: State) -> "Iterable[Tell] | None":  # noqa: ARG002
        """Do what only the leader's replica is to do, when this replica has become the leader. May
        return messages to send.

        It is called once for each time that a replica becomes the leader, as soon as the state has
        everything that was committed before. Do not change the state, and return soon: the peer
        waits. An exception is logged, and the peer goes on.
        """
        return None

    @by_default
    def on_follower(self) -> None:
        """End what `on_leader` has begun, because this replica is no leader any more, or its peer
        ends. It is not called if the process is killed.

        Another replica may lead already: a leader whose messages are lost notices only after
        `Config.max_election_timeout` that it is none any more.
        """

    @classmethod
    def child_spec(cls, *, name: str, **options: Any) -> ChildSpec:
        """Return the child spec of a peer that runs this machine.

        name     the peer's name, unique on its node
        options  `members=[...]`, the members of the group to form (docs/membership.md);
                 `config=Config(...)`, or Config's fields one by one (`data_dir=...`)

        A supervisor calls it, so `(KVStore, {"name": "peer1"})` can be one of its children:

        >>> from raft_actors import Supervisor
        >>> ok, tree = Supervisor.start_link([(Counter, {"name": "counter"})])
        """
        return peer_spec(cls, name=name, **options)


class OnDiskStateMachine(StateMachine["DiskDict", Command, Reply]):
    """A state machine whose state is on disk: a `DiskDict`, a mapping of str keys to values.

    Write `handle_write(command, state)` and `handle_read(query, state)`, and return the very
    `state` that is their argument. A restarted peer goes on with the state on its disk; what `init`
    writes is the state before the first command only.

    directory   the state's directory, set by the peer

    >>> from raft_actors import OnDiskStateMachine, Raft
    >>> class Registers(OnDiskStateMachine):
    ...     def handle_write(self, command, state):
    ...         name, value = command
    ...         state[name] = value
    ...         return "ok", state
    ...     def handle_read(self, query, state):
    ...         return state.get(query)
    >>> peers = Raft.test_cluster(Registers)
    >>> leader = Raft.leader(peers[0])
    >>> Raft.write(leader, ("x", 1)), Raft.read(leader, "x")
    ('ok', 1)
    """

    state_is_on_disk = True

    def init(self, name: str) -> "DiskDict":
        try:
            from raft_actors.machine.disk_dict import (  # needs RocksDB, which is optional
                DiskDict,
                DiskTable,
            )
        except ImportError as error:
            name = type(self).__name__
            raise cannot_import(error, f"{name}'s state on disk", "rocksdict",
                                "pip install rocksdict") from error  # fmt: skip

        self._raft_state: DiskDict = DiskDict(DiskTable(self.directory))
        return self._raft_state

    def snapshot(self, state: "DiskDict") -> Frozen:
        return state._raft_table.frozen()

    def restore(self, data: Any) -> "DiskDict":
        self._raft_state._raft_table.refill(data)
        return self._raft_state
