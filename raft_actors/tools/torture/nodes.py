"""TorturedNodes: the node processes under torture, and what is asked of them beside the cluster."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from raft_actors.node.host_name import node_name
from raft_actors.node.port_files import PortFiles
from raft_actors.tools.node_processes import NodeProcesses
from raft_actors.tools.torture.child import LEASES, ON_DISK
from raft_actors.tools.torture.disks import limit_file_size

__all__ = ["STARTER", "TortureFailed", "TorturedNodes"]

STARTER = "raft_actors.tools.torture.child:start"
PAUSE_S = 0.05
STATE_S = 10.0


class TortureFailed(Exception):
    """What must come true did not, in its time; the message says what."""


class TorturedNodes(NodeProcesses):
    """Nodes that take the orders of `child`.

    leases    whether leaders have leases
    on_disk   whether the machine's state is on disk
    witness   the node whose peer is a witness, if any
    static    the addresses of the others that a node is told, if it is to find them nowhere else
    """

    def __init__(
        self, directory: Path, names: tuple[str, ...], starter: str, *,
        leases: bool = False, on_disk: bool = False, witness: str = "",
    ) -> None:  # fmt: skip
        super().__init__(directory, names, starter)
        self.witness = witness
        if leases:
            self.environment[LEASES] = "0.01"
        if on_disk:
            self.environment[ON_DISK] = "1"
        self.static: Callable[[str], str] = lambda _name: ""
        self.files: PortFiles = PortFiles(directory / "run")

    def environment_of(self, name: str) -> dict[str, str]:
        return {"RAFT_ACTORS_NODES": self.static(name)} | self.environment

    def limit_files(self, name: str, size: int | None) -> None:
        process = self.processes.get(name)
        if process is not None and process.poll() is None:
            limit_file_size(process.pid, size)

    def endpoint(self, name: str) -> tuple[str, int] | None:
        """Where the node listens, if it does."""
        entry = self.files.read(node_name(name))
        return None if entry is None else (entry.host, entry.port)

    def state(self, name: str) -> dict[str, list[Any]] | None:
        """What the node's own replica holds, asked beside the cluster; None if it has no say."""
        path = self.directory / f"state-{name}.json"
        path.unlink(missing_ok=True)
        self.order(name, f"state {path}")
        deadline = time.monotonic() + STATE_S
        while not path.exists():
            if time.monotonic() > deadline:
                return None
            time.sleep(PAUSE_S)
        state: dict[str, list[Any]] = json.loads(path.read_text())
        return state
