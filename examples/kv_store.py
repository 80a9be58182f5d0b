"""The README's replicated key-value store: `raft-actors shell --sname a -m examples.kv_store`."""

from typing import Any

from raft_actors import Raft, StateMachine

__all__ = ["KVStore"]


class KVStore(StateMachine):
    """A dictionary, the same on every peer. `write` and `read` run in the caller's process."""

    @staticmethod
    def write(peer: Any, key: Any, value: Any) -> Any:
        return Raft.write(peer, ("set", key, value))

    @staticmethod
    def read(peer: Any, key: Any) -> Any:
        return Raft.read(peer, ("get", key))

    def init(self, name: Any) -> dict[Any, Any]:
        return {}

    def handle_write(self, command: Any, state: dict[Any, Any]) -> Any:
        match command:
            case ("set", key, value):
                state[key] = value
                return ("ok", key, value), state

    def handle_read(self, query: Any, state: dict[Any, Any]) -> Any:
        match query:
            case ("get", key) if key in state:
                return ("ok", state[key]), state
            case ("get", _):
                return ("error", "key_not_found"), state
