"""Pytest plugin: the fixtures `raft_simulation` and `raft_cluster`, for users' state machines.

docs/testing_your_machine.md explains them. Their code is imported when a test first uses a fixture.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from raft_actors.testing.local_cluster import ClusterMaker
    from raft_actors.testing.simulation.machine_simulation import Simulation

__all__ = ["raft_cluster", "raft_simulation"]


@pytest.fixture
def raft_simulation(tmp_path: Path) -> "Simulation":
    """Runs a state machine on simulated clusters: `raft_simulation.run(Machine, commands=[...])`.

    Time is virtual, and faults are drawn from seeds. A failure names its seed, which repeats the
    failure, and a file in the test's temporary directory, which repeats it also after the library
    has changed.
    """
    from raft_actors.testing.simulation.machine_simulation import Simulation

    return Simulation(tmp_path)


@pytest.fixture
def raft_cluster(tmp_path: Path) -> "Iterator[ClusterMaker]":
    """Starts real peers in this process: `cluster = raft_cluster(Machine, peers=3)`.

    Their logs are in the test's temporary directory. They are stopped when the test ends.
    """
    from raft_actors.testing.local_cluster import ClusterMaker

    maker = ClusterMaker(tmp_path)
    try:
        yield maker
    finally:
        maker.stop()
