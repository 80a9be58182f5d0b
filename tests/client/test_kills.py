"""Clients that try again through leader kills: a counter shows how often each command ran.

Planted once, and seen to go red: a repeated command that runs again.
"""

import signal
import threading

from raft_actors import Cluster
from raft_actors.errors import NotApplied, OutcomeUnknown, SessionExpired
from tests.cluster.conftest import stage  # noqa: F401 - fixture
from tests.cluster.stage import NAMES
from tests.helpers import eventually


class Incrementers:
    """Threads of one handle, and threads with a handle each, that count what was acknowledged."""

    def __init__(self, addresses):
        self.addresses = addresses
        self.done = 0
        self.unknown = []
        self.strange = []
        self.lock = threading.Lock()
        self.ended = threading.Event()
        shared = Cluster(addresses, timeout=4.0)
        self.threads = [threading.Thread(target=self.run, args=(shared,)) for _ in range(4)]
        self.threads += [
            threading.Thread(target=self.run, args=(Cluster(each, timeout=1.5),))
            for each in addresses
        ]

    def run(self, cluster):
        while not self.ended.is_set():
            try:
                cluster.write(1)
            except NotApplied:
                continue
            except OutcomeUnknown as error:
                with self.lock:
                    self.unknown.append(error)
            except Exception as error:
                self.strange.append(error)
                raise
            else:
                with self.lock:
                    self.done += 1

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join()

    def wait_for_more(self, count=30):
        goal = self.done + count
        eventually(lambda: self.done >= goal)

    def settled(self, cluster):
        """Settle what is unknown; return how many of them happened."""
        happened = 0
        for error in self.unknown:
            assert not isinstance(error, SessionExpired)
            try:
                cluster.outcome(error.request_id)
                happened += 1
            except NotApplied:
                pass
        return happened


def test_a_counter_is_what_its_clients_count_through_kills_and_pauses(stage):  # noqa: F811
    stage.starter = "tests.client.counting:start"
    stage.form()
    with Incrementers(stage.addresses) as clients:
        for _ in range(2):
            clients.wait_for_more()
            victim = stage.leader()
            stage.kill(victim)
            clients.wait_for_more()
            stage.start(victim)
            eventually(lambda victim=victim: stage.is_up(victim))
        paused = stage.leader()
        stage.signal(paused, signal.SIGSTOP)
        clients.wait_for_more()
        stage.signal(paused, signal.SIGCONT)
        stage.kill(*NAMES)
        stage.start(*NAMES)
        clients.wait_for_more()
    assert not clients.strange
    cluster = Cluster(stage.addresses, timeout=30)
    assert cluster.read("any") >= clients.done
    happened = clients.settled(cluster)
    assert cluster.read("any") == clients.done + happened
