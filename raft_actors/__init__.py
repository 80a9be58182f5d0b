"""Raft for Python programs, as actors: replicated state machines under supervision."""

from typing import TYPE_CHECKING, Any

from raft_actors.cluster import Cluster
from raft_actors.config import Config
from raft_actors.errors import RaftError
from raft_actors.node import Node
from raft_actors.on_disk import OnDiskStateMachine
from raft_actors.raft import Raft
from raft_actors.state_image import Frozen
from raft_actors.state_machine import StateMachine
from raft_actors.undo import UndoDict
from supervision import DynamicSupervisor, Supervisor

if TYPE_CHECKING:
    from raft_actors.async_cluster import AsyncCluster

__all__ = [
    "AsyncCluster",
    "Cluster",
    "Config",
    "DynamicSupervisor",
    "Frozen",
    "Node",
    "OnDiskStateMachine",
    "Raft",
    "RaftError",
    "StateMachine",
    "Supervisor",
    "UndoDict",
]


def __getattr__(name: str) -> Any:
    """Load what needs asyncio when it is asked for: that is a third of the import's time."""
    if name == "AsyncCluster":
        from raft_actors.async_cluster import AsyncCluster

        return AsyncCluster
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
