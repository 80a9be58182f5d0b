"""Clients that come, write once and go leave nothing behind, neither at the members nor where they
ran.

python -m tests.client.test_short_clients 2000     so many, and what was counted
"""

import gc
import os
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil

from raft_actors import Cluster, Config
from raft_actors.client import light_client
from raft_actors.kv_store import KVStore
from raft_actors.node.local_node import LocalNode
from raft_actors.peer.peers import peers_of
from tests.helpers import eventually
from tests.node_fixtures import QUICK, end, make_node, own_directories

__all__ = ["make_node", "own_directories"]

NAMES = ("a@h", "b@h", "c@h")
AT_ONCE = 4


def form(nodes, directory):
    for node in nodes:
        config = Config(data_dir=Path(directory) / node.name, log_store="memory")
        members = [("kv", name) for name in NAMES]
        assert peers_of(node).start(KVStore, "kv", config, members)[0] == "ok"


def come_and_go(nodes, count):
    """Have `count` clients write and close, some at the same time."""
    addresses = [f"127.0.0.1:{node.port}" for node in nodes]

    def several(number):
        for n in range(number, count, AT_ONCE):
            with Cluster.connect(addresses, "kv", timeout=60) as kv:
                assert kv.write(("set", "k", n)) == ("ok", "k", n)

    threads = [threading.Thread(target=several, args=(number,)) for number in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def what_is_there(nodes):
    """Count what a client could leave behind. Members and clients are in this process."""
    gc.collect()
    peers = [peers_of(node) for node in nodes]
    states = [each.hosted[each.running["kv"]].replica.applier.applied for each in peers]
    return {
        "sessions": max(len(state.sessions.by_number) for state in states),
        "connections of clients": sum(
            name.startswith("client-") and link.connection is not None
            for node in nodes
            for name, link in tuple(node._bridge._links.items())
        ),
        "links": max(len(node._bridge._links) for node in nodes),
        "parked calls": sum(
            len(each.hosted[each.running["kv"]].replica.parked.calls) for each in peers
        ),
        "handles": len(light_client.made),
        "threads": threading.active_count(),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
    }


def test_a_hundred_short_clients_leave_nothing_behind(make_node, tmp_path):
    nodes = [make_node(name) for name in NAMES]
    form(nodes, tmp_path)
    come_and_go(nodes, 2 * AT_ONCE)
    eventually(lambda: what_is_there(nodes)["sessions"] == 0)
    before = what_is_there(nodes)
    come_and_go(nodes, 100)

    left = {}

    def nothing_is_left():
        nonlocal left
        now = what_is_there(nodes)
        left = {what: (before[what], now[what]) for what in now if now[what] > before[what]}
        # Links of nodes that are gone are kept for a while, and not more than so many: see
        # LinkTable.
        return left.keys() <= {"links"}

    with suppress(AssertionError):
        eventually(nothing_is_left)
    assert left.keys() <= {"links"}


def main(count, directory):
    os.environ |= {"RAFT_ACTORS_RUNTIME_DIR": f"{directory}/run", "XDG_CONFIG_HOME": directory}
    nodes = [LocalNode(name, limits=QUICK).start() for name in NAMES]
    form(nodes, directory)
    come_and_go(nodes, 100)
    began = time.monotonic()
    for round_ in range(5):
        time.sleep(3)
        rss = psutil.Process().memory_info().rss / 2**20
        print(round_ * count // 4, what_is_there(nodes), f"{rss:.1f} MiB", flush=True)
        if round_ < 4:
            come_and_go(nodes, count // 4)
    print(f"{time.monotonic() - began:.0f} s")
    for node in nodes:
        end(node)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        main(int(sys.argv[1]), place)
