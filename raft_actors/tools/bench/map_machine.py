"""Machine: the map that the benchmarks write and read."""

import os
import signal
import sys
import threading
from typing import Any

from raft_actors.state_machine import StateMachine
from raft_actors.tools.node_processes import PEER
from supervision import Supervisor

__all__ = ["Map", "start"]


class Map(StateMachine):
    """A dict in memory: `("set", key, value)` is answered "ok", `("get", key)` the value."""

    def init(self, name: str) -> dict[str, Any]:  # noqa: ARG002
        return {}

    def handle_write(self, command: Any, state: dict[str, Any]) -> tuple[Any, Any]:
        _set, key, value = command
        state[key] = value
        return "ok", state

    def handle_read(self, query: Any, state: dict[str, Any]) -> Any:
        return state.get(query[1])


def start() -> Any:
    """Start a node's tree. The node ends with the process that started it."""
    threading.Thread(target=end_with_parent, name="parent", daemon=True).start()
    return Supervisor.start_link([(Map, {"name": PEER})], strategy="one_for_one")


def end_with_parent() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)
