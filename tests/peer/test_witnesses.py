"""A witness among real peers: it votes, keeps the log, and has no state."""

import pytest

from raft_actors import Raft
from raft_actors.kv_store import KVStore
from raft_actors.machine.witness_state import WitnessState
from raft_actors.node.node import Node
from tests.helpers import eventually
from tests.peer_fixtures import peer_of


def here(name):
    return (name, Node.self())


def form(make_peer, **options):
    names = [make_peer(**options)[0] for _ in range(3)]
    answer = Raft.set_configuration(names[0], names[:2], witnesses=names[2:])
    assert answer[0] == "ok", answer
    assert answer[1]["witnesses"] == [here(names[2])]
    return names


def write(names, key, value):
    def done():
        leader = next((each for each in map(Raft.leader, names) if each), None)
        return leader is not None and Raft.write(leader, ("set", key, value))[0] == "ok"

    eventually(done)


def test_a_witness_keeps_the_log_and_answers_nobody(make_peer):
    names = form(make_peer)
    witness = names[2]
    write(names, "x", 1)
    eventually(lambda: Raft.status(witness)[1]["last_applied"] > 1)
    assert isinstance(peer_of(witness).replica.applier.applied, WitnessState)
    assert peer_of(witness).replica.applier.applied.state is None
    assert Raft.get_entry(witness, 2)[0] == "ok"
    answer = Raft.read(witness, ("get", "x"), consistency="stale")
    assert answer[:1] == ("error",)
    assert Raft.status(witness)[1]["configuration"]["witnesses"] == [here(witness)]


def test_one_state_and_the_witness_go_on(make_peer):
    names = form(make_peer)
    write(names, "x", 1)
    leader = Raft.leader(names[0])[0]
    peer_of(leader)
    Raft.stop_peer(leader)
    rest = [name for name in names if name != leader]
    write(rest, "y", 2)
    assert Raft.read(Raft.leader(rest[0]), ("get", "x")) == ("ok", 1)
    assert Raft.leader(rest[0]) != here(names[2])


def test_a_witness_compacts_its_log_and_starts_again_without_a_state(make_peer, tmp_path):
    names = form(make_peer, snapshot_trailing=1)
    witness = names[2]
    for number in range(20):
        write(names, "x", number)
    eventually(lambda: Raft.status(witness)[1]["last_applied"] > 20)
    assert Raft.snapshot(witness)[0] == "ok"
    eventually(lambda: Raft.status(witness)[1]["first_index"] > 10)
    Raft.stop_peer(witness)
    make_peer(name=witness, snapshot_trailing=1)
    write(names, "y", 1)
    assert isinstance(peer_of(witness).replica.applier.applied, WitnessState)
    eventually(lambda: Raft.status(witness)[1]["last_applied"] > 21)


def test_a_witness_joins_with_one_call_and_leaves(make_peer, trio):
    names = trio(log_store="memory")
    write(names, "x", 1)
    new, _ = make_peer(log_store="memory")
    answer = Raft.join(KVStore, name=new, via=names, witness=True)
    assert answer[0] == "ok", answer
    assert answer[1]["witnesses"] == [here(new)]
    assert here(new) in answer[1]["members"]
    assert Raft.join(KVStore, name=new, via=names, witness=True)[0] == "ok"
    assert Raft.add_peer(Raft.leader(names[0]), new)[1][0] == "remove_first"
    assert Raft.leave(new) == "ok"


def test_a_witness_far_behind_takes_a_snapshot_and_no_state(make_peer, tmp_path):
    names = form(make_peer, snapshot_trailing=1)
    witness = names[2]
    Raft.stop_peer(witness)
    for number in range(20):
        write(names[:2], number, number)
    leader = Raft.leader(names[0])

    def compacted():
        """A follower that was heard just now holds the log back, until the next snapshot."""
        Raft.write(leader, ("set", "more", 1))
        return Raft.snapshot(leader)[0] == "ok" and Raft.status(leader)[1]["first_index"] > 15

    eventually(compacted)
    make_peer(name=witness, snapshot_trailing=1)
    eventually(lambda: Raft.status(witness)[1]["last_applied"] > 20)
    assert isinstance(peer_of(witness).replica.applier.applied, WitnessState)


@pytest.mark.parametrize("compacted", [False, True])
def test_with_an_empty_directory_a_witness_comes_back_as_a_member_with_a_state(
    make_peer, tmp_path, compacted
):
    """The log, or the snapshot, that it gets names it as the witness that it was.

    Planted: whoever has a witness's name is one.
    """
    names = form(make_peer, snapshot_trailing=1)
    witness, leader = names[2], Raft.leader(names[0])
    for number in range(10):
        write(names[:2], number, number)
    if compacted:
        assert Raft.snapshot(leader)[0] == "ok"
    assert Raft.remove_peer(leader, witness)[0] == "ok"
    Raft.stop_peer(witness)
    make_peer(name=witness, data_dir=tmp_path / "empty")
    assert Raft.add_peer(leader, witness)[0] == "ok"
    applied = Raft.status(leader)[1]["last_applied"]
    eventually(lambda: Raft.status(witness)[1]["last_applied"] >= applied)
    assert Raft.read(witness, ("get", 9), consistency="stale") == ("ok", 9)
    assert "witnesses" not in Raft.status(leader)[1]["configuration"]


def test_a_witnesss_directory_is_refused_to_a_member_with_a_state(make_peer, caplog):
    names = form(make_peer, log_store="memory")
    witness = names[2]
    leader = Raft.leader(names[0])
    assert Raft.remove_peer(leader, witness)[0] == "ok"
    assert Raft.add_peer(leader, witness)[0] == "ok"
    eventually(lambda: "is a member with a state" in caplog.text)
    assert isinstance(peer_of(witness).replica.applier.applied, WitnessState)


def test_a_member_in_a_witnesss_directory_is_a_trouble_that_is_told_once_in_each_life(
    make_peer, tmp_path, caplog
):
    """Planted: told in the log alone, and for each configuration that is applied again."""
    names = form(make_peer)
    witness = names[2]
    leader = Raft.leader(names[0])
    assert Raft.remove_peer(leader, witness)[0] == "ok"
    for change in (Raft.add_peer, Raft.demote, Raft.promote):
        assert change(leader, witness)[0] == "ok"

    def told():
        return "\n".join(Raft.status(witness)[1].get("troubles", ()))

    eventually(lambda: "is a member with a state" in told())
    assert f"Raft.leave({witness!r})" in told()
    Raft.stop_peer(witness)
    caplog.clear()
    make_peer(name=witness)
    eventually(
        lambda: "is a member with a state" in told() and "is a member with a state" in caplog.text
    )
    eventually(lambda: Raft.status(witness)[1]["last_applied"] > 0)
    assert caplog.text.count("is a member with a state") == 1
    assert Raft.leave(witness) == "ok"
