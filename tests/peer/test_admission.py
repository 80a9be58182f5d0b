"""What waits for a peer is bounded, whatever its clients do; the group takes no harm."""

import os
import socket
import threading
import time

import psutil
import pytest

from raft_actors import Config, encoding
from raft_actors.core.messages import Propose, Query
from raft_actors.peer.admission import AdmissionLimit
from raft_actors.peer.peers import peers_of
from raft_actors.peer.router import CLIENT
from raft_actors.replica.requests import WRITE
from tests.helpers import eventually
from tests.node_fixtures import make_node, own_directories  # noqa: F401 - fixtures
from tests.node_helpers import Insider, Script

KIB, MIB = 1024, 1024 * 1024
COOKIE = "of these nodes alone, and long enough"
CROWD = int(os.environ.get("RAFT_TEST_CROWD", "400"))
"""Connections at once; ten thousand of them take ten seconds, and as many descriptors."""


def proposals(*sizes):
    return [Propose(b"x" * size, None) for size in sizes]


def test_a_backlog_admits_the_first_that_fit_and_counts_out_what_is_taken():
    limit = AdmissionLimit(Config(proposals_max=5))
    first = limit.admit(proposals(1, 1, 1))
    assert len(first) == 3
    assert len(limit.admit(proposals(1, 1, 1))) == 2
    assert not limit.admit(proposals(1))
    limit.taken(first)
    assert len(limit.admit(proposals(1, 1, 1, 1))) == 3


def test_a_backlog_is_bounded_in_bytes_too():
    limit = AdmissionLimit(Config(command_bytes_max=100 * KIB))
    admitted = limit.admit(proposals(*[100 * KIB] * 10))
    assert len(admitted) == 8
    assert not limit.admit([Query(b"x" * KIB, None)])
    limit.taken(admitted)
    assert len(limit.admit(proposals(*[100 * KIB] * 3))) == 3


def test_more_at_once_than_a_backlog_holds_is_no_reason_to_refuse_all():
    assert len(AdmissionLimit(Config(proposals_max=20)).admit(proposals(*[1] * 100))) == 20


# With real sockets and a node of its own process.

SERVER = """
    import sys, threading
    from raft_actors import Config, Node, Raft
    from raft_actors.kv_store import KVStore
    config = Config(log_store="memory", link_queue_bytes=8 << 20, proposals_max=2_000)
    Node.start(sys.argv[1], config=config)
    node = Node.current()
    assert Raft.start_peer(KVStore, name="kv", config=config)[0] == "ok"
    assert Raft.set_configuration("kv", ["kv"])[0] == "ok"
    print(node.name, node.port)
    for line in sys.stdin:
        print(eval(line))
"""


@pytest.fixture
def server(own_directories, monkeypatch):  # noqa: F811
    monkeypatch.setenv("RAFT_ACTORS_COOKIE", COOKIE)
    script = Script(SERVER, "server")
    try:
        script.name, port = script.line().split()
    except BaseException:
        script.kill()
        raise
    script.place = ("127.0.0.1", int(port))
    yield script
    script.kill()


def connected(server, name):
    """A client with a connection of its own."""
    insider = Insider(socket.create_connection(server.place, 10.0), name, COOKIE)
    insider.enter(server)
    return insider


def request(number, value=1):
    return [WRITE, "kv", encoding.dumps(("set", number % 100, value)), 0, number]


def answers(futures, timeout_s=60.0):
    deadline = time.monotonic() + timeout_s
    return [encoding.loads(each.get(max(0.0, deadline - time.monotonic()))) for each in futures]


def write(node, server, number=1):
    return answers([peers_of(node).router.request(("kv", server.name), request(number))])[0]


def test_ten_thousand_writes_at_once_are_done_or_refused_and_then_all_is_well(server, make_node):  # noqa: F811
    node = make_node("client", config=Config(link_queue_bytes=64 * MIB))
    assert write(node, server)[0] == "ok"
    futures = [node.call(server.name, CLIENT, request(number)) for number in range(10_000)]
    node.flush()
    outcomes = {answer[1] if answer[0] == "error" else "ok" for answer in answers(futures)}
    assert "ok" in outcomes
    assert outcomes <= {"ok", "overloaded"}
    assert write(node, server)[0] == "ok"


def test_a_crowd_of_clients_is_served_and_forgotten(server, make_node):  # noqa: F811
    """Each with a connection of its own; what they cost is given back."""
    node = make_node("client")
    assert write(node, server)[0] == "ok"
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    crowd = [connected(server, f"crowd{number}@here") for number in range(CROWD)]
    most = process.memory_info().rss
    for number, insider in enumerate(crowd):
        insider.send_frame([CLIENT, request(number), 1])
    for insider in crowd:
        assert insider.hear()
    assert (most - before) / CROWD < 24 * KIB, f"{(most - before) // CROWD} bytes a client"
    for insider in crowd:
        insider.sock.close()
    eventually(lambda: process.num_fds() < 100)
    assert write(node, server)[0] == "ok"


def test_a_client_that_never_reads_its_answers_is_cut_off_and_costs_no_more(
    server,
    make_node,  # noqa: F811
):
    """Its large answers fill the kernel's buffers, then `link_queue_bytes`, and no more."""
    node = make_node("client")
    value = "v" * 100 * KIB
    assert (
        answers([peers_of(node).router.request(("kv", server.name), request(1, value))])[0][0]
        == "ok"
    )
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    deaf = connected(server, "deaf@here")
    went = []

    def pester():
        try:
            for number in range(2_000):  # 200 MB of answers
                deaf.send_frame([CLIENT, request(number, value), number])
        except OSError:
            went.append("cut off")

    thread = threading.Thread(target=pester)
    thread.start()
    worst = 0
    while thread.is_alive():
        thread.join(0.02)
        worst = max(worst, process.memory_info().rss - before)
        assert write(node, server)[0] in {"ok", "error"}
    assert went == ["cut off"]
    assert worst < 150 * MIB, f"{worst // MIB} MiB"
    eventually(lambda: write(node, server)[0] == "ok")
    deaf.sock.close()
