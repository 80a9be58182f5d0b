"""Nodes of a test live in directories of their own, and end with it."""

import pytest

from raft_actors.node.local_node import LocalNode
from raft_actors.testing.memory_network import MemoryNetwork
from raft_actors.transport.limits import BridgeLimits
from tests.node_helpers import Script

QUICK = BridgeLimits(
    handshake_s=2.0, ping_after_s=0.2, dead_after_s=0.6, redial_max_s=0.1, mapper_retry_s=0.1,
    parked_s=0.5, port_file_s=0.1,
)  # fmt: skip


@pytest.fixture(autouse=True)
def own_directories(tmp_path, monkeypatch):
    monkeypatch.setenv("RAFT_ACTORS_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in (
        "RAFT_ACTORS_COOKIE", "RAFT_ACTORS_NODES", "RAFT_ACTORS_MAPPER_PORT", "RAFT_ACTORS_TLS",
        "RAFT_ACTORS_TLS_CERT", "RAFT_ACTORS_TLS_KEY", "RAFT_ACTORS_TLS_CA",
    ):  # fmt: skip
        monkeypatch.delenv(name, raising=False)


def end(node):
    """Stop a node, and its peers first: they would go on without it."""
    if node.residents is not None:
        node.residents.stop_all()
    node.stop()


@pytest.fixture
def make_node():
    """Start nodes of this process, which quickly notice what goes wrong."""
    nodes = []

    def make(name, *, limits=QUICK, **options):
        node = LocalNode(name, limits=limits, **options).start()
        nodes.append(node)
        return node

    yield make
    for node in nodes:
        end(node)


@pytest.fixture
def network():
    """A network without sockets."""
    return MemoryNetwork()


@pytest.fixture
def make_memory_node(network):
    """Start nodes of that network; `limits` are those of sockets, and of no use here."""
    nodes = []

    def make(name, *, limits=None, **options):
        nodes.append(network.start_node(name, **options))
        return nodes[-1]

    yield make
    for node in nodes:
        end(node)


@pytest.fixture(params=["tcp", "memory"])
def make_any_node(request):
    """Start nodes over TCP, and again in memory."""
    name = "make_node" if request.param == "tcp" else "make_memory_node"
    return request.getfixturevalue(name)


@pytest.fixture
def make_script():
    """Start Python processes, each with lines of a script to run."""
    scripts = []

    def make(source, *arguments):
        script = Script(source, *arguments)
        scripts.append(script)
        return script

    yield make
    for script in scripts:
        script.kill()
