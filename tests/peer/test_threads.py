"""A system that has no thread left for a moment costs a peer no more than that moment."""

import threading

import pytest

from raft_actors import Raft, encoding
from raft_actors.peer.disk_watchdog import DiskWatchdog
from raft_actors.peer.peers import peers_here, peers_of
from raft_actors.peer.router import CLIENT
from raft_actors.replica.requests import STOP
from supervision import timer
from tests.node_fixtures import make_node, own_directories  # noqa: F401 - fixtures
from tests.node_helpers import ask


@pytest.fixture
def no_thread(monkeypatch):
    """Let no thread start whose name begins so, until the end of the test or an `undo`."""

    def refuse_those(prefix):
        start = threading.Thread.start

        def refuse(thread):
            if thread.name.startswith(prefix):
                raise RuntimeError("can't start new thread")
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", refuse)
        return monkeypatch.undo

    return refuse_those


def test_a_snapshot_that_gets_no_thread_is_refused_in_words_and_taken_later(make_peer, no_thread):
    """Planted: the writer is remembered and never writes; or the peer ends of it."""
    name, _ = make_peer()
    assert Raft.set_configuration(name, [name])[0] == "ok"
    ref = peers_here().running[name]
    undo = no_thread("raft-snapshot")
    answer = Raft.snapshot(name)
    assert answer == ("error", ("snapshot_failed", "can't start new thread"))
    undo()
    peer = peers_here().hosted[ref]
    assert not [each for each in peer.store.snapshots.files.names() if each.endswith(".draft")]
    assert Raft.snapshot(name)[0] == "ok"
    assert peers_here().running[name] is ref


def test_a_stop_from_another_node_that_gets_no_thread_is_answered(make_node, no_thread):  # noqa: F811
    """Planted: it raises on the bridge's thread, and its asker waits for ever."""
    a, b = make_node("a"), make_node("b")
    peers_of(b)
    assert a.ping(b.name) == "pong"
    no_thread("stop-")
    answer = ask(a, b.name, [STOP, "p", b"", 0, 1], kind=CLIENT)
    assert encoding.loads(answer) == ("error", "overloaded")


def test_a_disk_is_watched_again_after_its_timer_got_no_thread(monkeypatch):
    """Planted: it counts as armed, and no stalled save is told of any more."""
    from raft_actors import Config

    watch = DiskWatchdog(("p", "a@one"), Config())

    def refuse(*_arguments):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(timer, "send_after", refuse)
        with pytest.raises(RuntimeError):
            watch.begin()
    set_ones = []
    monkeypatch.setattr(timer, "send_after", lambda *arguments: set_ones.append(arguments))
    watch.begin()
    assert len(set_ones) == 1
