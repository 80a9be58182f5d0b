"""Joining and leaving a group with one call, wiped disks, and peers that declare their group."""

import logging
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_futures

import pytest

from raft_actors import Raft, Supervisor
from raft_actors.client import joining
from raft_actors.client.rpc import CALL_TIMEOUT
from raft_actors.core.replies import RESTARTING
from raft_actors.future import Future
from raft_actors.kv_store import KVStore
from raft_actors.node.node import Node
from raft_actors.peer.peers import Peers
from raft_actors.peer.router import Router
from raft_actors.peer.supervisor import PeerSupervisor
from tests.helpers import eventually
from tests.peer_fixtures import peer_of


def here(name):
    return (name, Node.self())


def write(names, key, value):
    """Write through whoever leads."""

    def done():
        leader = next((each for each in map(Raft.leader, names) if each), None)
        return leader is not None and Raft.write(leader, ("set", key, value))[0] == "ok"

    eventually(done)


def members(name):
    return [each for each, _node in Raft.status(name)[1]["configuration"]["members"]]


def test_a_fresh_peer_joins_with_one_call(make_peer, trio, tmp_path):
    names = trio(log_store="memory")
    write(names, "x", 1)
    follower = next(each for each in names if Raft.leader(names[0]) != here(each))
    new, _ = make_peer(log_store="memory")  # so that it is stopped at the end
    Raft.stop_peer(new)
    answer = Raft.join(
        KVStore, name=new, via=here(follower), log_store="memory", data_dir=tmp_path / "joined"
    )
    assert answer[0] == "ok", answer
    assert here(new) in answer[1]["members"]
    eventually(lambda: Raft.status(new)[1]["last_applied"] > 2)
    again = Raft.join(
        KVStore, name=new, via=names, log_store="memory", data_dir=tmp_path / "joined"
    )
    assert again == answer, "asking again is fine"
    for several in (
        set(names),
        iter(names),
        dict.fromkeys(names),
    ):  # planted: only lists and tuples
        again = Raft.join(
            KVStore, name=new, via=several, log_store="memory", data_dir=tmp_path / "joined"
        )
        assert again == answer, several
    Raft.stop_peer(new)


def test_joins_that_meet_take_turns(make_peer, trio):
    names = trio(log_store="memory")
    newcomers = [make_peer(log_store="memory")[0] for _ in range(3)]
    answers = {}

    def join(name):
        answers[name] = Raft.join(KVStore, name=name, via=here(names[0]), timeout=30)

    threads = [threading.Thread(target=join, args=(name,)) for name in newcomers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer[0] for answer in answers.values()} == {"ok"}, answers
    assert set(members(names[0])) == {*names, *newcomers}


def test_a_read_replica_joins_and_stays_one(make_peer, trio):
    names = trio(log_store="memory")
    new, _ = make_peer(log_store="memory")
    answer = Raft.join(KVStore, name=new, via=names, learner=True)
    assert answer[0] == "ok"
    assert answer[1]["learners"] == [here(new)]
    assert Raft.join(KVStore, name=new, via=names)[0] == "ok"
    assert new in members(names[0])


def test_a_leader_leaves_without_a_gap(trio):
    names = trio(log_store="memory")
    write(names, "x", 1)
    leader = Raft.leader(names[0])[0]
    others = [name for name in names if name != leader]
    assert Raft.leave(leader) == "ok"
    assert Raft.status(leader) == ("error", "no_peer")
    eventually(lambda: set(members(others[0])) == set(others))
    write(others, "y", 2)
    assert Raft.leave(leader) == ("error", "no_peer")


def test_leaving_a_group_without_a_majority_does_not_say_that_the_peer_does_not_run(trio):
    """Planted: what is said of a member that was asked for the leader is said of the peer."""
    names = trio(log_store="memory")
    for name in names[1:]:
        Raft.stop_peer(name)
    eventually(lambda: Raft.leader(names[0]) is None)
    assert Raft.leave(names[0], timeout=0.5) == ("error", "election_in_progress")
    assert Raft.status(names[0])[0] == "ok"
    Raft.stop_peer(names[0])
    assert Raft.leave(names[0], timeout=0.5) == ("error", "no_peer")


@pytest.mark.parametrize("count", [2, 3])
def test_of_all_members_that_leave_at_once_one_remains(make_peer, count):
    """Planted: who leads hands over at once, again and again. So do both of two, to and fro."""
    names = [make_peer(log_store="memory")[0] for _ in range(count)]
    assert Raft.set_configuration(names[0], names)[0] == "ok"
    with ThreadPoolExecutor(count) as threads:
        answers = list(threads.map(lambda name: Raft.leave(name, timeout=30), names))
    assert answers.count("ok") == count - 1, answers
    (refused,) = [answer for answer in answers if answer != "ok"]
    assert refused[1][0] == "last_member"


def test_the_last_member_does_not_leave(make_peer):
    name, _ = make_peer(log_store="memory")
    Raft.set_configuration(name, [name])
    answer = Raft.leave(name)
    assert answer[0] == "error"
    assert answer[1][0] == "last_member"


def test_a_peer_that_leaves_is_not_warned_of_what_was_asked_for(
    make_peer, trio, caplog, monkeypatch
):
    """Planted: it tells at once that it is out."""
    names = trio(log_store="memory")
    write(names, "x", 1)
    gone = next(each for each in names if Raft.leader(names[0]) != here(each))
    peer, stop = peer_of(gone), Raft.stop_peer

    def stop_when_it_knows(name):
        eventually(lambda: peer.removed)
        return stop(name)

    monkeypatch.setattr("raft_actors.client.joining.stop", stop_when_it_knows)
    assert Raft.leave(gone) == "ok"
    assert "is no member of its group" not in caplog.text


def test_joining_by_peers_of_this_node_that_do_not_run_is_refused_at_once(make_peer):
    """A bare name is one of this node, also where a member elsewhere was meant. Planted: it is
    asked for until the timeout, which is a minute, and the answer tells no more than `no_peer`.
    """
    new, _ = make_peer(log_store="memory")
    for via in "nobody", ["nobody", "noone"]:
        error, (reason, text) = Raft.join(KVStore, name=new, via=via)
        assert (error, reason) == ("error", "no_peer")
        assert "nobody" in text
        assert 'via=("peer1", "a@host")' in text


def test_joining_by_a_peer_of_this_node_that_is_being_started_waits_for_it(make_peer, monkeypatch):
    """Planted: it is refused like one that is not there, for its disk is still being read."""
    opening, opened = threading.Event(), threading.Event()
    start_link = PeerSupervisor.start_link

    def slow(machine, name, *arguments):
        if name == "slow":
            opening.set()
            assert opened.wait(30)
        return start_link(machine, name, *arguments)

    new, _ = make_peer(log_store="memory")
    monkeypatch.setattr(PeerSupervisor, "start_link", slow)
    with ThreadPoolExecutor(2) as threads:
        found = threads.submit(make_peer, name="slow", members=["slow"], log_store="memory")
        assert opening.wait(30)
        joined = threads.submit(Raft.join, KVStore, name=new, via="slow")
        eventually(lambda: joined.running() or joined.done())
        try:
            assert not wait_futures([joined], 0.2).done, joined.result()
        finally:
            opened.set()
        assert found.result(30)[1][0] == "ok"
        assert joined.result(60)[0] == "ok"


@pytest.mark.parametrize("step", ["step_in", "step_out"])
def test_joining_and_leaving_that_take_too_long_are_answered_as_errors(trio, monkeypatch, step):
    """Planted: None, where a step was done in time and the next one was not."""
    names = trio(log_store="memory")
    write(names, "x", 1)
    monkeypatch.setattr(joining, step, lambda *_: None)
    if step == "step_in":
        answer = Raft.join(KVStore, name=names[0], via=names, timeout=0.3)
    else:
        answer = Raft.leave(names[0], 0.3)
    assert answer == ("error", "timeout")


def test_joining_with_a_peer_that_crashes_says_so_when_the_time_is_over(trio, monkeypatch):
    """Planted: None, for the leader was found; or it is refused at once, and not tried again."""
    names = trio(log_store="memory")
    write(names, "x", 1)
    status_of, start = joining.status_of, Peers.start

    def crashed(peer, *timeout):
        return RESTARTING if peer == names[0] else status_of(peer, *timeout)

    monkeypatch.setattr(joining, "status_of", crashed)
    monkeypatch.setattr(Peers, "start", lambda *_: RESTARTING)
    assert Raft.join(KVStore, name=names[0], via=names[1:], timeout=0.3) == RESTARTING
    monkeypatch.setattr(joining, "status_of", status_of)
    assert Raft.join(KVStore, name=names[0], via=names[1:], timeout=30)[0] == "ok"
    monkeypatch.setattr(Peers, "start", start)


def test_joining_asks_nobody_for_longer_than_its_timeout(make_peer, monkeypatch):
    """Planted: each member is waited for as long as any status is."""
    new, _ = make_peer(log_store="memory")
    monkeypatch.setattr(Router, "request", lambda *_, **__: Future())
    start = time.monotonic()
    via = [("peer1", "a@elsewhere"), ("peer2", "b@elsewhere")]
    assert Raft.join(KVStore, name=new, via=via, timeout=0.2) == ("error", "timeout")
    assert time.monotonic() - start < CALL_TIMEOUT


def test_joining_by_one_that_has_no_group_says_so(make_peer):
    (lonely, _), (new, _) = make_peer(log_store="memory"), make_peer(log_store="memory")
    answer = Raft.join(KVStore, name=new, via=lonely, timeout=0.5)
    assert answer[0] == "error"
    assert answer[1][0] == "no_group"
    assert "Raft.set_configuration" in answer[1][1]


def test_a_directory_of_another_group_is_not_joined(make_peer, trio):
    names = trio(log_store="memory")
    other, _ = make_peer(log_store="memory")
    Raft.set_configuration(other, [other])
    answer = Raft.join(KVStore, name=other, via=names[0])
    assert answer[0] == "error"
    assert answer[1][0] == "in_another_group"
    assert "empty data directory" in answer[1][1]


def test_a_join_that_is_refused_leaves_no_peer_running_that_it_has_started(
    make_peer, trio, tmp_path
):
    """A peer that ran before the join runs on."""
    names = trio(log_store="memory")
    other, _ = make_peer(data_dir=tmp_path / "other")
    Raft.set_configuration(other, [other])
    assert Raft.join(KVStore, name=other, via=names[0])[1][0] == "in_another_group"
    assert Raft.status(other)[0] == "ok"
    Raft.stop_peer(other)
    answer = Raft.join(KVStore, name=other, via=names[0], data_dir=tmp_path / "other")
    assert answer[1][0] == "in_another_group"
    assert Raft.status(other) == ("error", "no_peer")


def test_a_wiped_disk_is_refused_in_words_and_joins_again(make_peer, tmp_path, caplog):
    names = [make_peer()[0] for _ in range(3)]
    assert Raft.set_configuration(names[0], names)[0] == "ok"
    write(names, "x", 1)
    leader = Raft.leader(names[0])[0]
    wiped = next(name for name in names if name != leader)
    Raft.stop_peer(wiped)
    shutil.rmtree(tmp_path / wiped)
    make_peer(name=wiped)
    eventually(lambda: "troubles" in Raft.status(wiped)[1])
    eventually(lambda: f"Raft.join(Machine, name='{wiped}'" in caplog.text)
    assert "another data directory" in Raft.status(wiped)[1]["troubles"][0]
    assert Raft.status(wiped)[1]["last_index"] == 0
    answer = Raft.join(KVStore, name=wiped, via=here(leader))
    assert answer[0] == "ok", answer
    status = Raft.status(wiped)[1]
    assert "troubles" not in status
    assert status["incarnations"][here(wiped)] == status["incarnation"]
    eventually(lambda: Raft.status(wiped)[1]["last_applied"] >= status["last_index"])


def test_replacing_a_peer_by_itself_takes_the_disk_that_it_has(make_peer, tmp_path):
    names = [make_peer()[0] for _ in range(3)]
    assert Raft.set_configuration(names[0], names)[0] == "ok"
    leader = Raft.leader(names[0])[0]
    wiped = next(name for name in names if name != leader)
    Raft.stop_peer(wiped)
    shutil.rmtree(tmp_path / wiped)
    make_peer(name=wiped)
    assert Raft.replace_peer(leader, wiped, wiped)[0] == "ok"
    eventually(lambda: wiped in members(wiped))


# Groups that form by themselves.


def declared(names, directory):
    return [
        (KVStore, {"name": name, "members": names, "data_dir": directory / name}) for name in names
    ]


def start_tree(children):
    answer = Supervisor.start_link(children, strategy="one_for_one")
    assert answer[0] == "ok", answer
    return answer[1]


@pytest.fixture
def trees():
    """Supervisors to be stopped at the end."""
    from supervision import stop

    started = []
    yield started
    for tree in started:
        stop(tree, "shutdown", 10)


def test_a_declared_group_forms_by_itself(tmp_path, trees):
    names = ["one", "two", "three"]
    trees.append(start_tree(declared(names, tmp_path)))
    eventually(lambda: Raft.leader("one") is not None)
    write(names, "x", 1)
    assert set(members("one")) == set(names)


def test_a_declaration_that_differs_is_told_and_the_log_counts(make_peer, tmp_path, caplog):
    name, _ = make_peer(data_dir=tmp_path / "it")
    Raft.set_configuration(name, [name])
    Raft.stop_peer(name)
    with caplog.at_level(logging.WARNING):
        make_peer(name=name, data_dir=tmp_path / "it", members=[name, "stranger"])
    assert "stranger" in caplog.text
    assert "in the group's log count" in caplog.text
    assert members(name) == [name]


def test_a_declaration_without_the_peer_itself_is_refused(make_peer):
    _, answer = make_peer(log_store="memory", members=["somebody"])
    assert answer[0] == "error"
    assert "not among the members that it declares" in str(answer[1])


def test_a_removed_peer_says_so_and_disturbs_nobody(trio, caplog):
    names = trio(log_store="memory")
    leader = Raft.leader(names[0])[0]
    gone = next(name for name in names if name != leader)
    term = Raft.status(leader)[1]["current_term"]
    assert Raft.remove_peer(leader, gone)[0] == "ok"
    eventually(lambda: f"{gone} is no member of its group" in caplog.text)
    others = [name for name in names if name != gone]
    write(others, "x", 1)
    assert Raft.status(leader)[1]["current_term"] == term
    assert Raft.leader(leader) == here(leader)


def test_a_member_does_not_join_again_as_a_witness(make_peer):
    names = [make_peer()[0] for _ in range(3)]
    assert Raft.set_configuration(names[0], names)[0] == "ok"
    error, (reason, text) = Raft.join(KVStore, name=names[1], via=names[0], witness=True)
    assert (error, reason) == ("error", "has_another_part")
    assert "Raft.leave" in text
