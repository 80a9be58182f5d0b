"""A machine that gets a new version while its group lives."""

import logging

import pytest

from raft_actors import Raft, StateMachine
from raft_actors.core.entry import encode
from raft_actors.errors import MachineTooOld, UpgradeFailed
from raft_actors.machine.replicated_state import ReplicatedState
from raft_actors.stores import open_store
from tests.helpers import eventually


class First(StateMachine):
    """Keeps a number."""

    def init(self, name):
        return 0

    def handle_write(self, command, state):
        return state + command, state + command

    def handle_read(self, query, state):
        return state


class Second(First):
    """Keeps how often it was called too, and says so once the group runs as version 2."""

    version = 2

    def upgrade(self, state, from_version):
        return {"sum": state, "calls": 0}

    def handle_write(self, command, state):
        if self.current_version < 2:
            return super().handle_write(command, state)
        after = {"sum": state["sum"] + command, "calls": state["calls"] + 1}
        return (after["sum"], after["calls"]), after


class Third(Second):
    version = 3

    def upgrade(self, state, from_version):
        return super().upgrade(state, 1) if from_version == 1 else {**state, "third": True}


def restart(make_peer, name, machine):
    assert Raft.stop_peer(name) == "ok"
    _, answer = make_peer(machine, name=name)
    assert answer[0] == "ok", answer


def write(names, command):
    """Write at whoever leads."""
    found = []

    def wrote():
        leader = Raft.leader(names[0])
        found[:] = [Raft.write(leader, command)] if leader else []
        return bool(found) and not (type(found[0]) is tuple and found[0][0] == "error")

    eventually(wrote)
    return found[0]


def version(name):
    answer = Raft.status(name)
    return answer[1]["machine_version"] if answer[0] == "ok" else None


def test_the_group_switches_when_the_last_member_has_the_new_version(make_peer, trio):
    names = trio(First)
    assert write(names, 5) == 5
    for name in names[:2]:
        restart(make_peer, name, Second)
        assert write(names, 1)
    assert [version(name) for name in names] == [1, 1, 1], "one could not follow yet"
    restart(make_peer, names[2], Second)
    eventually(lambda: [version(name) for name in names] == [2, 2, 2])
    assert write(names, 1) == (8, 1)
    restart(make_peer, names[0], Third)
    assert write(names, 1) == (9, 2), "replayed: first as version 1, then moved on, then as 2"
    eventually(lambda: version(names[0]) == 2)


def test_a_program_that_is_older_than_its_group_says_what_to_install(make_peer, trio, caplog):
    names = trio(Second)
    assert write(names, 1) == (1, 1)
    victim = next(name for name in names if (name, "nonode@nohost") != Raft.leader(names[0]))
    assert Raft.stop_peer(victim) == "ok"
    make_peer(First, name=victim)  # it starts, and may have ended again when this returns
    words = "its group runs version 2 of First, and this program has version 1: install one"
    eventually(lambda: any(words in record.getMessage() for record in caplog.records))
    assert write(names, 1) == (2, 2), "the others go on"
    Raft.stop_peer(victim)


def test_a_group_is_founded_at_its_own_version_with_the_state_moved_on_from_the_first(trio):
    names = trio(Third)
    assert write(names, 4) == (4, 1)
    eventually(lambda: [version(name) for name in names] == [3, 3, 3])
    assert Raft.get_entry(names[0], 2)[1]["type"] == "version"
    assert Raft.get_entry(names[0], 2)[1]["data"] == 3


def test_what_goes_wrong_with_a_version_is_said_in_words(caplog):
    with pytest.raises(MachineTooOld, match="version 4 of Third, and this program has version 3"):
        ReplicatedState(Third(), "peer").upgrade(4)
    broken = {"version": 2, "upgrade": lambda _machine, _state, _from: 1 / 0}
    with pytest.raises(UpgradeFailed, match=r"upgrade\(state, 1\) raised ZeroDivisionError: "):
        ReplicatedState(type("Broken", (First,), broken)(), "peer").upgrade(2)
    for bad in (0, "2", 1.5, True):
        with pytest.raises(ValueError, match="version must be a whole number from 1 on"):
            ReplicatedState(type("Bad", (First,), {"version": bad})(), "peer")
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


def test_a_snapshot_of_a_newer_version_is_refused_at_the_start(make_peer, tmp_path):
    name, _ = make_peer(Second)
    assert Raft.set_configuration(name, [name])[0] == "ok"
    assert write([name], 5) == (5, 1)
    assert Raft.snapshot(name)[0] == "ok"
    Raft.stop_peer(name)
    _, (error, reason) = make_peer(First, name=name)
    assert error == "error"
    assert "runs version 2 of First, and this program has version 1: install one" in str(reason)
    restarted, answer = make_peer(Third, name=name)
    assert answer[0] == "ok"
    eventually(lambda: version(restarted) == 3)
    assert write([restarted], 1) == (6, 2), "the state went on from the snapshot's version"


def test_an_entry_of_a_kind_that_is_not_known_stops_the_peer_in_words(make_peer, tmp_path, caplog):
    name, _ = make_peer(First)
    assert Raft.set_configuration(name, [name])[0] == "ok"
    last, term = (Raft.status(name)[1][field] for field in ("last_index", "last_term"))
    Raft.stop_peer(name)
    store = open_store("rocksdb", tmp_path / name)
    store.save(None, last + 1, [encode(term, 9, index=last + 1)])
    store.close()
    make_peer(First, name=name)
    words = f"entry {last + 1} is of kind 9, which this version of raft_actors does not know"
    eventually(lambda: any(words in record.getMessage() for record in caplog.records))
    Raft.stop_peer(name)


def test_a_later_version_without_a_way_to_it_is_refused_before_any_replica_stops(make_peer):
    class Careless(First):
        version = 2

    _, (error, (_exception, kind, text)) = make_peer(Careless)
    assert (error, kind) == ("error", "ValueError")
    assert "version 2 and no upgrade(self, state, from_version)" in text
