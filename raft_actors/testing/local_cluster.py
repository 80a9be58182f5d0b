"""LocalCluster: real peers in one process, with real logs, for tests of a user's state machine."""

import time
from itertools import count
from pathlib import Path
from typing import Any

from raft_actors.kv_store import KVStore
from raft_actors.names import Address
from raft_actors.raft import Raft
from raft_actors.replicated import Replicated
from raft_actors.state_machine import StateMachine

__all__ = ["ClusterMaker", "LocalCluster"]

NUMBERS = count(1)
WAIT_S = 10.0
LOOK_S = 0.01
QUICK = {"min_election_timeout": 0.1, "max_election_timeout": 0.2, "heartbeat_timeout": 0.02}


class LocalCluster:
    """A group of peers. `names` are the names of the peers, `machine` is their state machine."""

    def __init__(
        self,
        machine: type[StateMachine | Replicated],
        names: list[str],
        directory: Path,
        config: dict[str, Any],
    ) -> None:
        self.machine = machine
        self.names = names
        self.directory = directory
        self.config = config

    def start_peer(self, name: str) -> None:
        """Start one of the peers, or start it again with its log."""
        data_dir = self.directory / name
        answer = Raft.start_peer(self.machine, name=name, **{**self.config, "data_dir": data_dir})
        assert answer[0] == "ok", answer

    def stop_peer(self, name: str) -> None:
        """Stop one of the peers. A leader transfers its leadership first."""
        assert Raft.stop_peer(name) == "ok"

    @property
    def leader(self) -> str:
        """The name of the leader. Waits until there is one."""
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            for name in self.names:
                match Raft.status(name):
                    case ("ok", {"current_state": "leader"}):
                        return name
            time.sleep(LOOK_S)
        raise AssertionError(f"none of {', '.join(self.names)} leads after {WAIT_S} s")

    def write(self, command: Any, timeout: float = 3.0) -> Any:
        """Write at the leader; return the state machine's reply.

        If the answer says that the command has not run, because the leader changes for example, the
        command is sent again.
        """
        return self.ask(Raft.write, command, timeout)

    def read(self, query: Any, timeout: float = 3.0) -> Any:
        return self.ask(Raft.read, query, timeout)

    def ask(self, call: Any, what: Any, timeout: float) -> Any:
        deadline = time.monotonic() + WAIT_S
        while True:
            answer = call(self.leader, what, timeout)
            match answer:
                case ("error", ("redirect", _) | "election_in_progress" | "no_peer" | "restarting"):
                    if time.monotonic() > deadline:
                        return answer
                    time.sleep(LOOK_S)
                case _:
                    return answer

    def status(self, name: str) -> Any:
        answer = Raft.status(name)
        assert answer[0] == "ok", answer
        return answer[1]

    @property
    def members(self) -> list[Address]:
        return list(self.status(self.leader)["configuration"]["members"])


class ClusterMaker:
    """Makes clusters below `directory`; `stop` ends all their peers."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clusters: list[LocalCluster] = []

    def __call__(
        self, machine: type[StateMachine | Replicated] = KVStore, *, peers: int = 3, **config: Any
    ) -> LocalCluster:
        """Start `peers` peers of `machine`, and form their group. `config` are fields of Config."""
        names = [f"{machine.__name__.lower()}{next(NUMBERS)}" for _ in range(peers)]
        cluster = LocalCluster(machine, names, self.directory, {**QUICK, **config})
        self.clusters.append(cluster)
        for name in names:
            cluster.start_peer(name)
        answer = Raft.set_configuration(names[0], names)
        assert answer[0] == "ok", answer
        return cluster

    def stop(self) -> None:
        for cluster in self.clusters:
            for name in reversed(cluster.names):
                Raft.stop_peer(name)
