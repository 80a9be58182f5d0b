"""A group for trying things out: three peers in this process, with a temporary directory."""

import shutil
import tempfile
from pathlib import Path

from raft_actors.client.membership import CHANGE_TIMEOUT, set_configuration
from raft_actors.client.rpc import address_of, stop
from raft_actors.config import Config
from raft_actors.errors import RaftError
from raft_actors.machine.contract import Machine, Replicable
from raft_actors.names import Address
from raft_actors.peer.peers import directories_of_tests, peers_here

__all__ = ["start_group"]

NAMES = ("peer1", "peer2", "peer3")


def start_group(machine: type[Machine | Replicable]) -> tuple[Address, ...]:
    """Start three peers and form their group. Returns their addresses. Raises RaftError."""
    directory = Path(tempfile.mkdtemp(prefix="raft_actors-"))
    directories_of_tests.append(directory)
    for place, name in enumerate(NAMES):
        answer = peers_here().start(machine, name, Config(data_dir=directory / name))
        if answer[0] != "ok":
            for started in NAMES[:place]:
                stop(started)
            shutil.rmtree(directory, ignore_errors=True)
            raise RaftError(
                f"{name} did not start: {answer[1]!r}; if it runs already, use it, or "
                f'call Raft.stop_peer("{name}") first'
            )
    members = tuple(address_of(name) for name in NAMES)
    answer = set_configuration(members[0], members, (), (), False, CHANGE_TIMEOUT)
    if answer[0] != "ok":
        raise RaftError(f"the test cluster did not form: {answer[1]!r}")
    return members
