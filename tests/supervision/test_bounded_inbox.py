"""Inboxes with a bound, messages with priority, a stop that goes ahead of what waits, timers."""

import threading
import time

import pykka
import pytest

from supervision import (
    Bounded,
    InboxFull,
    OptionError,
    Process,
    Timer,
    exit_reason,
    kill,
    names,
    stop,
    timer,
)
from tests.helpers import eventually

from .helpers import Collector, Gate, Worker, seen
from .otp import otp


class Held(Collector):
    def on_receive(self, message):
        return message() if callable(message) else super().on_receive(message)


def held(full, limit=2):
    """A process that is held up by a gate, and has `limit` messages in its inbox."""

    class Bound(Held, inbox=Bounded(limit, full=full)):
        pass

    gate, ref = Gate(), Bound.start()
    ref.tell(gate.hold)
    assert gate.reached.wait(10)
    for number in range(limit):
        ref.tell(number)
    return ref, gate


def collected(ref):
    eventually(lambda: ref.actor_inbox.empty())
    return seen(ref)


def test_a_full_inbox_refuses_what_comes():
    ref, gate = held("refuse")
    with pytest.raises(InboxFull, match="2 messages wait"):
        ref.tell("one more")
    with pytest.raises(InboxFull):
        ref.ask("one more", timeout=10)
    gate.opened.set()
    assert collected(ref) == [0, 1]


def test_a_full_inbox_drops_the_oldest(caplog):
    ref, gate = held("drop_oldest")
    asked = ref.ask("asked", block=False)
    for number in range(2):
        ref.tell(f"late {number}")
    gate.opened.set()
    with pytest.raises(InboxFull, match="dropped"):
        asked.get(timeout=10)
    assert collected(ref) == ["late 0", "late 1"]
    assert ref.actor_inbox.dropped == 3
    assert caplog.text.count("are dropped") == 1


@pytest.mark.parametrize("end", [None, kill])
def test_a_sender_may_wait_for_a_place(end):
    ref, gate = held("wait")
    answers = []

    def send():
        try:
            ref.tell("waited")
            answers.append("sent")
        except pykka.ActorDeadError:
            answers.append("dead")

    thread = threading.Thread(target=send)
    thread.start()
    eventually(lambda: len(ref.actor_inbox._waiters) == 1)
    if end is not None:
        end(ref)
    gate.opened.set()
    thread.join(10)
    assert answers == ["dead" if end else "sent"]
    if end is None:
        assert collected(ref) == [0, 1, "waited"]


def test_a_process_does_not_wait_for_a_place_in_its_own_inbox():
    class Own(Process, inbox=Bounded(1, full="wait")):
        def on_receive(self, message):
            self.actor_ref.tell("fits")
            self.actor_ref.tell("one too many")

    with pytest.raises(InboxFull):
        Own.start().ask("go", timeout=10)


@pytest.mark.parametrize("full", ["refuse", "wait", "drop_oldest"])
def test_a_full_inbox_takes_orders_to_end(full):
    ref, gate = held(full)
    threading.Timer(0.01, gate.opened.set).start()
    assert stop(ref, timeout=10) == "ok"


def test_wrong_bounds_are_refused():
    for wrong in ({"limit": 0}, {"limit": 1, "full": "explode"}):
        with pytest.raises(OptionError):
            Bounded(**wrong)
    with pytest.raises(OptionError, match="inbox of Wrong"):

        class Wrong(Process, inbox=5):
            pass


def test_messages_with_priority_come_first_and_in_order():
    gate, ref = Gate(), Held.start_link(name="held")[1]
    ref.tell(gate.hold)
    assert gate.reached.wait(10)
    ref.tell("last")
    for number in range(3):
        names.ref("held").tell(number, priority=True)
    gate.opened.set()
    assert eventually(lambda: len(found := seen(ref)) == 4 and found) == [0, 1, 2, "last"]
    ref.tell("wakes", priority=True)
    eventually(lambda: seen(ref)[-1] == "wakes")


def test_a_crash_by_a_message_with_priority_is_a_crash():
    ref = Worker.start()
    ref.tell(ValueError("boom"), priority=True)
    eventually(lambda: exit_reason(ref) == ("exception", "ValueError", "boom"))
    with pytest.raises(pykka.ActorDeadError):
        ref.tell(1, priority=True)


def test_a_stop_may_go_ahead_of_what_waits(journal):
    gate, ref = Gate(), Worker.start("w", journal)
    ref.tell(gate.hold)
    assert gate.reached.wait(10)
    waits = ref.ask("waits", block=False)
    threading.Timer(0.05, gate.opened.set).start()
    assert stop(ref, "now", ahead=True, timeout=10) == "ok"
    with pytest.raises(pykka.ActorDeadError):
        waits.get(timeout=10)
    assert journal[-1] == ("stop", "w", "now")


def test_a_timer_repeats_without_drift_until_it_is_cancelled_or_nobody_is_there():
    now, ref = [0.0], Collector.start()
    manual = Timer(clock=lambda: now[0])
    handle = manual.send_every(1.0, ref, "tick", first_s=0.5)
    assert handle.remaining() == 0.5
    for now[0] in (0.5, 0.9, 1.6, 4.7):
        manual.fire_due()
    assert seen(ref) == ["tick"] * 3, "what was missed is left out"
    assert handle.remaining() == pytest.approx(0.8)
    assert (handle.cancel(), handle.cancel()) == (True, False)
    handle = manual.send_every(1.0, ref, "tick")
    stop(ref)
    now[0] = 10.0
    assert manual.fire_due() is None
    assert handle.remaining() is None


def test_a_repeated_message_goes_to_whoever_has_the_name():
    now = [0.0]
    manual = Timer(clock=lambda: now[0])
    manual.send_every(1.0, names.ref("later"), "tick")
    now[0] = 1.0
    manual.fire_due()
    _, ref = Collector.start_link(name="later")
    now[0] = 2.0
    manual.fire_due()
    assert seen(ref) == ["tick"]
    with pytest.raises(ValueError, match="above 0"):
        manual.send_every(0, ref, "tick")
    with pytest.raises(TypeError, match="no such ref"):
        manual.send_at(1.0, 5, "tick")


@otp("process_test.exs", "send_after/4 with absolute time sends message once expired",
     "send_after/3 returns a timer reference that can be read or cancelled")  # fmt: skip
def test_a_message_may_be_sent_at_a_time():
    ref = Collector.start()
    handle = timer.send_at(time.monotonic() + 0.02, ref, "then")
    assert 0.0 <= (handle.remaining() or 0.0) <= 0.02
    eventually(lambda: seen(ref) == ["then"])
    assert handle.remaining() is None
