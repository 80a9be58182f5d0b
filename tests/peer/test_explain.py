"""Twelve planted troubles: the first sentence of an explanation names each of them."""

import shutil
import time
from types import SimpleNamespace

from raft_actors import Cluster, Config, Raft
from raft_actors.client.explaining import explain
from raft_actors.client.leader_finder import LeaderFinder
from raft_actors.core.effects import Trouble
from raft_actors.kv_store import KVStore
from raft_actors.peer.peers import peers_of
from tests.helpers import eventually
from tests.node_fixtures import make_memory_node, make_node, network, own_directories  # noqa: F401 - fixtures
from tests.peer.test_cut_networks import group, leader_among  # noqa: F401 - fixture
from tests.peer_fixtures import peer_of

QUICK = {"min_election_timeout": 0.15, "max_election_timeout": 0.3, "heartbeat_timeout": 0.03}
DISK = {**QUICK, "log_store": "files"}


def first(peer, code):
    """The first sentence, once the first finding has this code."""

    def found():
        explanation = Raft.explain(peer)
        return explanation if explanation.findings[0].code == code else None

    return eventually(found).sentences[0]


def leader_of(names):
    return eventually(lambda: Raft.leader(names[0]))[0]


def test_nothing_is_wrong(trio):
    names = trio(**QUICK)
    said = first(leader_of(names), "well")
    assert "all 3 peers answer; nothing is wrong" in said


def test_a_majority_is_stopped(trio):
    names = trio(**QUICK)
    leader = leader_of(names)
    for name in [each for each in names if each != leader]:
        Raft.stop_peer(name)
    said = first(leader, "no_majority")
    assert said.startswith("no leader for ")
    assert "1 of 3 members answer, and 2 are needed" in said


def test_one_member_is_stopped(trio):
    names = trio(**QUICK)
    leader = leader_of(names)
    away = next(each for each in names if each != leader)
    Raft.stop_peer(away)
    said = first(leader, "no_peer")
    assert said.startswith(f"{away} on ")
    assert "the peer does not" in said


def test_nobody_is_there(make_peer):
    make_peer()
    said = first(("kv", "nowhere@here"), "nobody_answers")
    assert said.startswith("none of the peers that were asked answers: kv on nowhere@here")


def test_a_peer_was_put_into_no_group(make_peer):
    name, _ = make_peer()
    assert first(name, "no_group").startswith(f"{name} on ")


def wipe(name, tmp_path):
    Raft.stop_peer(name)
    shutil.rmtree(tmp_path / name)


def test_the_disk_of_a_member_was_wiped(trio, make_peer, tmp_path):
    names = trio(**DISK)
    leader = leader_of(names)
    wiped = next(each for each in names if each != leader)
    wipe(wiped, tmp_path)
    make_peer(name=wiped, **DISK)
    said = first(leader, "wiped_disk")
    assert said.startswith(f"{wiped} on ")
    assert "another data directory than the one the group knows" in said


def test_the_disks_of_a_majority_were_wiped(trio, make_peer, tmp_path):
    names = trio(**DISK)
    leader = leader_of(names)
    others = [each for each in names if each != leader]
    for name in others:
        wipe(name, tmp_path)
    for name in others:
        make_peer(name=name, **DISK)
    said = first(leader, "no_majority_of_directories")
    assert "so only 1 of 2 needed votes are left" in said


def test_the_disk_of_the_leader_is_slow(trio, monkeypatch):
    names = trio()
    leader = leader_of(names)
    store = peer_of(leader).replica.store
    save = store.save

    def slow(*arguments):
        time.sleep(0.15)
        return save(*arguments)

    monkeypatch.setattr(
        peer_of(leader).replica, "store", SimpleNamespace(save=slow, snapshots=store.snapshots)
    )
    Raft.write(leader, ("set", "k", 1))
    try:
        said = first(leader, "slow_disk")
    finally:
        monkeypatch.undo()
    assert said.startswith(f"the disk of {leader} on ")


def test_the_thread_of_the_leader_hangs(trio, gated):
    names = trio(gated)
    leader = leader_of(names)
    pending = Cluster(names).pipeline()
    pending.write("wait")
    assert gated.entered.wait(10)
    other = next(each for each in names if each != leader)
    try:
        said = first(other, "leader_not_reached")
    finally:
        gated.gate.set()
        pending.drain()
    assert said.startswith(f"{leader} on ")


def test_a_peer_reports_a_trouble_itself(trio):
    names = trio()
    leader = leader_of(names)
    peer_of(leader).replica.core.report(Trouble("refuses_snapshots", (names[0], "x@y"), ""))
    assert "refuses each snapshot that it receives" in first(leader, "refuses_snapshots")


def explained(group, node):  # noqa: F811
    return explain(LeaderFinder(lambda: peers_of(node).router, (("kv", node.name),)))


def seen(group, node, code):  # noqa: F811
    def found():
        findings = explained(group, node)
        return findings if findings.findings[0].code == code else None

    return eventually(found)


def test_a_member_is_cut_off_from_everybody(group, network):  # noqa: F811
    leader = leader_among(group, group.nodes)
    away, *others = sorted(group.nodes, key=lambda node: node is leader)
    for node in others:
        network.cut(away.name, node.name)
    said = seen(group, away, "no_majority").sentences[0]
    assert "1 of 3 members answer" in said
    assert seen(group, leader, "unreachable").findings[0].about == (("kv", away.name),)


def test_only_the_link_between_a_follower_and_the_leader_is_cut(group, network):  # noqa: F811
    leader = leader_among(group, group.nodes)
    away, other = [node for node in group.nodes if node is not leader]
    network.cut(away.name, leader.name)
    found = seen(group, other, "cut_off")
    assert found.findings[0].about == (("kv", away.name),)
    assert "the leader has no connection to it" in found.sentences[0]


def test_the_cookie_of_a_client_differs(make_node, tmp_path):  # noqa: F811
    node = make_node("a@h")
    config = Config(data_dir=tmp_path / "a")
    peers_of(node).start(KVStore, "kv", config, [("kv", "a@h")])
    with Cluster.connect(
        f"127.0.0.1:{node.port}", "kv", cookie="another one of 32 letters or so"
    ) as kv:
        explanation = eventually(
            lambda: (now := kv.explain()).findings[0].code == "other_cookie" and now
        )
    assert "the cookies differ" in explanation.sentences[0]


def test_a_handle_is_a_table_of_its_peers_at_the_prompt(trio):
    names = trio(**QUICK)
    leader = leader_of(names)
    away = next(each for each in names if each != leader)
    Raft.stop_peer(away)
    shown = []
    Cluster(names)._repr_pretty_(SimpleNamespace(text=shown.append), False)
    head, *rows = shown[0].splitlines()
    assert head.split() == ["peer", "role", "term", "applied", "lag", "heard", "notes"]
    assert [row.split()[0] for row in rows] == [*sorted({*names} - {away}), away]
    assert f"{leader} on " in shown[0]
    assert rows[-1].endswith("no_peer")
    assert max(map(len, (head, *rows))) <= 80
