"""A simulated group that compares digests of its states often, and whose states tests may change
behind its back."""

from typing import Any

from raft_actors import Config, OnDiskStateMachine, StateMachine, UndoDict
from raft_actors.core.digests import asks_for_digests, comparison_in
from raft_actors.core.entry import NOOP, has_extensions, kind_of
from raft_actors.testing.simulation.peer import SimulatedPeer
from raft_actors.testing.simulation.world import World

EVERY = 10
DEFAULTS = Config(log_store="memory", digest_entries=EVERY)
ROUND_S = 3.0
"""More than a round takes: writes, digests, and a comparison that waits for nobody."""


class Registers(StateMachine):
    """`("set", key, value)`; a query is a key. No reply of a command depends on the state."""

    def init(self, name: str) -> Any:
        return {}

    def handle_write(self, command: Any, state: Any) -> Any:
        _set, key, value = command
        state[key] = value
        return "ok", state

    def handle_read(self, query: Any, state: Any) -> Any:
        return state.get(query)


class UndoRegisters(Registers):
    def init(self, name: str) -> Any:
        return UndoDict()


class DiskRegisters(Registers, OnDiskStateMachine):
    init = OnDiskStateMachine.init
    state_is_on_disk = True
    snapshot = OnDiskStateMachine.snapshot
    restore = OnDiskStateMachine.restore


class DigestWorld(World):
    """A world whose checker does not look at the states."""

    def __init__(
        self, names: str, config: Config = DEFAULTS, *, machine: Any = Registers, **options: Any
    ) -> None:
        members = options.pop("members", names)
        witnesses = options.pop("witnesses", "")
        super().__init__(names, config=config, machine=machine, picture=lambda _state: 0, **options)
        self.spoilt = True
        self.number = 0
        self.configure(members[0], members, witnesses=witnesses)
        self.ring(1.0)

    @property
    def leading(self) -> str:
        leader = self.leader()
        assert leader is not None, self.described()
        return leader.name

    def fill(self, count: int = EVERY) -> None:
        """Write, and let what follows happen."""
        for _ in range(count):
            self.number += 1
            self.write(self.leading, ("set", f"key {self.number}", self.number))
            self.settle()
        self.ring(ROUND_S)

    def spoil(self, name: str, key: str = "spoilt", value: Any = "behind the back") -> None:
        """Change the state of one replica, as no command does."""
        state = self.peers[name].applied.state
        if isinstance(state, dict):
            dict.__setitem__(state, key, value)
        else:
            state[key] = value
            state.commit()
            table = self.peers[name].applied.on_disk
            table.flush(table.index)

    def others(self, *names: str) -> list[str]:
        return [name for name in self.names if name not in names]

    def peer(self, name: str) -> SimulatedPeer:
        return self.peers[name]

    def troubles(self, name: str) -> dict[str, str]:
        return {what: each.detail for what, each in self.peers[name].core.troubles.items()}

    def digest(self, name: str) -> tuple[int, bytes]:
        return self.peers[name].core.digests.own

    def entries(self, what: Any) -> list[int]:
        """The indexes of the committed entries that ask for digests, or compare them."""
        return [
            index
            for index, entry in enumerate(self.checker.committed, 1)
            if kind_of(entry) == NOOP and has_extensions(entry) and what(entry)
        ]

    @property
    def asked(self) -> list[int]:
        return self.entries(asks_for_digests)

    @property
    def compared(self) -> list[int]:
        return self.entries(comparison_in)
