"""OnDiskStateMachine: for a state that is too big for memory."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from raft_actors.state_image import Frozen
from raft_actors.state_machine import StateMachine
from raft_actors.stores import cannot_import

if TYPE_CHECKING:
    from raft_actors.disk_dict import DiskDict

__all__ = ["OnDiskStateMachine"]


class OnDiskStateMachine(StateMachine):
    """A state machine whose state is on disk: a `DiskDict`, of str keys and terms.

    Write `handle_write(command, state)` and `handle_read(query, state)`; return the state that you
    were given. A restarted peer goes on from what is on its disk: what `init` writes counts before
    the first command only.

    directory   where it is, set by the peer
    """

    directory: Path

    def init(self, name: str) -> "DiskDict":
        try:
            from raft_actors.disk_dict import DiskDict  # RocksDB, for those who use it
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
