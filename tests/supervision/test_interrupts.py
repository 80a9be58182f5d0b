"""Signals at any instant: handlers may use what they interrupt; a Ctrl-C leaves no lock held."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from supervision import Process, kill, names, stop
from supervision.timer import CANCELLED_MAX, Timer

from .helpers import Collector, Gate, Worker, eventually, seen
from .shots import WORKS

pytestmark = pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="signals need the main thread"
)


@pytest.fixture
def worker():
    ref = Worker.start()
    yield ref
    kill(ref)


@pytest.mark.parametrize("what", WORKS)
def test_a_signal_handler_may_do_what_it_interrupts(what, worker, monkeypatch):
    """At each line of the library. Planted: it waits for a lock that the interrupted one holds."""
    work, lines = WORKS[what], []
    handling = threading.Event()
    main = threading.get_ident()

    def handler(_number, _frame):
        handling.set()
        try:
            work(worker)
        finally:
            handling.clear()

    def trace(frame, event, _argument):
        if f"{os.sep}supervision{os.sep}" not in frame.f_code.co_filename or "tests" in (
            frame.f_code.co_filename
        ):
            return None
        if event == "line" and not handling.is_set() and len(lines) < 400:
            lines.append(frame.f_lineno)
            signal.raise_signal(signal.SIGUSR1)
        return trace

    dog = threading.Timer(30, lambda: os.kill(os.getpid(), signal.SIGUSR2))
    before = {
        signal.SIGUSR1: signal.signal(signal.SIGUSR1, handler),
        signal.SIGUSR2: signal.signal(signal.SIGUSR2, signal.default_int_handler),
    }
    dog.start()
    sys.settrace(trace)
    try:
        work(worker)
    finally:
        sys.settrace(None)
        dog.cancel()
        for number, old in before.items():
            signal.signal(number, old)
    assert len(lines) > 3
    assert threading.get_ident() == main
    assert worker.ask("alive", timeout=10) == "alive"


def test_a_timer_that_a_handler_sets_during_a_sweep_is_kept():
    clock = [0.0]
    own = Timer(lambda: clock[0])
    told = []
    receiver = type("Receiver", (), {"tell": staticmethod(told.append)})

    class Slow:
        """Sets another timer while the sweep looks at it."""

        def __bool__(self):
            if not told:
                told.append("set")
                own.send_after(1.0, receiver, "kept")
            return True

    stays = own.send_after(2.0, receiver, "stays")
    stays.waiting = Slow()
    for handle in [own.send_after(1.0, receiver, "cancelled") for _ in range(CANCELLED_MAX + 2)]:
        handle.cancel()
    stays.waiting = True
    clock[0] = 3.0
    own.fire_due()
    assert told == ["set", "kept", "stays"]


def test_no_ctrl_c_leaves_a_lock_held():
    """Planted: a lock acquired on the line before its `try`; a Condition entered by `with`."""
    shots = [sys.executable, "-m", "tests.supervision.shots"]
    done = subprocess.run(shots, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]


class Host(Process):
    def on_visit(self, message):
        message(self)


def test_a_ctrl_c_during_a_visit_reaches_the_main_program_and_frees_the_host():
    host = Host.start()
    process = host._actor_weakref()
    eventually(lambda: host.actor_inbox.idle)

    def interrupt(_process):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        process.visit(interrupt)
    eventually(lambda: not host.is_alive())
    assert process._Process__turn.acquire(timeout=10)
    process._Process__turn.release()


def test_one_that_visits_itself_is_told_to_wait():
    host, answers = Host.start(), []
    process = host._actor_weakref()
    eventually(lambda: host.actor_inbox.idle)
    assert process.visit(lambda _: answers.append(process.visit(print)))
    assert answers == [False]
    stop(host)


def test_a_ctrl_c_while_the_end_is_told_hides_nothing():
    worker, heard = Worker.start(), []

    def interrupt(_reason):
        raise KeyboardInterrupt

    worker.watch(interrupt)
    worker.watch(heard.append)
    with pytest.raises(KeyboardInterrupt):
        kill(worker)
    assert heard == ["killed"]


@pytest.mark.parametrize("leave", [SystemExit, GeneratorExit, KeyboardInterrupt, ValueError])
def test_a_watcher_that_leaves_hides_nothing_and_ends_nobody_else(leave):
    """On the thread of the process that ends."""
    worker, heard = Worker.start(), []

    def leaves(_reason):
        raise leave

    worker.watch(leaves)
    worker.watch(heard.append)
    stop(worker, "shutdown")
    eventually(lambda: heard == ["shutdown"])


def test_a_ctrl_c_while_a_process_starts_leaves_nothing_behind(process_threads):
    class Interrupted(Process):
        def init(self):
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            gate.hold()

    gate = Gate()
    with pytest.raises(KeyboardInterrupt):
        Interrupted.start_link(name="interrupted")
    assert names.whereis("interrupted") is None
    gate.opened.set()
    eventually(lambda: not process_threads())


def test_a_timer_thread_that_could_not_start_is_started_by_the_next(monkeypatch):
    """Planted: taken for one that runs, so that no message ever comes."""
    own, collector = Timer(), Collector.start()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            own.send_after(0.0, collector, "lost")
    own.send_after(0.0, collector, "comes")
    eventually(lambda: seen(collector) == ["comes"])


def interrupted(*_arguments):
    raise KeyboardInterrupt
