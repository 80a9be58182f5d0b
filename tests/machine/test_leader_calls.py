"""`on_leader` and `on_follower`: each replica's machine knows whether its replica leads."""

import logging

import pytest

from raft_actors import Raft, StateMachine, UndoDict
from raft_actors.kv_store import KVStore
from tests.helpers import eventually
from tests.peer_fixtures import peer_of


class Told(KVStore):
    """Notes what it is told, with the state that it sees then."""

    def init(self, name):
        self.name = name
        self.told = []
        return UndoDict()

    def on_leader(self, state):
        self.told.append(("leads", dict(state)))
        state["spoilt"] = True

    def on_follower(self):
        self.told.append("follows")


class Raises(KVStore):
    def on_leader(self, state):
        raise LookupError("no such place")

    def on_follower(self):
        raise SystemExit


def machine_of(name):
    return peer_of(name).replica.applier.applied.machine


def lone(make_peer, machine):
    name, _ = make_peer(machine)
    assert Raft.set_configuration(name, [name])[0] == "ok"
    return name


def test_the_leader_is_told_with_all_that_was_committed_and_told_when_it_ends(trio):
    names = trio(Told)
    leader = Raft.leader(names[0])
    machines = {name: machine_of(name) for name in names}
    assert Raft.write(leader, ("set", "x", 1))[0] == "ok"
    assert machines[leader[0]].told == [("leads", {})]
    successor = next(name for name in names if name != leader[0])
    assert Raft.transfer_leadership(leader, successor)[0] == "ok"
    eventually(lambda: machines[successor].told == [("leads", {"x": 1})])
    eventually(lambda: machines[leader[0]].told == [("leads", {}), "follows"])
    third = next(name for name in names if name not in (leader[0], successor))
    assert machines[third].told == []


def test_a_leader_that_is_stopped_is_told_that_it_leads_no_more(make_peer):
    name = lone(make_peer, Told)
    machine = machine_of(name)
    eventually(lambda: machine.told)
    Raft.stop(name)
    assert machine.told == [("leads", {}), "follows"]


def test_what_on_leader_changes_is_taken_back(make_peer):
    name = lone(make_peer, Told)
    assert Raft.write(name, ("set", "x", 1))[0] == "ok"
    eventually(lambda: machine_of(name).told)
    assert Raft.read(name, ("get", "spoilt")) == ("error", "key_not_found")


def test_an_exception_is_logged_and_the_group_goes_on(make_peer, caplog):
    caplog.set_level(logging.INFO, "raft_actors.state_machine")
    name = lone(make_peer, Raises)
    assert Raft.write(name, ("set", "x", 1))[0] == "ok"
    assert "Raises.on_leader raised LookupError: no such place" in caplog.text
    Raft.stop(name)
    assert "Raises.on_follower raised SystemExit" in caplog.text


@pytest.mark.parametrize("machine", [KVStore, StateMachine])
def test_a_machine_without_such_methods_is_not_looked_at(machine, make_peer):
    if machine is StateMachine:
        machine = type("Own", (StateMachine,), {"init": lambda self, name: {}})
    name, _ = make_peer(machine)
    assert not peer_of(name).replica.leadership.wanted
