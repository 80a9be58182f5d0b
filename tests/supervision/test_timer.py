"""Timers, by a clock that the test moves; and the one thread, which sleeps until it must not."""

import os
import threading

import pykka
import pytest

from supervision import Timer, stop, timer
from tests.helpers import eventually

from .helpers import Collector, seen
from .otp import otp


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@otp(
    "process_test.exs",
    "send_after/3 sends messages once expired",
)
def test_messages_come_at_their_time_and_in_order():
    clock, ref = Clock(), Collector.start()
    timer = Timer(clock)
    timer.send_after(3, ref, "late")
    timer.send_after(1, ref, "early")
    timer.send_after(1, ref, "early too")
    assert timer.fire_due() == 1
    clock.now += 1
    assert timer.fire_due() == 2
    assert seen(ref) == ["early", "early too"]
    clock.now += 10
    assert timer.fire_due() is None
    assert seen(ref) == ["early", "early too", "late"]


def test_a_cancelled_message_does_not_come():
    clock, ref = Clock(), Collector.start()
    timer = Timer(clock)
    cancelled, sent = timer.send_after(1, ref, "no"), timer.send_after(1, ref, "yes")
    assert cancelled.cancel() is True
    assert cancelled.cancel() is False
    clock.now += 1
    timer.fire_due()
    assert sent.cancel() is False
    assert seen(ref) == ["yes"]
    assert repr(timer) == "<Timer, 0 waiting>"


def test_cancelled_timers_do_not_pile_up():
    timer, ref = Timer(Clock()), Collector.start()
    kept = timer.send_after(5000, ref, "kept")
    for number in range(10_000):
        timer.send_after(1000 + number, ref, number).cancel()
    assert len(timer._heap) < 200
    assert timer._wakes.empty()  # nobody waits for them
    assert kept.waiting


def test_a_dead_receiver_and_a_failing_one_stop_nothing(caplog):
    class Failing(pykka.ActorRef):
        def __init__(self):
            pass

        def __str__(self):
            return "failing"

        def tell(self, message):
            raise OSError("broken")

    clock, ref, dead = Clock(), Collector.start(), Collector.start()
    timer = Timer(clock)
    stop(dead)
    for receiver in (dead, Failing(), ref):
        timer.send_after(0, receiver, "now")
    timer.fire_due()
    assert seen(ref) == ["now"]
    assert caplog.messages == ["a timer could not send to failing"]


def test_there_is_no_thread_before_there_is_a_timer():
    def timer_threads():
        return [thread for thread in threading.enumerate() if thread.name == "timer"]

    before = len(timer_threads())
    timer, ref = Timer(), Collector.start()
    assert len(timer_threads()) == before
    timer.send_after(0.03, ref, "second")
    timer.send_after(0.01, ref, "first")
    eventually(lambda: seen(ref) == ["first", "second"])
    timer.send_after(0.01, ref, "third")
    eventually(lambda: seen(ref) == ["first", "second", "third"])
    assert len(timer_threads()) == before + 1


def test_an_idle_timer_does_not_wake():
    looks = []

    class Counting(Timer):
        def fire_due(self):
            looks.append(True)
            return super().fire_due()

    timer, ref = Counting(), Collector.start()
    timer.send_after(0, ref, "now")
    eventually(lambda: seen(ref) == ["now"])
    eventually(lambda: len(looks) == 2)  # it began, and was woken for the first
    timer.send_after(1000, ref, "far")  # the first in the heap: one wake to set the alarm
    eventually(lambda: len(looks) == 3)
    timer.send_after(2000, ref, "farther")
    assert timer._wakes.empty()
    assert len(looks) == 3


def test_a_message_that_is_never_due_keeps_no_other():
    """Planted: the thread waits for ever, which no wait allows, and ends."""
    own = Timer()
    box = Box()
    never = own.send_after(float("inf"), box, "never")
    eventually(lambda: own._thread is not None and own._thread.is_alive())
    own.send_after(0.01, box, "soon")
    eventually(lambda: box.told == ["soon"])
    assert never.cancel()


@pytest.mark.parametrize("shared", [timer, Timer()], ids=["shared", "own"])
def test_in_a_forked_child_a_timer_starts_over(shared):
    """Its thread is not there. Planted: it is taken for alive, and no message ever comes."""
    box = Box()
    shared.send_after(0.0, box, "in the parent")
    eventually(lambda: box.told)
    child = os.fork()
    if child == 0:
        shared.send_after(0.01, box, "in the child")
        heard = any(box.came.acquire(timeout=10.0) and "in the child" in box.told for _ in range(2))
        os._exit(0 if heard else 1)
    assert os.waitpid(child, 0)[1] == 0


class Box:
    """A receiver that is no actor."""

    def __init__(self):
        self.told, self.came = [], threading.Semaphore(0)

    def tell(self, message):
        self.told.append(message)
        self.came.release()


def test_a_timer_that_gets_no_thread_is_refused_and_the_next_one_rings(monkeypatch):
    """Planted: the thread is remembered before it has started; then no timer ever rings."""
    timer, ref = Timer(), Collector.start()

    def refuse(_thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            timer.send_after(0, ref, "refused")
    timer.send_after(0, ref, "rings")
    eventually(lambda: seen(ref) == ["rings"])
