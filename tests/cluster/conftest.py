"""A cluster of three real processes, and this process as a node beside them."""

import pytest

from raft_actors import Node
from tests.cluster.stage import Stage


@pytest.fixture
def stage(real_disk, monkeypatch):
    stage = Stage(real_disk)
    for name, value in stage.environment.items():
        monkeypatch.setenv(name, value)
    for name in ("RAFT_ACTORS_NODES", "RAFT_ACTORS_MAPPER_PORT"):
        monkeypatch.delenv(name, raising=False)
    Node.start("tester")
    try:
        yield stage
    finally:
        stage.end()
