"""WitnessState: takes the place of the state at a witness, a peer that votes and keeps no state.

A witness saves its log like every member, so its votes and acknowledgements count like theirs. Its
snapshots have no content: they only allow to compact the log, and must never be restored as a
state. docs/decisions/witnesses.md has the reasons.
"""

from typing import Any

from raft_actors import encoding
from raft_actors.core.digests import Comparison
from raft_actors.core.entry import RequestId
from raft_actors.core.replies import redirect
from raft_actors.core.snapshot import Snapshot
from raft_actors.machine.contract import DiskState, Machine, check_version
from raft_actors.machine.duties import Duties
from raft_actors.machine.exceptions import MachineExceptions
from raft_actors.machine.replicated_state import WITNESS, ReplicatedState
from raft_actors.machine.sessions import Sessions
from raft_actors.machine.state_image import StateImage
from raft_actors.machine.topics import Topics
from raft_actors.names import Address
from raft_actors.stores.snapshots import Snapshots

__all__ = ["WitnessState"]

ELSEWHERE = encoding.dumps(redirect(None))


class WitnessState(ReplicatedState):
    """No state, at entry `index` of the log. The state machine is used only for its versions."""

    keeps_state = False

    def __init__(self, machine: Machine, name: str, index: int) -> None:
        self.machine = machine
        self.name = name
        check_version(machine)
        machine.current_version = 1
        self.on_disk: DiskState | None = None
        self.compared_before: Comparison | None = None
        self.state: Any = None
        self.index: int = index
        self.can_snapshot = True
        self.exceptions: MachineExceptions = MachineExceptions(machine, name)
        self.sessions: Sessions = Sessions()
        self.topics: Topics = Topics(index)
        self.duties: Duties = Duties()
        self.tells: list[tuple[int, Address | str, bytes]] = []

    def upgrade(self, version: int) -> None:
        self.found_at(version)

    def image(self) -> StateImage:
        image = StateImage(None, ())
        image.kind = WITNESS
        return image

    def restore(self, snapshots: Snapshots, snapshot: Snapshot) -> None:
        """Continue after a snapshot, a member's or this peer's own. Its content is not read."""
        self.found_at(snapshots.header(snapshot).machine)
        self.index = snapshot.index

    def begin_batch(self) -> None:
        pass

    def write(self, _command: bytes, _request: RequestId = (0, 0), _time_ms: int = 0) -> bytes:
        return b""

    def read(self, _query: bytes) -> bytes:
        """Refuse a read that came before this peer knew that it is a witness."""
        return ELSEWHERE
