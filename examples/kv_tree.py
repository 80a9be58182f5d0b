"""The key-value store under a supervisor: `raft-actors node --sname a -m examples.kv_tree`.

The option `-m` calls `start()` when the node has started.
"""

from typing import Any

from examples.kv_store import KVStore
from raft_actors import Node, Supervisor

__all__ = ["KVStore", "KVStoreSupervisor", "start"]


class KVStoreSupervisor(Supervisor):
    """Supervises one peer, whose name contains the name of its node.

    The peers of the nodes a, b and c of this machine form a group; the order of their starts does
    not matter.
    """

    def init(self, args: Any) -> Any:
        host = Node.self().partition("@")[2]
        nodes = [f"{name}@{host}" for name in "abc"]
        members = [(f"kvstore_{node}", node) for node in nodes]
        children = [(KVStore, {"name": f"kvstore_{Node.self()}", "members": members})]
        return Supervisor.init(children, strategy="one_for_one")


def start() -> Any:
    return KVStoreSupervisor.start_link(None, name="KVStoreSupervisor")
