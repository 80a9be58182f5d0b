"""The key-value store under a supervisor: `raft-actors node --sname a -m examples.kv_tree`.

`start()` is what `-m` looks for: it is called once the node has started.
"""

from typing import Any

from examples.kv_store import KVStore
from raft_actors import Node, Supervisor

__all__ = ["KVStore", "KVStoreSupervisor", "start"]


class KVStoreSupervisor(Supervisor):
    """One peer, named after its node, started again whenever it crashes."""

    def init(self, args: Any) -> Any:
        children = [(KVStore, {"name": f"kvstore_{Node.self()}"})]
        return Supervisor.init(children, strategy="one_for_one")


def start() -> Any:
    return KVStoreSupervisor.start_link(None, name="KVStoreSupervisor")
