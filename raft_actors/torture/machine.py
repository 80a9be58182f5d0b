"""Registers: the state machine under torture. It keeps every value that it ever applied."""

from typing import Any

from raft_actors import StateMachine

__all__ = ["COUNT", "Registers"]

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
                state.setdefault(key, []).append(value)
                return ("ok", value), state
            case ("cas", key, expected, value):
                found = held(state, key)
                if found == expected:
                    state.setdefault(key, []).append(value)
                return ("ok", found), state
            case ("count",):
                count = state.setdefault(COUNT, [0])
                count[0] += 1
                return ("ok", count[0]), state
            case _:
                raise ValueError(f"unknown command {command!r}")

    def handle_read(self, query: Any, state: Values) -> Any:
        match query:
            case ("read", key):
                return ("ok", held(state, key))
            case _:
                raise ValueError(f"unknown query {query!r}")


def held(state: Values, key: str) -> Any:
    return state[key][-1] if key in state else None
