"""Signals at any instant: handlers may use what they interrupt; a Ctrl-C leaves no lock held."""

import gc
import linecache
import signal
import subprocess
import sys
import threading
from itertools import count

import pytest
from pykka._envelope import Envelope

from supervision import Inbox, Process, kill, names, stop, threads
from supervision.timer import CANCELLED_MAX, Timer
from tests.helpers import eventually
from tests.signals import handled_at_each_line

from .helpers import Collector, Gate, Worker, seen
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
    assert handled_at_each_line(lambda: WORKS[what](worker), "supervision") > 3
    assert worker.ask("alive", timeout=10) == "alive"


def at_line(number, action, function=None):
    """A trace that does this once, before that line of the function, or of all that is called.

    No line of a `with`: where it is left no signal comes before its lock is released. And none of
    a finalizer, whose exceptions nobody is given.
    """
    left = [number]

    def trace(frame, event, _argument):
        file = frame.f_code.co_filename
        if file.endswith("_weakrefset.py"):
            return None
        statement = linecache.getline(file, frame.f_lineno).lstrip()
        if event != "line" or statement.startswith("with "):
            return trace
        if function is None or frame.f_code is function.__code__:
            left[0] -= 1
            if left[0] == 0:
                action()
        return trace

    return trace


def ctrl_c(line, work):
    """Do the work with a Ctrl-C before that line. Tells whether it came so far.

    No garbage is collected meanwhile: the lines of what that calls would be counted, too.
    """
    gc.disable()
    sys.settrace(at_line(line, interrupted))
    try:
        work()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(None)
        gc.enable()
    return False


@pytest.mark.parametrize("interrupted", [True, False])
@pytest.mark.parametrize("line", [1, 2, 3, 4, 5])
def test_neither_a_handler_nor_a_ctrl_c_during_a_sweep_loses_a_timer(line, interrupted):
    """Planted: moved from one heap to another, one by one."""
    clock, told = [0.0], []
    own = Timer(lambda: clock[0])
    receiver = type("Receiver", (), {"tell": staticmethod(told.append)})

    def action():
        if interrupted:
            raise KeyboardInterrupt
        own.send_after(1.5, receiver, 1.5)

    for delay_s in (3.0, 2.0, 1.0):
        own.send_after(delay_s, receiver, delay_s)
    for handle in [own.send_after(0.5, receiver, "cancelled") for _ in range(CANCELLED_MAX + 1)]:
        handle.cancel()
    sys.settrace(at_line(line, action, Timer._sweep))
    try:
        with own._lock:
            own._sweep()
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(None)
    clock[0] = 4.0
    own.fire_due()
    assert told in ([1.0, 2.0, 3.0], [1.0, 1.5, 2.0, 3.0])


def test_a_ctrl_c_as_a_timer_is_set_does_not_have_the_later_ones_slept_past():
    """At each line. Planted: set, and the thread not woken; or woken by a Condition, whose notify,
    interrupted, has the next one wake nobody.
    """
    own, collector = Timer(), Collector.start()
    own.send_after(0.0, collector, 0)

    def sleeps():
        frame = sys._current_frames().get(own._thread.ident)
        return frame and frame.f_code.co_name in ("_run", "wait")

    for line in count(1):
        eventually(sleeps)
        came = ctrl_c(line, lambda: own.send_after(0.0, collector, "perhaps"))
        seen(collector)  # meanwhile its thread, if it was woken, goes to sleep again
        own.send_after(0.0, collector, line)
        eventually(lambda: line in seen(collector))
        if not came:
            break
    assert line > 10


def test_a_ctrl_c_in_a_kill_leaves_the_process_as_it_was_or_ended(process_threads):
    """At each line. Planted: it takes no message, waits for one, and nobody hears that it ended."""
    for line in count(1):
        worker, heard = Worker.start(), []
        worker.watch(heard.append)
        eventually(lambda: worker.actor_inbox.idle)
        came = ctrl_c(line, lambda: kill(worker))
        if worker.is_alive():
            assert worker.ask("alive", timeout=10) == "alive"
            kill(worker)
        assert set(heard) == {"killed"}
        eventually(lambda: not process_threads())
        if not came:
            break
    assert line > 10


def test_a_ctrl_c_as_messages_are_refused_leaves_them_to_who_looks_next():
    """Planted: gone, and who asked waited for ever."""
    inbox, refused, question = Inbox(interrupted), [], Envelope("question")
    inbox.put(question)
    with pytest.raises(KeyboardInterrupt):
        inbox.close()
    inbox.refuse = refused.extend
    inbox.close()
    assert refused == [question]


def test_no_ctrl_c_leaves_a_lock_held():
    """Planted: a lock acquired on the line before its `try`; a Condition entered by `with`."""
    shots = [sys.executable, "-m", "tests.supervision.shots"]
    done = subprocess.run(shots, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]


class Host(Process):
    def on_inline(self, message):
        message(self)


def test_a_ctrl_c_during_a_visit_reaches_the_main_program_and_frees_the_host():
    host = Host.start()
    process = host._actor_weakref()
    eventually(lambda: host.actor_inbox.idle)

    def interrupt(_process):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        process.handle_inline(interrupt)
    eventually(lambda: not host.is_alive())
    assert process._ProcessBase__turn.acquire(timeout=10)
    process._ProcessBase__turn.release()


def test_one_that_visits_itself_is_told_to_wait():
    host, answers = Host.start(), []
    process = host._actor_weakref()
    eventually(lambda: host.actor_inbox.idle)
    assert process.handle_inline(lambda _: answers.append(process.handle_inline(print)))
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


def test_ctrl_c_at_any_instant_of_a_start_is_raised_as_what_it_is(monkeypatch):
    """And the thread does its work, if there is one. Planted: `Thread.start` as it is. It makes a
    RuntimeError of it, or leaves a lock held, on which the thread waits in its first lines.
    """
    started = []
    start = threading._start_new_thread

    def noted(function, *arguments):
        number = start(function, *arguments)
        started.append(number)
        return number

    monkeypatch.setattr(threading, "_start_new_thread", noted)
    files = {threading.__file__, threads.__file__}
    for turn in count(1):
        instants, done = [], threading.Event()
        thread = threading.Thread(target=done.set, daemon=True)
        before = len(started)

        def on_event(frame, event, _called, instants=instants, turn=turn):
            if event in {"call", "c_return"} and frame.f_code.co_filename in files:
                instants.append((frame.f_code.co_name, frame.f_lineno, event))
                if len(instants) == turn:
                    sys.setprofile(None)
                    raise KeyboardInterrupt

        try:
            sys.setprofile(on_event)
            threads.start_thread(thread)
        except KeyboardInterrupt:
            pass
        finally:
            sys.setprofile(None)
        if len(started) > before:
            assert done.wait(10), instants[-1]
        if len(instants) < turn:
            break
    assert len(started) > 1
