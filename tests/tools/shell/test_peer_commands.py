"""`raft-actors status` and `reseed`, at a group of one node process whose state differs."""

import json
from pathlib import Path

import pytest

from tests.helpers import eventually
from tests.tools.shell.test_cli import HOST, Nodes, nodes  # noqa: F401 - fixture

MODULE = """
import threading, time
from raft_actors import Raft
from raft_actors.kv_store import KVStore
from raft_actors.peer.peers import peers_here

NAMES = ["one", "two", "three"]

def start():
    for name in NAMES:
        Raft.start_peer(KVStore, name=name, members=NAMES, digest_entries=10)
    threading.Thread(target=spoil, daemon=True).start()

def spoil():
    while not any(Raft.status(name)[1]["ready"] for name in NAMES):
        time.sleep(0.05)
    leader = Raft.leader("one")
    victim = next(name for name in NAMES if name != leader[0])
    peer = next(peer for peer in peers_here().stores.values() if peer.name == victim)
    dict.__setitem__(peer.replica.applier.applied.state, "spoilt", True)
    for number in range(20):
        Raft.write(leader, ("set", "key", number))
    while not Raft.status(victim)[1].get("troubles"):
        time.sleep(0.05)
    open("victim", "w").write(victim)
"""


def test_a_replica_that_differs_is_shown_and_reseeded(nodes: Nodes, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "spoiling.py").write_text(MODULE)
    nodes.start_up("--sname", "a", "-m", "spoiling")
    victim = eventually(lambda: (path := tmp_path / "victim").exists() and path.read_text())
    node = f"a@{HOST}"
    status, out, _err = nodes.run("status", victim, node)
    assert status == 1
    assert "current_state" in out
    assert f"Raft.reseed('{victim}')" in out
    status, out, err = nodes.run("reseed", victim, node)
    assert (status, err) == (0, "")
    assert f"{victim} on {node} has the state of its leader" in out
    status, out, _err = nodes.run("status", victim, node)
    assert (status, "Raft.reseed" in out) == (0, False)
    status, out, _err = nodes.run("status", victim, node, "--json")
    assert status == 0
    assert f"{victim} on {node}" in json.loads(out)["incarnations"]


@pytest.mark.parametrize("command", ["status", "reseed"])
def test_a_peer_that_is_not_there_is_one_line_and_status_1(nodes: Nodes, command: str) -> None:  # noqa: F811
    status, _out, err = nodes.run(command, "peer1", "nobody@nowhere")
    assert status == 1
    assert "'no_node'; see docs/errors.md" in err
