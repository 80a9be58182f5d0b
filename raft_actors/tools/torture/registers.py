"""Registers: the state machines under torture. They keep every value that they ever applied."""

from typing import TYPE_CHECKING, Any

from raft_actors import OnDiskStateMachine, StateMachine

if TYPE_CHECKING:
    from raft_actors.machine.disk_dict import DiskDict

__all__ = ["COUNT", "Registers", "RegistersOnDisk"]

COUNT = "count"
"""The command that increments the counter, and the key under which it is kept."""

Values = dict[str, list[Any]]
"""Of each key every value that was put there, in order. The last one is what it holds."""


class Registers(StateMachine):
    """`("read", key)`, `("write", key, value)` and `("cas", key, expected, value)`.

    All answer `("ok", value)`: what a read found, what a write wrote, what a cas found; it put
    its value there if it found what it expected. A register begins with None.
    """

    def init(self, name: str) -> Values:  # noqa: ARG002
        return {}

    def handle_write(self, command: Any, state: Values) -> Any:
        match command:
            case ("write", key, value):
                put(state, key, value)
                return ("ok", value), state
            case ("cas", key, expected, value):
                found = held(state, key)
                if found == expected:
                    put(state, key, value)
                return ("ok", found), state
            case ("count",):
                count = state.get(COUNT, [0])[0] + 1
                state[COUNT] = [count]
                return ("ok", count), state
            case _:
                raise ValueError(f"unknown command {command!r}")

    def handle_read(self, query: Any, state: Values) -> Any:
        match query:
            case ("read", key):
                return ("ok", held(state, key))
            case _:
                raise ValueError(f"unknown query {query!r}")


class RegistersOnDisk(Registers, OnDiskStateMachine):
    """The same with a state on disk."""

    def init(self, name: str) -> "DiskDict":  # type: ignore[override]
        return OnDiskStateMachine.init(self, name)


def put(state: Values, key: str, value: Any) -> None:
    state[key] = [*state.get(key, ()), value]


def held(state: Values, key: str) -> Any:
    return state.get(key, [None])[-1]
