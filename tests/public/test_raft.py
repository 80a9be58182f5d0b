"""Every call of `Raft` and its answers, in one process, on RocksDB."""

import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

import supervision
from raft_actors import Cluster, Config, Node, Raft, StateMachine, Supervisor, encoding
from raft_actors.core.messages import CONSISTENCIES, Propose
from raft_actors.encoding import marks
from raft_actors.errors import BadName, NoLeader, RaftError, Unavailable
from raft_actors.kv_store import KVStore
from raft_actors.peer.peers import peers_here
from raft_actors.replica.requests import WRITE, next_request
from raft_actors.tools.offline.entries import damage_in
from tests.helpers import eventually
from tests.peer_fixtures import peer_of

HERE = Node.self()


def leader_of(names):
    found = []

    def agreed():
        leaders = {Raft.leader(name) for name in names}
        found[:] = leaders
        return len(leaders) == 1 and None not in leaders

    eventually(agreed)
    return found[0]


def test_a_peer_starts_as_a_follower_that_knows_nobody(make_peer):
    name, (ok, proxy) = make_peer()
    assert ok == "ok"
    ok, status = Raft.status(proxy)
    assert ok == "ok"
    assert status["name"] == name
    assert status["current_state"] == "follower"
    assert status["configuration"] == {"state": "none", "members": [], "index": 0}
    assert {"last_index", "last_term", "current_term", "commit_index", "last_applied"} < set(status)
    assert Raft.leader(name) is None
    assert Raft.write(name, ("set", "a", 1)) == ("error", ("redirect", None))
    assert Raft.read((name, HERE), ("get", "a")) == ("error", ("redirect", None))


def test_starting_a_name_twice_is_already_started(make_peer):
    name, (_, proxy) = make_peer()
    _, answer = make_peer(name=name)
    error, (reason, same) = answer
    assert (error, reason) == ("error", "already_started")
    assert same.actor_ref == proxy.actor_ref


def test_a_peer_needs_a_name():
    with pytest.raises((ValueError, TypeError)):
        Raft.start_peer(KVStore)
    for bad in ("", "a/b", "..", "a b", 7, None, "x" * 129):
        with pytest.raises(BadName):
            Raft.start_peer(KVStore, name=bad)


def test_a_bad_config_is_refused_in_words(make_peer):
    with pytest.raises(ValueError, match="min_election_timeout"):
        make_peer(min_election_timeout=1.0, max_election_timeout=0.5)
    with pytest.raises(ValueError, match="unknown Config field 'heartbeat'"):
        make_peer(heartbeat=1)


def test_writing_reading_and_being_redirected(trio):
    names = trio()
    leader = leader_of(names)
    assert leader == (names[0], HERE), "who was given the configuration leads"
    assert KVStore_write(leader, "foo", "bar") == ("ok", "foo", "bar")
    assert Raft.read(leader, ("get", "foo")) == ("ok", "bar")
    assert Raft.read(leader, ("get", "baz")) == ("error", "key_not_found")
    assert Raft.read(names[1], ("get", "foo")) == ("error", ("redirect", leader))
    assert KVStore_write(names[2], "foo", "x") == ("error", ("redirect", leader))


def KVStore_write(peer, key, value):
    return Raft.write(peer, ("set", key, value))


def test_a_peer_is_given_as_name_address_ref_or_proxy(trio):
    names = trio()
    leader = leader_of(names)
    ref = peers_here().running[leader[0]]
    for form in (leader[0], leader, ref, ref.proxy()):
        assert Raft.leader(form) == leader
    with pytest.raises(TypeError, match="a peer is its name"):
        Raft.leader(42)
    with pytest.raises(TypeError, match="a peer is its name"):
        Raft.leader(("a", "b", "c"))


def test_the_first_entries_are_those_of_the_original(trio):
    names = trio()
    leader = leader_of(names)
    KVStore_write(leader, "foo", "bar")
    ok, first = Raft.get_entry(leader, 0)
    assert (ok, first["type"], first["data"]["state"]) == ("ok", "config", "none")
    _, second = Raft.get_entry(leader, 1)
    assert second["type"] == "config"
    assert second["data"]["state"] == "stable"
    assert set(second["data"]["members"]) == {(name, HERE) for name in names}
    _, third = Raft.get_entry(leader, 2)
    assert third == {"index": 2, "term": 1, "type": "command", "data": ("set", "foo", "bar")}
    assert Raft.get_entry(leader, 3) == ("error", "not_found")


def test_a_stopped_leaders_address_leads_to_the_new_one(trio):
    names = trio()
    leader = leader_of(names)
    KVStore_write(leader, "foo", "bar")
    assert Raft.stop(leader) == "ok"
    error, (redirect, new) = Raft.read(leader, ("get", "foo"))
    assert (error, redirect) == ("error", "redirect")
    assert new[0] in names
    assert new != leader
    assert Raft.leader(leader) == new
    assert Raft.read(new, ("get", "foo")) == ("ok", "bar")
    assert Raft.stop(leader) == ("error", "no_peer")
    assert Raft.status(leader) == ("error", "no_peer")


def test_a_stopped_peer_comes_back_with_its_log_and_redirects(trio, make_peer, tmp_path):
    names = trio()
    old = leader_of(names)
    KVStore_write(old, "foo", "bar")
    Raft.stop(old)
    new = Raft.leader(old)
    KVStore_write(new, "foo", "baz")
    make_peer(name=old[0], data_dir=tmp_path / old[0])
    eventually(lambda: Raft.read(old, ("get", "foo")) == ("error", ("redirect", new)))
    eventually(lambda: Raft.status(old)[1]["last_applied"] == Raft.status(new)[1]["commit_index"])


def test_nobody_of_that_name(trio):
    assert Raft.write("nobody", 1) == ("error", "no_peer")
    assert Raft.read("nobody", 1) == ("error", "no_peer")
    assert Raft.status("nobody") == ("error", "no_peer")
    assert Raft.stop_peer("nobody") == ("error", "no_peer")
    assert Raft.leader("nobody") is None
    assert Raft.write(("p", "nowhere@here"), 1) == ("error", "no_node")
    assert Raft.status(("p", "nowhere@here")) == ("error", "no_node")
    assert Raft.leader(("p", "nowhere@here")) is None


def test_a_founder_must_be_a_member_and_needs_a_majority(make_peer):
    fast = {"min_election_timeout": 0.05, "max_election_timeout": 0.1, "heartbeat_timeout": 0.01}
    name, _ = make_peer(**fast)
    other, _ = make_peer()
    assert Raft.set_configuration(name, [other]) == ("error", "must_be_in_consensus_group")
    absent = ("absent", HERE)
    answer = Raft.set_configuration(name, [name, absent, ("absent2", HERE)])
    assert answer == ("error", "peers_not_responding")
    assert Raft.set_configuration(name, [name])[0] == "ok"
    assert KVStore_write(name, "a", 1) == ("ok", "a", 1)


@pytest.mark.parametrize(
    "call",
    [
        lambda peer, other: Raft.add_peer(peer, other),
        lambda peer, _other: Raft.add_peer(peer, peer),  # founded a group of one
        lambda peer, other: Raft.add_peer(peer, other, learner=True),
        lambda peer, other: Raft.remove_peer(peer, other),
        lambda peer, other: Raft.replace_peer(peer, peer, other),
        lambda peer, other: Raft.promote(peer, other),
        lambda peer, other: Raft.demote(peer, other),
        lambda peer, _other: Raft.cancel_change(peer),
        lambda peer, _other: Raft.transfer_leadership(peer),
    ],
)
def test_what_needs_a_group_says_how_to_get_one(make_peer, call):
    """Planted: ask the peer, which answers of a member that it is to name itself."""
    (lonely, _), (other, _) = make_peer(log_store="memory"), make_peer(log_store="memory")
    error, (reason, text) = call(lonely, other)
    assert (error, reason) == ("error", "no_group")
    assert f"Raft.set_configuration('{lonely}', members)" in text
    assert Raft.status(lonely)[1]["configuration"]["members"] == []


def test_a_group_that_forms_without_one_says_so_for_its_name_may_be_wrong(make_peer, caplog):
    names = [make_peer()[0] for _ in range(3)]
    assert Raft.set_configuration(names[0], names)[0] == "ok"
    eventually(lambda: len(Raft.status(names[0])[1]["incarnations"]) == 3)
    caplog.clear()
    assert Raft.set_configuration(leader_of(names), names)[0] == "ok"
    assert "nothing was received" not in caplog.text
    names = [make_peer()[0] for _ in range(2)]
    assert Raft.set_configuration(names[0], [*names, "peer_mistyped"])[0] == "ok"
    assert f"nothing was received from peer_mistyped on {HERE}" in caplog.text


def test_asking_for_the_same_configuration_again_is_ok(trio):
    names = trio()
    leader = leader_of(names)
    again = Raft.set_configuration(leader, names)
    assert again[0] == "ok"
    assert again[1]["state"] == "stable"
    follower = next(name for name in names if name != leader[0])
    assert Raft.set_configuration(follower, names) == ("error", ("redirect", leader))


def test_what_cannot_be_encoded_is_refused_at_the_caller(trio):
    names = trio()
    with pytest.raises(TypeError, match=r"command\[1\]"):
        Raft.write(names[0], ("set", object(), 1))
    with pytest.raises(ValueError, match="command_bytes_max"):
        Raft.write(names[0], b"x" * (9 * 1024 * 1024))


def test_a_write_that_finds_no_majority_times_out(trio):
    names = trio()
    leader = leader_of(names)
    for name in names:
        if name != leader[0]:
            Raft.stop(name)
    answer = Raft.write(leader, ("set", "a", 1), timeout=0.2)
    assert answer[0] == "error"
    assert answer[1] in ("timeout", "outcome_unknown")


class Poisoned(KVStore):
    def handle_write(self, command, state):
        if command == "poison":
            state["half"] = "done"
            raise RuntimeError("a bug")
        return super().handle_write(command, state)

    def handle_read(self, query, state):
        if query == "bug":
            raise KeyError("bug")
        return super().handle_read(query, state)


def test_a_poison_command_is_an_answer_also_after_restarts(make_peer, trio, tmp_path):
    """Defect 17 of the original."""
    names = trio(Poisoned)
    leader = leader_of(names)
    answer = Raft.write(leader, "poison")
    assert answer == ("error", ("exception", "RuntimeError", "a bug"))
    assert Raft.read(leader, ("get", "half")) == ("error", "key_not_found")
    assert Raft.read(leader, "bug") == ("error", ("exception", "KeyError", "'bug'"))
    for name in names:
        Raft.stop(name)
    for name in names:
        make_peer(Poisoned, name=name, data_dir=tmp_path / name)
    leader = leader_of(names)
    assert KVStore_write(leader, "a", 1) == ("ok", "a", 1)
    assert Raft.read(leader, ("get", "half")) == ("error", "key_not_found")


class Fragile(KVStore):
    def handle_write(self, command, state):
        if command == "out of memory":
            raise MemoryError
        return super().handle_write(command, state)


def test_a_crashed_peer_is_restarted_and_recovers_from_its_store(make_peer):
    name, (_, proxy) = make_peer()
    Raft.set_configuration(name, [name])
    KVStore_write(name, "a", 1)
    before = peers_here().running[name]
    before.tell(Propose(None, None))  # no command at all: a bug, as far as the peer knows
    eventually(lambda: peers_here().running.get(name) not in (None, before))
    eventually(lambda: Raft.read(name, ("get", "a")) == ("ok", 1))
    assert Raft.read(proxy, ("get", "a")) == ("ok", 1), "the old proxy still names the peer"


def test_a_crash_loop_takes_only_its_own_peer_down(make_peer):
    name, _ = make_peer(Fragile)
    other, _ = make_peer()
    Raft.set_configuration(name, [name])
    Raft.set_configuration(other, [other])
    Raft.write(name, "out of memory", timeout=0.5)
    eventually(lambda: Raft.status(name)[0] == "error")
    eventually(lambda: Raft.start_peer(Fragile, name=name) == ("error", "restarting"))
    for ask in (Raft.status, Raft.snapshot, lambda peer: Raft.get_entry(peer, 1)):
        assert ask(name) == ("error", "restarting")
    assert Raft.write(name, "x") == Raft.read(name, "x") == ("error", "restarting")

    def why_not() -> str:
        with pytest.raises((Unavailable, NoLeader)) as refused:  # the latter while it lives
            Cluster(name, timeout=0.1).read("x")
        return str(refused.value) if refused.type is Unavailable else ""

    told = re.compile(f"{name} on .*: it has crashed and is started again")
    eventually(lambda: told.search(why_not()))
    assert KVStore_write(other, "a", 1) == ("ok", "a", 1)
    assert Raft.stop(name) == "ok", "also while it waits to be restarted"
    assert Raft.stop(name) == Raft.status(name) == ("error", "no_peer")


class Slow(KVStore):
    """Takes longer for each call than a follower waits for its leader."""

    def handle_write(self, command, state):
        time.sleep(0.06)
        return super().handle_write(command, state)

    def handle_read(self, query, state):
        time.sleep(0.06)
        return super().handle_read(query, state)


def test_a_machine_that_keeps_its_peer_from_heartbeats_is_told_in_the_log(make_peer, caplog):
    quick = {"min_election_timeout": 0.05, "max_election_timeout": 0.1, "heartbeat_timeout": 0.01}
    name, _ = make_peer(Slow, **quick)
    assert Raft.set_configuration(name, [name])[0] == "ok"
    assert "Slow took" not in caplog.text
    assert Raft.read(name, ("get", "foo")) == ("error", "key_not_found")
    eventually(lambda: "Slow took" in caplog.text)  # told after the answer
    (told,) = (line for line in caplog.messages if "Slow took" in line)
    assert told.startswith(f"{name}: Slow took ")
    assert "for reads (1 of them);" in told
    assert "min_election_timeout (0.05 s)" in told

    assert Raft.write(name, ("set", "foo", 1))[0] == "ok"
    assert caplog.text.count("Slow took") == 1, "once in a while is enough"

    peer_of(name).replica.applier.log_slow_next = 0.0
    assert Raft.write(name, ("set", "foo", 2))[0] == "ok"
    eventually(lambda: "for entry 3;" in caplog.text)


class Mended(KVStore):
    broken = False

    def init(self, name):
        if self.broken:
            raise OSError("not mounted yet")
        return super().init(name)


def test_a_peer_comes_back_when_what_broke_it_is_mended(make_peer):
    name, _ = make_peer(Mended)
    Raft.set_configuration(name, [name])
    KVStore_write(name, "a", 1)
    Mended.broken = True
    try:
        supervision.kill(peers_here().running[name])
        eventually(lambda: Raft.status(name)[0] == "error")
    finally:
        Mended.broken = False
    eventually(lambda: Raft.status(name)[0] == "ok")
    eventually(lambda: Raft.read(name, ("get", "a")) == ("ok", 1))


def test_a_data_directory_in_use_is_refused_and_the_message_names_it(make_peer, tmp_path):
    make_peer(data_dir=tmp_path / "shared")
    _, answer = make_peer(data_dir=tmp_path / "shared")
    error, (kind, name, text) = answer
    assert (error, kind, name) == ("error", "exception", "DataDirInUse")
    assert str(tmp_path / "shared") in text


def test_a_peer_in_a_declared_tree(tmp_path):
    children = [
        (KVStore, {"name": f"tree{n}", "data_dir": tmp_path / f"tree{n}"}) for n in range(3)
    ]
    ok, tree = Supervisor.start_link(children, strategy="one_for_one")
    assert ok == "ok"
    try:
        names = [f"tree{n}" for n in range(3)]
        assert Raft.set_configuration(names[0], names)[0] == "ok"
        leader = leader_of(names)
        assert KVStore_write(leader, "a", 1) == ("ok", "a", 1)
        assert Supervisor.count_children(tree)["active"] == 3
        assert Raft.stop(leader) == "ok"
        assert Supervisor.count_children(tree)["active"] == 2
        assert Supervisor.restart_child(tree, ("PeerSupervisor", leader[0]))[0] == "ok"
        eventually(lambda: Raft.status(leader)[0] == "ok")
    finally:
        supervision.stop(tree)
    assert all(Raft.status(name) == ("error", "no_peer") for name in names)


def test_a_child_spec_takes_config_or_its_fields():
    spec = KVStore.child_spec(name="p", config=Config(log_store="memory"))
    assert spec.id == ("PeerSupervisor", "p")
    assert spec.type == "supervisor"
    with pytest.raises(ValueError, match="unknown Config field"):
        KVStore.child_spec(name="p", config=Config(), data_directory="x")
    with pytest.raises(BadName):
        KVStore.child_spec(name="a b")


def test_a_machine_without_its_methods_says_which_is_missing(make_peer):
    class Half(StateMachine):
        pass

    _, answer = make_peer(Half)
    error, (kind, name, text) = answer
    assert (error, kind, name) == ("error", "exception", "NotImplementedError")
    assert "Half needs init(self, name)" in text


def test_a_test_cluster_is_elected_and_works(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # its directory is there until we end
    peers = Raft.test_cluster()
    try:
        leader = leader_of(peers)
        assert len(peers) == 3
        assert KVStore_write(leader, "a", 1) == ("ok", "a", 1)
    finally:
        for peer in peers:
            Raft.stop(peer)


TWO_CLUSTERS = """
from raft_actors import Raft
for number in range(2):
    peers = Raft.test_cluster()
    leader = Raft.leader(peers[0])
    assert Raft.write(leader, ("set", "k", number))[0] == "ok"
    if number == 0:
        for peer in peers:
            Raft.stop(peer)
"""


def test_a_program_with_two_test_clusters_ends_without_a_word(tmp_path):
    """The peers are stopped before their directories are removed."""
    run = subprocess.run(
        [sys.executable, "-c", TWO_CLUSTERS], capture_output=True, text=True, cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path)}, check=False, timeout=60,
    )  # fmt: skip
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert not [*tmp_path.iterdir()]


def test_a_test_cluster_that_cannot_be_says_what_to_do_and_leaves_nothing(make_peer):
    make_peer(name="peer2")
    with pytest.raises(RaftError, match=r"peer2.*Raft\.stop"):
        Raft.test_cluster()
    assert Raft.status("peer1") == ("error", "no_peer")


def test_a_machine_is_a_class(make_peer):
    for strange in (KVStore(), dict, "KVStore"):
        with pytest.raises(TypeError, match="a class derived from StateMachine"):
            make_peer(strange)


def test_members_are_a_list_and_no_name(make_peer):
    name, _ = make_peer()
    with pytest.raises(TypeError, match=r"a list of peers, not 'peer"):
        Raft.set_configuration(name, name)
    with pytest.raises(TypeError, match=r"a list of peers, not 'peer"):
        make_peer(members="peer1")


def test_many_writes_at_once_all_arrive(trio):
    """Defect 15 of the original: of 200 simultaneous writes 110 timed out."""
    from concurrent.futures import ThreadPoolExecutor

    leader = leader_of(trio())
    with ThreadPoolExecutor(32) as threads:
        answers = list(threads.map(lambda n: KVStore_write(leader, n, n), range(400)))
    assert answers == [("ok", n, n) for n in range(400)]


def test_leadership_is_handed_over_on_request(trio):
    names = trio()
    old = leader_of(names)
    KVStore_write(old, "a", 1)
    target = next((name, HERE) for name in names if name != old[0])
    assert Raft.transfer_leadership(old, to=target) == ("ok", target)
    assert Raft.read(target, ("get", "a")) == ("ok", 1)
    assert Raft.transfer_leadership(target, to=target) == ("ok", target)
    assert Raft.transfer_leadership(old) == ("error", ("redirect", target))
    ok, newest = Raft.transfer_leadership(target)
    assert ok == "ok"
    assert newest != target
    assert Raft.transfer_leadership(newest, to=("nobody", HERE)) == ("error", "no_such_member")


def test_a_leader_that_is_stopped_hands_its_office_over(trio):
    """Without waiting for a timeout: with these, an election would take a minute."""
    slow = {"min_election_timeout": 60.0, "max_election_timeout": 61.0}
    names = trio(**slow)
    leader = leader_of(names)
    KVStore_write(leader, "a", 1)
    assert Raft.stop(leader) == "ok"
    error, (_, new) = Raft.read(leader, ("get", "a"))
    assert error == "error"
    assert Raft.read(new, ("get", "a")) == ("ok", 1)


def test_members_are_added_replaced_demoted_and_removed_on_a_running_group(make_peer, trio):
    names = trio()
    leader = leader_of(names)
    for n in range(50):
        KVStore_write(leader, n, n)
    fourth, fifth = (make_peer()[0] for _ in range(2))
    ok, plan = Raft.add_peer(leader, fourth, dry_run=True)
    assert ok == "ok"
    assert (fourth, HERE) in plan["members"]
    assert (fourth, HERE) not in Raft.status(leader)[1]["configuration"]["members"]
    ok, configuration = Raft.add_peer(leader, fourth)
    assert (ok, configuration["state"]) == ("ok", "stable")
    assert (fourth, HERE) in configuration["members"]
    ok, configuration = Raft.add_peer(leader, fifth, learner=True)
    assert configuration["learners"] == [(fifth, HERE)]
    assert Raft.add_peer(leader, fifth, learner=True)[0] == "ok", "it is so already"
    other = next(name for name in names if name != leader[0])
    ok, configuration = Raft.replace_peer(leader, other, fifth)
    assert ok == "ok"
    assert set(configuration["members"]) == {
        (name, HERE) for name in {*names, fourth, fifth} - {other}
    }
    assert Raft.demote(leader, fourth)[1]["learners"] == [(fourth, HERE)]
    assert "learners" not in Raft.promote(leader, fourth)[1]
    assert Raft.remove_peer(leader, leader)[0] == "ok"
    rest = [name for name in (*names, fourth, fifth) if name not in (leader[0], other)]
    eventually(lambda: leader_of(rest) != leader)
    assert Raft.read(leader_of(rest), ("get", 49)) == ("ok", 49)
    assert Raft.add_peer(leader, other)[0] == "error", "it leads no more"


def test_whom_the_group_does_not_have_is_no_such_member(trio, make_peer):
    """Planted: a misspelled name is "removed", and a demoted stranger is a learner for ever."""
    names = trio(log_store="memory")
    leader = leader_of(names)
    stranger = make_peer(log_store="memory")[0]
    before = Raft.status(leader)[1]["configuration"]
    for answer in (
        Raft.remove_peer(leader, "nobody"),
        Raft.remove_peer(leader, "nobody", dry_run=True),
        Raft.promote(leader, stranger),
        Raft.demote(leader, stranger),
        Raft.replace_peer(leader, "nobody", stranger),
        Raft.replace_peer(leader, "nobody", "nobody"),
        Raft.transfer_leadership(leader, "nobody"),
    ):
        assert answer == ("error", "no_such_member")
    assert Raft.status(leader)[1]["configuration"] == before
    follower = next(name for name in names if name != leader[0])
    assert Raft.remove_peer(follower, "nobody") == ("error", ("redirect", leader))


def test_a_change_that_waits_for_its_newcomer_is_called_off(trio, make_peer):
    """Asking for one peer again is no wish to call another one's change off."""
    names = trio(log_store="memory")
    leader = leader_of(names)
    with ThreadPoolExecutor() as pool:
        change = pool.submit(Raft.add_peer, leader, "away")
        eventually(lambda: Raft.remove_peer(leader, names[0], dry_run=True)[0] == "error")
        assert Raft.add_peer(leader, names[1])[0] == "ok", "it is so"
        assert not change.done()
        assert Raft.cancel_change(leader)[0] == "ok"
        assert change.result(10) == ("error", "called_off")
        again = pool.submit(Raft.add_peer, leader, "away")
        eventually(lambda: Raft.remove_peer(leader, names[0], dry_run=True)[0] == "error")
        assert Raft.set_configuration(leader, names)[0] == "ok"
        assert again.result(10) == ("error", "called_off")
    assert Raft.cancel_change(leader)[0] == "ok", "there is none"
    new = make_peer(log_store="memory")[0]
    assert Raft.add_peer(leader, new)[0] == "ok"
    assert Raft.cancel_change("nobody") == ("error", "no_peer")


def test_asking_again_at_once_is_fine(trio, make_peer):
    """The disk of the newcomer is learned meanwhile, which is nobody's change."""
    leader = leader_of(trio(log_store="memory"))
    new = make_peer(log_store="memory")[0]
    answers = [Raft.add_peer(leader, new, learner=True) for _ in range(30)]
    assert {answer[0] for answer in answers} == {"ok"}
    answers = [Raft.promote(leader, new) for _ in range(5)]
    assert {answer[0] for answer in answers} == {"ok"}


def test_a_change_is_made_again_where_only_a_disk_was_learned_meanwhile(
    make_peer, trio, monkeypatch
):
    """The members that it was decided on are the same: nobody else has changed them."""
    leader, (new, _), told = leader_of(trio()), make_peer(), []
    true_status = Raft.status

    def status(peer):
        answer = true_status(peer)
        if not told:
            answer[1]["configuration"]["index"] -= 1
        told.append(peer)
        return answer

    monkeypatch.setattr("raft_actors.client.membership.status_of", status)
    assert Raft.add_peer(leader, new)[0] == "ok"
    assert len(told) > 1


def test_a_change_is_not_made_again_where_somebody_else_was_faster(make_peer, trio, monkeypatch):
    names, (new, _), told = trio(), make_peer(), []
    true_status = Raft.status

    def status(peer):
        answer = true_status(peer)
        if not told:
            answer[1]["configuration"] |= {"index": 0, "members": [peer]}
        told.append(peer)
        return answer

    def why_not():
        told.clear()
        return Raft.add_peer(leader_of(names), new)[1][0]

    monkeypatch.setattr("raft_actors.client.membership.status_of", status)
    eventually(lambda: why_not() == "configuration_changed")  # once it asks who leads


def test_who_is_removed_is_told_and_who_comes_later_is_not(trio, make_peer, caplog):
    """Planted: every configuration without the peer is told of, also those before it came."""
    names = trio(log_store="memory")
    leader = leader_of(names)
    gone = next(name for name in names if name != leader[0])
    fourth = make_peer(log_store="memory")[0]
    assert Raft.add_peer(leader, fourth)[0] == "ok"
    assert Raft.remove_peer(leader, gone)[0] == "ok"
    eventually(lambda: f"{gone} is no member of its group" in caplog.text)
    eventually(lambda: all_applied([leader, fourth]))
    assert caplog.text.count("is no member of its group") == 1


def all_applied(peers):
    return len({Raft.status(peer)[1]["last_applied"] for peer in peers}) == 1


def test_clients_of_a_busy_peer_are_refused_at_once_and_nothing_grows(make_peer, gated):
    name, _ = make_peer(gated, proposals_max=20)
    Raft.set_configuration(name, [name])
    waiting = [request_of(name, "wait")]
    assert gated.entered.wait(30)
    waiting += [request_of(name, "wait") for _ in range(100)]
    refused = [encoding.loads(future.get(1)) for future in waiting if future.done()]
    assert refused == [("error", "overloaded")] * 80
    assert Raft.write(name, ("set", "a", 1), timeout=1) == ("error", "overloaded")
    gated.gate.set()
    eventually(lambda: all(future.done() for future in waiting))
    assert KVStore_write(name, "a", 1) == ("ok", "a", 1), "it recovers by itself"


def request_of(name, command):
    body = [WRITE, name, encoding.dumps(command), *next_request()]
    return peers_here().router.request((name, HERE), body)


class Echo(StateMachine):
    def init(self, name):
        return None

    def handle_write(self, command, state):
        return command, state

    def handle_read(self, query, state):
        return query


@pytest.mark.parametrize("term", ["a", ("a", 1), ["a"], {"a"}, {"k": [1]}, b"\xc1", 1 << 70])
def test_whatever_is_a_term_may_be_said_and_answered(make_peer, term):
    """Planted: a machine's reply begins with the byte with which some terms begin."""
    name, _ = make_peer(Echo)
    assert Raft.set_configuration(name, [name])[0] == "ok"
    assert Raft.write(name, term) == term
    with Cluster(name) as cluster:
        assert cluster.write(term) == term
        for consistency in CONSISTENCIES:
            assert Raft.read(name, term, consistency=consistency) == term
            assert cluster.read(term, consistency=consistency) == term


def test_a_group_goes_on_whatever_the_wall_clock_says(make_peer, monkeypatch):
    """Before 1970 the time had no place in an entry, and each write ended the leader."""
    name, _ = make_peer()
    assert Raft.set_configuration(name, [name])[0] == "ok"
    handle = Cluster([name], timeout=10)
    clocks = (0.0, -1e9, 1e10, 1e15, 1e40, -1e40, time.time())
    for value, wall_s in enumerate(clocks):
        monkeypatch.setattr(peer_of(name), "wall_clock", lambda wall_s=wall_s: wall_s)
        assert Raft.write(name, ("set", "plain", value))[0] == "ok"
        handle.write(("set", "once", value))
    assert Raft.read(name, ("get", "once")) == ("ok", len(clocks) - 1)
    handle.close()
    log = peer_of(name).replica.core.log
    entries = enumerate(log.between(1, log.last_index), 1)
    assert [damage_in(index, entry) for index, entry in entries] == [""] * log.last_index


def test_a_proxy_of_a_peer_tells_its_status_and_leader_and_leads_nowhere(make_peer):
    name, (_, proxy) = make_peer()
    assert Raft.set_configuration(proxy, [name])[0] == "ok"
    assert proxy.status().get(timeout=10)[1]["name"] == name
    assert proxy.leader().get(timeout=10) == (name, HERE)
    for refused in (
        proxy.store,
        proxy.replica,
        proxy.path,
        proxy.terminate("now"),
        proxy.leader(1),
    ):
        future = refused if hasattr(refused, "get") else refused()
        with pytest.raises(AttributeError, match=r"status\(\), leader\(\)"):
            future.get(timeout=10)
    with pytest.raises(AttributeError):
        proxy.store = None
    proxy.release.defer()
    proxy.status.defer("of what?")
    assert Raft.write(proxy, ("set", "a", 1))[0] == "ok"
    assert Raft.read(proxy, ("get", "a")) == ("ok", 1)


def test_who_writes_before_there_is_a_group_is_told_how_to_found_one(make_peer, caplog):
    """By the log, by the peer's status and by the handle: the first that everybody forgets."""
    name, _ = make_peer()
    for ask in (Raft.write, Raft.read):
        assert ask(name, ("get", "k")) == ("error", ("redirect", None))
    with pytest.raises(NoLeader, match=rf"in no group yet.*set_configuration\('{name}', members\)"):
        Cluster(name, timeout=0.2).write(("set", "k", 1))
    (record,) = [record for record in caplog.records if "in no group yet" in record.message]
    assert record.levelname == "WARNING"
    assert f"Raft.set_configuration('{name}', members)" in record.message
    assert f"Raft.join(Machine, name='{name}', via=a member)" in record.message
    assert Raft.status(name)[1]["troubles"] == [record.message.partition(": ")[2]]
    assert Raft.set_configuration(name, [name])[0] == "ok"
    assert "troubles" not in Raft.status(name)[1]


def test_a_lost_majority_is_a_warning_that_names_who_does_not_answer(trio, caplog):
    names = trio()
    staying, *gone = names
    for name in gone:
        Raft.stop(name)
    mine = f"{staying}: no leader for "
    eventually(lambda: any(text.startswith(mine) for text in caplog.messages))
    record = next(each for each in caplog.records if each.getMessage().startswith(mine))
    assert record.levelname == "WARNING"
    assert all(f"{name} on " in record.message for name in gone)
    assert any("no leader for" in text for text in Raft.status(staying)[1]["troubles"])


ONE = ("peer1", "b@two")
SLIPS = {
    "one name for a list": (lambda: Raft.set_configuration("p", "q"), "a list of peers, not 'q'"),
    "one address for a list": (lambda: Raft.set_configuration("p", ONE), "a list of peers"),
    "a number for a list": (lambda: Raft.set_configuration("p", 5), "a list of peers, not 5"),
    "a proxy for a list": (lambda: Raft.set_configuration("p", (), learners=5), "a list of peers"),
    "declared by a number": (lambda: Raft.start_peer(KVStore, name="p", members=5), "not 5"),
    "nobody to ask": (lambda: Raft.join(KVStore, name="p", via=[]), "via must name at least one"),
    "two parts at once": (
        lambda: Raft.add_peer("p", "q", learner=True, witness=True), "choose one of the two",
    ),
    "two parts to join": (
        lambda: Raft.join(KVStore, name="p", via="q", learner=True, witness=True), "choose one",
    ),
    "a number for a path": (lambda: Raft.backup("p", 5), "written to a path, not 5"),
    "a number for a config": (lambda: Raft.start_peer(KVStore, name="p", config=5), "not 5"),
    "a text for an index": (lambda: Raft.get_entry("p", "1"), "a whole number, not '1'"),
}  # fmt: skip


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_in_a_call_is_refused_at_once_in_words(slip):
    call, words = SLIPS[slip]
    with pytest.raises((TypeError, ValueError), match=words):
        call()


class Box(StateMachine):
    """Keeps commands somewhat deeper than they are."""

    def init(self, name):
        return {}

    def handle_write(self, command, state):
        _put, key, value = command
        return "ok", {**state, key: [{"value": (value,)}, {2**70: key}]}

    def handle_read(self, query, state):
        return sorted(state), state


def test_what_is_accepted_can_be_in_a_snapshot_and_be_shown(make_peer):
    """One level more, and a peer ended whenever it was asked for that entry."""
    name, _ = make_peer(Box)
    assert Raft.set_configuration(name, [name])[0] == "ok"
    deep = 0
    for _ in range(encoding.DEPTH_MAX - 1):
        deep = [deep]
    assert Raft.write(name, ("put", "deep", deep)) == "ok"
    ok, entry = Raft.get_entry(name, Raft.status(name)[1]["last_index"])
    assert (ok, entry["data"]) == ("ok", ("put", "deep", deep))
    assert Raft.snapshot(name)[0] == "ok"
    supervision.kill(peers_here().running[name])
    eventually(lambda: Raft.read(name, None) == ["deep"])
    with pytest.raises(ValueError, match="deeper than 100"):
        Raft.write(name, ("put", "deeper", [deep]))


def test_an_entry_that_can_not_be_read_here_is_shown_as_its_bytes_are(make_peer, monkeypatch):
    """A member learns of it before it has to run it; asked to show it, it goes on."""
    name, _ = make_peer()
    assert Raft.set_configuration(name, [name])[0] == "ok"
    command = ("set", "when", {datetime(2026, 1, 1, tzinfo=ZoneInfo("Europe/Berlin"))})
    assert Raft.write(name, command)[0] == "ok"
    monkeypatch.setattr(marks, "read_zone", encoding.UnknownZone.of)
    ok, entry = Raft.get_entry(name, Raft.status(name)[1]["last_index"])
    assert (ok, entry["data"]) == ("ok", encoding.dumps(command))


def test_the_opening_of_a_session_is_shown_as_that(make_peer):
    """Planted: as a command of no bytes."""
    name, _ = make_peer()
    assert Raft.set_configuration(name, [name])[0] == "ok"
    with Cluster(name) as cluster:
        cluster.write(("set", "a", 1))
        last = Raft.status(name)[1]["last_index"]
        _, opened = Raft.get_entry(name, last - 1)
    assert opened["type"] == "session"
    said, number = opened["data"]
    assert said == "open"
    assert eventually(lambda: last_entry(name) == ("session", ("end", number)))


def last_entry(name):
    _, entry = Raft.get_entry(name, Raft.status(name)[1]["last_index"])
    return entry["type"], entry["data"]


def test_a_command_with_a_time_zone_that_its_leader_does_not_know_is_not_in_the_log(make_peer):
    """In the log, it would end every replica whose machine asks for the offset."""
    name, _ = make_peer()
    assert Raft.set_configuration(name, [name])[0] == "ok"
    before = Raft.status(name)[1]["last_index"]
    when = datetime(2026, 1, 1, tzinfo=encoding.UnknownZone.of("Mars/Base"))
    with pytest.raises(ValueError, match="Mars/Base"):
        Raft.write(name, ("set", "when", when))
    assert Raft.status(name)[1]["last_index"] == before
