"""Peers of this process, without a node, on directories of their own."""

import itertools
import threading

import pytest

from raft_actors import Raft
from raft_actors.kv_store import KVStore
from raft_actors.peer.peers import peers_here
from raft_actors.stores.snapshots import Draft
from tests.counter import Counter
from tests.helpers import eventually

NUMBERS = itertools.count(1)


def peer_of(name):
    """The actor itself, to look inside."""
    return next(peer for peer in peers_here().stores.values() if peer.name == name)


@pytest.fixture
def make_peer(tmp_path):
    """Start a peer with a fresh name; all are stopped at the end."""
    started = []

    def make(machine=KVStore, name=None, **options):
        name = name or f"peer{next(NUMBERS)}"
        options.setdefault("data_dir", tmp_path / name)
        answer = Raft.start_peer(machine, name=name, **options)
        if answer[0] == "ok":
            started.append(name)
        return name, answer

    yield make
    for name in started:
        Raft.stop_peer(name)


@pytest.fixture
def trio(make_peer):
    """Three peers that have formed a group."""

    def make(machine=KVStore, **options):
        names = [make_peer(machine, **options)[0] for _ in range(3)]
        answer = Raft.set_configuration(names[0], names)
        assert answer[0] == "ok", answer
        return names

    return make


class Gated(KVStore):
    """Holds its peer's thread in the command "wait", until the gate opens."""

    gate = threading.Event()
    entered = threading.Event()

    def handle_write(self, command, state):
        if command == "wait":
            self.entered.set()
            self.gate.wait(30)
            return "waited", state
        return super().handle_write(command, state)


@pytest.fixture
def gated():
    Gated.gate.clear()
    Gated.entered.clear()
    yield Gated
    Gated.gate.set()


class HeldWriter:
    """Writers of snapshots wait in front of a block until they are released."""

    def __init__(self):
        self.gate = threading.Event()
        self.waiting = set()

    def hold(self):
        if threading.current_thread().name == "raft-snapshot":
            self.waiting.add(threading.current_thread())
            self.gate.wait(30)

    def wait_for_one(self):
        eventually(lambda: self.waiting)

    def release(self):
        self.gate.set()


@pytest.fixture
def held_writer(monkeypatch):
    held, add = HeldWriter(), Draft.add

    def add_when_released(draft, payload):
        held.hold()
        add(draft, payload)

    monkeypatch.setattr(Draft, "add", add_when_released)
    yield held
    held.release()


@pytest.fixture
def counters(trio):
    """Three peers that count, and who leads them."""
    names = trio(Counter)
    leader = None
    while leader is None:
        leader = Raft.leader(names[0])
    return names, leader
