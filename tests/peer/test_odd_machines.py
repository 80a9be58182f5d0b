"""Machines that do what they must not: each is told so, and no group is lost by it."""

import sys
import threading
from functools import partial

import pytest

from raft_actors import Cluster, Frozen, Raft
from raft_actors.kv_store import KVStore
from raft_actors.peer import watchdog
from raft_actors.peer.peers import peers_here
from tests.counter import Counter
from tests.helpers import eventually


class Asks(Counter):
    """Its commands are calls, made where they must not be."""

    def init(self, name):
        self.peer = name
        return super().init(name)

    def handle_write(self, command, state):
        match command:
            case "write":
                return Raft.write(self.peer, 1), state
            case "read":
                return Raft.read(self.peer, None, consistency="stale"), state
            case "cluster":
                with Cluster(self.peer) as cluster:
                    return cluster.write(1), state
            case "stop":
                return Raft.stop(self.peer), state
        return super().handle_write(command, state)


@pytest.mark.parametrize("what", ["write", "read", "cluster", "stop"])
def test_a_command_that_asks_a_peer_is_refused_on_every_replica_alike(trio, what):
    """Planted: it may; then it waits for itself for seconds, and each replica is told otherwise."""
    names = trio(Asks)
    leader = eventually(lambda: Raft.leader(names[0]))
    answer = Raft.write(leader, what, timeout=30)
    assert answer[:1] == ("error",)
    kind, name, text = answer[1]
    assert (kind, name) == ("exception", "RuntimeError")
    assert "Asks.handle_write (or upgrade) asks a peer" in text
    assert Raft.write(leader, 1, timeout=30) == 1
    for each in names:
        eventually(lambda each=each: Raft.read(each, None, consistency="stale") == 1)
    assert len({Raft.status(each)[1]["current_term"] for each in names}) == 1, "nobody waited"


class Hangs(KVStore):
    """Waits in the command "wait" until it is let go."""

    let_go = threading.Event()

    def handle_write(self, command, state):
        if command == "wait":
            self.let_go.wait(30)
            return "ok", state
        return super().handle_write(command, state)


def test_a_machine_that_hangs_is_told_of_while_it_does_with_its_line(
    make_peer, monkeypatch, caplog
):
    """Planted: nobody looks; then a group stands still, and no log says why."""
    monkeypatch.setattr(watchdog, "CHECK_S", 0.1)
    Hangs.let_go.clear()
    name, _ = make_peer(Hangs)
    assert Raft.set_configuration(name, [name])[0] == "ok"
    try:
        assert Raft.write(name, "wait", timeout=0.1) == ("error", "timeout")
        eventually(lambda: "its thread has been in" in caplog.text)
    finally:
        Hangs.let_go.set()
    assert f"{name}: its thread has been in handle_write ({__file__}:" in caplog.text
    eventually(lambda: Raft.write(name, ("set", "a", 1), timeout=5)[0] == "ok")


class Leaves(Counter):
    """Its `snapshot` raises what ends a process, sooner or later."""

    how = ""

    def snapshot(self, state):
        match self.how:
            case "at once":
                raise SystemExit(3)
            case "as it is read":
                return iter(partial(sys.exit, 3), None)
            case "on another thread":
                return Frozen(iter(partial(sys.exit, 3), None))
        return state


@pytest.mark.parametrize("how", ["at once", "as it is read", "on another thread"])
def test_a_snapshot_that_raises_system_exit_ends_no_peer(make_peer, monkeypatch, how):
    """Planted: it ends the peer, and each one after it, or leaves who asked without an answer."""
    name, _ = make_peer(Leaves)
    assert Raft.set_configuration(name, [name])[0] == "ok"
    ref = peers_here().running[name]
    assert Raft.write(name, 1, timeout=10) == 1
    monkeypatch.setattr(Leaves, "how", how)
    error, (kind, reason) = Raft.snapshot(name, timeout=30)
    assert (error, kind) == ("error", "snapshot_failed")
    assert "SystemExit: 3" in reason
    assert Raft.write(name, 1, timeout=10) == 2
    assert peers_here().running[name] is ref
    Raft.stop_peer(name)
    _, (again, _) = make_peer(Leaves, name=name)
    assert again == "ok", "its log is kept whole"


class Scribbles(KVStore):
    """Changes the state while it takes a snapshot of it."""

    def snapshot(self, state):
        state["scribble"] = 1
        return state


def test_what_a_snapshot_changes_in_a_state_that_can_take_it_back_is_taken_back(make_peer):
    """Each replica takes its snapshot at another entry. Planted: it stays."""
    name, _ = make_peer(Scribbles)
    assert Raft.set_configuration(name, [name])[0] == "ok"
    assert Raft.write(name, ("set", "a", 1), timeout=10)[0] == "ok"
    assert Raft.snapshot(name, timeout=30)[0] == "ok"
    assert Raft.read(name, ("get", "scribble"), timeout=10) == ("error", "key_not_found")
    assert Raft.read(name, ("get", "a"), timeout=10) == ("ok", 1)
