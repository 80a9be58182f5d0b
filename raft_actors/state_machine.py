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

    Commands, queries, replies and the parts of a state that go into them are terms: None, bool,
    int, float, str, bytes, list, tuple, dict, set, frozenset, datetime, date, time, timedelta.

    A command must do the same on every replica: nothing in `handle_write` may depend on clocks,
    chance, files, threads, set order or `hash(str)`. Put such values into the command.

    An exception in `handle_write` is the command's result, on every replica alike: its writer
    gets `("error", ("exception", type_name, text))` and the state stays what it was before. That
    holds by itself where `handle_write` returns a new state. One that changes its state in place
    either raises before its first change, or keeps its state in something with `commit()` and
    `rollback()`, like `raft_actors.UndoDict`: the framework calls them. An exception that tells of
    the host (no memory, too deep a recursion, too many digits, a file or module that is not there)
    is no result: other replicas may do otherwise, so the replica stops before that command and says
    so.

    version          of this class: the newest that it can run as. Raise it with each change of
                     what a command does or how the state looks, and say in `upgrade` how to move
                     a state on; see docs/upgrades.md
    current_version  what the group runs as at the entry that is being applied: `version` once
                     every member has it. Commands and reads must do what that version did
    """

    version: int = 1
    current_version: int = 1
    state_is_on_disk = False
    directory: Path

    def init(self, name: str) -> Any:
        """Return the state before the first command, as version 1 had it. `name` is the peer's."""
        raise NotImplementedError(f"{type(self).__name__} needs init(self, name)")

    def handle_write(self, command: Any, state: Any) -> tuple[Any, Any]:
        """Run a committed command. Return (reply, state)."""
        raise NotImplementedError(f"{type(self).__name__} needs handle_write(self, command, state)")

    def handle_read(self, query: Any, state: Any) -> Any:
        """Answer a query, on the peer that was asked alone. Return `reply` or `(reply, state)`.

        Don't change the state: a read runs on one replica alone. Another state that it returns is
        no state, and what it changes in place makes this replica differ from the others, without
        a word; only an `UndoDict` and a state on disk take it back. `raft_simulation` finds it.
        A pair is taken for (reply, state) if its second part is `state` itself, unless its first
        is "ok" or "error": then the pair is the reply, as is every other pair.
        """
        raise NotImplementedError(f"{type(self).__name__} needs handle_read(self, query, state)")

    @by_default
    def snapshot(self, state: Any) -> Any:
        """Return the state as `restore` wants it: a term, or an iterator of terms.

        Called now and then, so that the log need not be kept whole. While the result is read,
        slice by slice, no command is applied, so it may be the state itself, as it is here. A
        very big state is better returned as `Frozen(pieces)`: those are read on another thread
        while commands go on, so they must be what the state was.
        """
        return state

    def restore(self, data: Any) -> Any:
        """Return the state that `snapshot` was given.

        data   what `snapshot` returned: a term, or for an iterator or `Frozen` an iterator of the
               same pieces
        """
        return data

    @by_default
    def upgrade(self, state: Any, from_version: int) -> Any:
        """Return what `state`, as `from_version` left it, is in version `from_version` + 1.

        Every replica does it at the same entry of the log, so like `handle_write` it must do the
        same everywhere. It is called for each version on the way; if it raises, the peer stops.
        """
        raise NotImplementedError(
            f"{type(self).__name__} has version {self.version} and no upgrade(self, state, "
            "from_version)"
        )

    @classmethod
    def child_spec(cls, *, name: str, **options: Any) -> Any:
        """Return the child spec of a peer that runs this machine.

        name     the peer's name, unique on its node
        options  `members=[...]`, who is to form a group with it (docs/membership.md);
                 `config=Config(...)`, or Config's fields one by one (`data_dir=...`)

        So `(KVStore, {"name": "peer1"})` stands among a supervisor's children.
        """
        return peer_spec(cls, name=name, **options)


class OnDiskStateMachine(StateMachine):
    """A state machine whose state is on disk: a `DiskDict`, of str keys and terms.

    Write `handle_write(command, state)` and `handle_read(query, state)`; return the state that you
    were given. A restarted peer goes on from what is on its disk: what `init` writes counts before
    the first command only.

    directory   where it is, set by the peer
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
