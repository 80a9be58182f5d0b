"""StateMachine and OnDiskStateMachine: what a user writes.

Every replica runs the same machine over the same commands (Raft §2).
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from raft_actors.machine.contract import by_default
from raft_actors.machine.state_image import Frozen
from raft_actors.peer.peers import peer_spec
from raft_actors.stores import cannot_import

if TYPE_CHECKING:
    from raft_actors.machine.disk_dict import DiskDict

__all__ = ["OnDiskStateMachine", "StateMachine"]


class StateMachine:
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

    Commands, queries, replies and the parts of a state that go into them are terms: None, bool,
    int, float, str, bytes, list, tuple, dict, set, frozenset, datetime, date, time, timedelta.

    A command must do the same on every replica: nothing in `handle_write` may depend on clocks,
    chance, files, threads, set order or `hash(str)`. Put such values into the command.
    A command asks no peer either: `Raft` and `Cluster` raise RuntimeError there.

    An exception in `handle_write` is the command's result, on every replica alike: its writer
    gets `("error", ("exception", type_name, text))` and the state stays what it was before. That
    holds by itself where `handle_write` returns a new state. A machine that changes its state in
    place either raises before its first change, or keeps its state in an object with `commit()`
    and `rollback()`, such as `raft_actors.UndoDict`, and the library calls them. An exception that
    depends on the host (no memory, too deep a recursion, a missing file or module)
    is no result, for other replicas may not raise it: the replica stops before that command, with
    an error in the log.

    version          the newest version that this class can run as. Raise it with each change of
                     what a command does or how the state looks, and let `upgrade` change the state
                     of the version before; see docs/upgrades.md
    current_version  the version that the group runs at the entry that is applied now: `version`
                     once every member has it. Commands and reads must do what that version did
    """

    version: int = 1
    current_version: int = 1
    state_is_on_disk = False
    directory: Path

    def init(self, name: str) -> Any:
        """Return the state before the first command, as version 1 had it. `name` is the peer's."""
        raise NotImplementedError(f"{type(self).__name__} needs init(self, name)")

    def handle_write(self, command: Any, state: Any) -> tuple[Any, Any]:
        """Run a committed command. Return (reply, state).

        reply   a term, for the caller of `Raft.write`
        state   the state after the command: a new one, or the same object, changed
        """
        raise NotImplementedError(f"{type(self).__name__} needs handle_write(self, command, state)")

    def handle_read(self, query: Any, state: Any) -> Any:
        """Answer a query, on one replica alone. Return `reply` or `(reply, state)`.

        Do not change the state: a read runs on one replica, so a change in place makes this replica
        differ from the others, and nothing reports it. Only an `UndoDict` and a state on disk take
        such a change back. The fixture `raft_simulation` finds it.
        A pair is taken for (reply, state) if its second part is the object `state` itself and its
        first part is neither "ok" nor "error". Every other pair is the reply.
        """
        raise NotImplementedError(f"{type(self).__name__} needs handle_read(self, query, state)")

    @by_default
    def snapshot(self, state: Any) -> Any:
        """Return the state in the form that `restore` takes: a term, or an iterator of terms.

        The library calls it now and then, and then deletes the log before it. No command is applied
        while the result is read, so the result may be the state itself, as it is here. A very big
        state is better returned as `Frozen(pieces)`: those are read on another thread while
        commands are applied, so they must not change with the state.
        """
        return state

    def restore(self, data: Any) -> Any:
        """Return the state that `snapshot` was called with, made from what it returned.

        data   what `snapshot` returned: a term; or, if it returned an iterator or `Frozen`, an
               iterator of the same pieces
        """
        return data

    @by_default
    def upgrade(self, state: Any, from_version: int) -> Any:
        """Return the state of version `from_version` + 1, made from one of `from_version`.

        Every replica calls it at the same entry of the log, so it must do the same everywhere, as
        `handle_write` must. It is called once for each version in between. If it raises, the peer
        stops.
        """
        raise NotImplementedError(
            f"{type(self).__name__} has version {self.version} and no upgrade(self, state, "
            "from_version)"
        )

    @classmethod
    def child_spec(cls, *, name: str, **options: Any) -> Any:
        """Return the child spec of a peer that runs this machine.

        name     the peer's name, unique on its node
        options  `members=[...]`, the members of the group that it forms (docs/membership.md);
                 `config=Config(...)`, or Config's fields one by one (`data_dir=...`)

        A supervisor calls it, so `(KVStore, {"name": "peer1"})` can be one of its children:

        >>> from raft_actors import Supervisor
        >>> ok, tree = Supervisor.start_link([(Counter, {"name": "counter"})])
        """
        return peer_spec(cls, name=name, **options)


class OnDiskStateMachine(StateMachine):
    """A state machine whose state is on disk: a `DiskDict`, a mapping of str keys to terms.

    Write `handle_write(command, state)` and `handle_read(query, state)`, and return the state that
    they were given. A restarted peer goes on with the state on its disk; what `init` writes counts
    before the first command only.

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
            from raft_actors.machine.disk_dict import DiskDict  # RocksDB, for those who use it
        except ImportError as error:
            name = type(self).__name__
            raise cannot_import(error, f"{name}'s state on disk", "rocksdict",
                                "pip install rocksdict") from error  # fmt: skip

        self.state = DiskDict(self.directory)
        return self.state

    def snapshot(self, state: "DiskDict") -> Frozen:
        return state.frozen()

    def restore(self, data: Any) -> "DiskDict":
        self.state.refill(data)
        return self.state
