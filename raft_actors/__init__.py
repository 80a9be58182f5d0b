"""Raft for Python programs, as actors: replicated state machines under supervision."""

from raft_actors.async_cluster import AsyncCluster
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
