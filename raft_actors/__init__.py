"""Raft for Python programs, as actors: replicated state machines under supervision."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from raft_actors.surroundings import check_surroundings

if TYPE_CHECKING:
    from raft_actors.async_cluster import AsyncCluster
    from raft_actors.cluster import Cluster
    from raft_actors.config import Config
    from raft_actors.encoding.value_types import value_type
    from raft_actors.errors import RaftError
    from raft_actors.leader_supervisor import LeaderSupervisor
    from raft_actors.machine.meta import Meta
    from raft_actors.machine.methods import Awaited, query, update
    from raft_actors.machine.state_image import Frozen
    from raft_actors.machine.undo_dict import UndoDict
    from raft_actors.node.node import Node
    from raft_actors.node.tls import Tls
    from raft_actors.program import Program
    from raft_actors.raft import Raft
    from raft_actors.replicated import Replicated
    from raft_actors.state_machine import OnDiskStateMachine, StateMachine
    from supervision import DynamicSupervisor, Supervisor

__all__ = [
    "AsyncCluster",
    "Awaited",
    "Cluster",
    "Config",
    "DynamicSupervisor",
    "Frozen",
    "LeaderSupervisor",
    "Meta",
    "Node",
    "OnDiskStateMachine",
    "Program",
    "Raft",
    "RaftError",
    "Replicated",
    "StateMachine",
    "Supervisor",
    "Tls",
    "UndoDict",
    "query",
    "update",
    "value_type",
]

PLACES = {
    "AsyncCluster": "raft_actors.async_cluster",
    "Awaited": "raft_actors.machine.methods",
    "Cluster": "raft_actors.cluster",
    "Config": "raft_actors.config",
    "DynamicSupervisor": "supervision",
    "Frozen": "raft_actors.machine.state_image",
    "LeaderSupervisor": "raft_actors.leader_supervisor",
    "Meta": "raft_actors.machine.meta",
    "Node": "raft_actors.node.node",
    "OnDiskStateMachine": "raft_actors.state_machine",
    "Program": "raft_actors.program",
    "Raft": "raft_actors.raft",
    "RaftError": "raft_actors.errors",
    "Replicated": "raft_actors.replicated",
    "StateMachine": "raft_actors.state_machine",
    "Supervisor": "supervision",
    "Tls": "raft_actors.node.tls",
    "UndoDict": "raft_actors.machine.undo_dict",
    "query": "raft_actors.machine.methods",
    "update": "raft_actors.machine.methods",
    "value_type": "raft_actors.encoding.value_types",
}

check_surroundings()


def __getattr__(name: str) -> Any:
    """Load what is asked for: pytest imports this package in every project, for its plugin."""
    if name not in PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(PLACES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *PLACES})
