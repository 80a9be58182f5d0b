"""Real peers: a state that differs is found, and its replica gets the state of the others."""

import random

import pytest

from raft_actors import OnDiskStateMachine, Raft, StateMachine, UndoDict
from raft_actors.events import StateDiverged, subscribe
from tests.helpers import eventually
from tests.peer_fixtures import peer_of

EVERY = 20


class InMemory(StateMachine):
    def init(self, name):
        return {}

    def handle_write(self, command, state):
        state[command] = True
        return "ok", state

    def handle_read(self, query, state):
        return state.get(query)


class Undoing(InMemory):
    def init(self, name):
        return UndoDict()


class OnDisk(OnDiskStateMachine):
    handle_write, handle_read = InMemory.handle_write, InMemory.handle_read


class Draws(InMemory):
    """Is not deterministic."""

    def handle_write(self, command, state):
        state[command] = random.random()
        return "ok", state


def leader_of(names):
    return eventually(lambda: Raft.leader(names[0]))


def fill(names, label):
    """Write as many entries as lie between two digests."""
    leader = leader_of(names)
    for number in range(EVERY + 2):
        assert Raft.write(leader, f"{label} {number}") == "ok"


def spoil(name):
    """Write into the state of one replica, on the thread of nobody: the peer is idle."""
    applied = peer_of(name).replica.applier.applied
    if isinstance(applied.state, dict):
        dict.__setitem__(applied.state, "spoilt", True)
    else:
        applied.state["spoilt"] = True
        applied.on_disk.commit()
        applied.on_disk.flush(applied.on_disk.index)


def status(name):
    return Raft.status(name)[1]


def are_equal(names):
    """Whether all have the same newest digest, and know that it is right."""
    found = [status(name).get("digest") for name in names]
    return found[0] and found[0]["equal_at"] == found[0]["index"] and found == found[:1] * 3


@pytest.mark.parametrize("machine", [InMemory, Undoing, OnDisk])
def test_what_was_changed_behind_a_replicas_back_is_found_and_replaced(trio, machine):
    names = trio(machine, digest_entries=EVERY)
    fill(names, "before")
    eventually(lambda: are_equal(names))
    equal_at = status(names[0])["digest"]["index"]
    victim = next(name for name in names if name != leader_of(names)[0])
    events = []
    unsubscribe = subscribe(events.append)
    try:
        spoil(victim)
        fill(names, "after")
        (text,) = eventually(lambda: status(victim).get("troubles"))
    finally:
        unsubscribe()
    assert f"after entry {equal_at} and not later than entry" in text
    assert f"Raft.reseed({victim!r})" in text
    (event,) = [each for each in events if isinstance(each, StateDiverged)]
    assert (event.peer[0], event.after, event.is_decided) == (victim, equal_at, True)
    answer = Raft.read(victim, "spoilt", consistency="stale")
    assert answer[1][0] == "redirect"
    before = status(victim)

    assert Raft.reseed(victim)[0] == "ok"

    eventually(lambda: are_equal(names))
    after = status(victim)
    assert "troubles" not in after
    assert after["incarnation"] == before["incarnation"]
    assert after["last_index"] >= before["last_index"]
    assert Raft.read(victim, "spoilt", consistency="stale") is None
    assert Raft.read(victim, "after 1", consistency="follower") is True


def test_a_machine_that_is_not_deterministic_is_found(trio):
    names = trio(Draws, digest_entries=EVERY)
    fill(names, "drawn")
    for name in names:
        (text,) = eventually(lambda name=name: status(name).get("troubles"))
        assert "nobody can tell which one is right" in text


def test_a_digest_in_the_log_is_shown_in_words(trio):
    names = trio(InMemory, digest_entries=EVERY)
    fill(names, "written")
    eventually(lambda: are_equal(names))
    index = status(names[0])["digest"]["index"]
    assert Raft.get_entry(names[0], index)[1]["type"] == "digests"
    told = Raft.get_entry(names[0], index + 1)[1]["data"]
    assert told["state_after"] == index
    assert [name for (name, _node), _digest in told["digests"]] == sorted(names)
