"""KVStore: a replicated dict. The state machine of the README, for trying things out."""

from typing import Any

from raft_actors.machine.undo_dict import UndoDict
from raft_actors.state_machine import StateMachine

__all__ = ["KVStore"]


class KVStore(StateMachine):
    """`("set", key, value)` writes and `("get", key)` reads."""

    def init(self, name: str) -> UndoDict[Any, Any]:  # noqa: ARG002
        return UndoDict()

    def handle_write(self, command: Any, state: UndoDict[Any, Any]) -> Any:
        match command:
            case ("set", key, value):
                state[key] = value
                return ("ok", key, value), state
            case _:
                raise ValueError(f"unknown command {command!r}")

    def handle_read(self, query: Any, state: UndoDict[Any, Any]) -> Any:
        match query:
            case ("get", key):
                return (("ok", state[key]) if key in state else ("error", "key_not_found")), state
            case _:
                raise ValueError(f"unknown query {query!r}")
