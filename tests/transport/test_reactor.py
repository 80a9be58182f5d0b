"""The reactor's rounds run on one thread at a time: the keeper's, or that of who drives."""

import threading
from contextlib import contextmanager

import pytest

from raft_actors.transport.reactor import Reactor
from tests.helpers import eventually


@pytest.fixture
def reactor():
    made = Reactor("reactor under test", lambda: None)
    made.start()
    yield made
    made.stop(lambda: None, 5.0)
    assert not made._thread.is_alive()


@contextmanager
def driver(reactor):
    """A thread that drives until it is told not to; yields (its thread, how to tell it)."""
    enough = threading.Event()

    def leave():
        enough.set()
        reactor.wake_driver()

    thread = threading.Thread(target=reactor.run_rounds_until, args=(enough.is_set,))
    thread.start()
    try:
        yield thread, leave
    finally:
        leave()
        thread.join(5.0)
        assert not thread.is_alive()


def who_runs(reactor):
    """The thread on which work runs that is posted now."""
    runs = []
    reactor.post(lambda: runs.append(threading.current_thread()))
    eventually(lambda: runs)
    return runs[0]


def test_the_keeper_runs_the_rounds_while_nobody_drives(reactor):
    assert who_runs(reactor) is reactor._thread


def test_who_drives_runs_them_instead(reactor):
    with driver(reactor) as (thread, _leave):
        eventually(lambda: who_runs(reactor) is thread)
        assert who_runs(reactor) is thread


def test_the_keeper_takes_over_from_a_driver_that_stays_away_and_gives_back(reactor):
    for _ in range(3):
        with driver(reactor) as (thread, leave):
            eventually(lambda thread=thread: who_runs(reactor) is thread)
            leave()
            eventually(lambda: who_runs(reactor) is reactor._thread)


def test_timers_and_work_are_never_run_by_two_threads_at_once(reactor):
    inside, worst, ran = [], [], []

    def work():
        inside.append(1)
        worst.append(len(inside))
        inside.pop()
        ran.append(1)

    with driver(reactor) as (_thread, leave):
        for count in range(300):
            reactor.post(work)
            if count == 150:
                leave()
    eventually(lambda: len(ran) == 300)
    assert max(worst) == 1


def test_a_driver_waits_for_nothing_when_the_reactor_is_stopped(reactor):
    with driver(reactor) as (thread, _leave):
        eventually(lambda: who_runs(reactor) is thread)
        reactor.stop(lambda: None, 5.0)
        thread.join(5.0)
        assert not thread.is_alive()
    reactor.run_rounds_until(lambda: False)


def test_what_makes_a_driver_leave_is_never_missed(reactor):
    """`wake_driver` looks before it wakes: the driver looks after it has said that it drives."""
    for _ in range(500):
        with driver(reactor):
            pass


def test_the_last_work_of_a_reactor_is_done_by_who_drives_it():
    made = Reactor("reactor under test", lambda: None)
    made.start()
    last = []
    with driver(made) as (thread, _leave):
        eventually(lambda: who_runs(made) is thread)
        made.stop(lambda: last.append(threading.current_thread()), 5.0)
    assert last == [thread]


def test_who_wakes_it_just_as_it_hears_the_alarm_takes_nobody_elses_away():
    """Planted: `_woken` cleared before the socket is emptied; then no later post is ever run."""

    class Alarm:
        def __init__(self, socket):
            self.socket = socket

        def recv(self, size):
            threads = [threading.Thread(target=made.wake)]
            threads[0].start()
            threads[0].join()
            return self.socket.recv(size)

        def close(self):
            self.socket.close()

    made = Reactor("reactor under test", lambda: None)
    made._alarm = Alarm(made._alarm)
    made.start()
    for _ in range(3):
        assert who_runs(made) is made._thread
    made.stop(lambda: None, 5.0)
    assert not made._thread.is_alive()


def test_ctrl_c_in_waking_the_reactor_keeps_nobody_else_from_it(reactor):
    """Planted: it counts as woken, although nothing was sent to it."""
    waker, done = reactor._waker, threading.Event()

    class Interrupted:
        def send(self, _data):
            raise KeyboardInterrupt

    reactor._waker = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        reactor.post(lambda: None)
    reactor._waker = waker
    reactor.post(done.set)
    assert done.wait(10.0)


def test_a_reactor_that_is_stopped_as_its_thread_begins_closes_in_good_order(monkeypatch):
    """Ctrl-C comes in `start`, when nobody knows yet that the thread runs. Planted: what the thread
    waits for is closed by the one who stops it.
    """
    odd, ended = [], []
    monkeypatch.setattr(threading, "excepthook", odd.append)
    for _ in range(200):
        made = Reactor("reactor under test", lambda: None)
        made.start()
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "ident", None)
            made.stop(lambda: ended.append(True), 5.0)
        made._thread.join(5.0)
        assert not made._thread.is_alive()
    assert odd == []
    assert len(ended) == 200
