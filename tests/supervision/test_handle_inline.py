"""Messages that the thread which brings them handles itself, at a process that only waits."""

import threading
import time
from queue import SimpleQueue

import pytest
from pykka._envelope import Envelope

from supervision import Inbox, Process, current, exit_reason, kill
from tests.helpers import eventually

from .helpers import Gate


class Host(Process):
    """Says who handled what; "later" is left to its own thread."""

    def init(self):
        self.handled, self.left = [], []

    def on_receive(self, message):
        if callable(message):
            return message(self)
        self.handled.append((message, threading.get_ident()))
        return None

    def on_inline(self, message):
        if message == "later":
            self.left.append(message)
            self.actor_ref.tell("come")
        else:
            self.on_receive(message)

    def finish_inline(self):
        while self.left:
            self.on_receive(self.left.pop())


@pytest.fixture
def host():
    ref = Host.start()
    process = ref.ask(lambda self: self)
    eventually(lambda: process.actor_ref.actor_inbox.idle)
    return process


def test_one_that_waits_has_a_message_handled_on_the_thread_that_brings_it(host):
    assert host.handle_inline("here")
    assert host.handled == [("here", threading.get_ident())]


def test_one_without_an_on_inline_handles_the_message_as_any_other():
    class Plain(Process):
        def init(self):
            self.done = []

        def on_receive(self, message):
            self.done.append(message)
            return self

        def on_batch_end(self):
            self.done.append("drained")

    plain = Plain.start().ask("first")
    eventually(lambda: plain.actor_ref.actor_inbox.idle)
    assert plain.handle_inline("second")
    assert plain.done == ["first", "drained", "second", "drained"]


def test_a_visitor_is_the_process_meanwhile_and_then_itself_again(host):
    inside = []
    assert host.handle_inline(lambda self: inside.append((self, current())))
    assert inside == [(host, host.actor_ref)]
    assert current() is None


def test_one_that_is_busy_or_has_messages_is_not_visited(host):
    gate = Gate()
    host.actor_ref.tell(lambda _: gate.hold())
    assert not host.handle_inline("too early")
    gate.reached.wait()
    assert not host.handle_inline("too early")
    gate.opened.set()
    eventually(lambda: host.handle_inline("now"))
    assert [message for message, _ in host.handled] == ["now"]


def test_its_own_thread_waits_until_a_visit_is_over(host):
    """Planted: no turn taken in `_run`, and both handle messages at once."""
    gate, own = Gate(), threading.Event()

    caller = threading.Thread(target=host.handle_inline, args=(lambda _: gate.hold(),))
    caller.start()
    gate.reached.wait()
    host.actor_ref.tell(lambda _: own.set())
    assert not own.wait(0.1)
    gate.opened.set()
    assert own.wait(10)
    caller.join()


def test_what_is_handled_inline_and_what_waits_are_handled_one_at_a_time(host):
    """Planted: `handle_inline` without the turn, and counts are lost."""
    counts = {"now": 0, "sum": 0}

    def count(_self):
        assert counts["now"] == 0
        counts["now"] += 1
        time.sleep(0)  # lets another thread run
        counts["sum"] += 1
        counts["now"] -= 1

    def come(times):
        for _ in range(times):
            if not host.handle_inline(count):
                host.actor_ref.tell(count)

    callers = [threading.Thread(target=come, args=(2_000,)) for _ in range(4)]
    for each in callers:
        each.start()
    for each in callers:
        each.join()
    host.actor_ref.ask(lambda _: None)
    assert counts["sum"] == 8_000
    assert exit_reason(host.actor_ref) is None


def test_what_on_inline_leaves_is_done_first_and_on_the_own_thread(host):
    """Planted: `finish_inline` not called, or after what waits."""
    own = host.actor_ref.ask(lambda _: threading.get_ident())
    eventually(lambda: host.handle_inline("later"))
    assert eventually(lambda: len(host.handled) == 2)
    assert host.handled == [("later", own), ("come", own)]


def test_an_on_inline_that_raises_is_a_crash(host):
    def boom(_self):
        raise ValueError("boom")

    assert host.handle_inline(boom)
    assert eventually(lambda: exit_reason(host.actor_ref)) == ("exception", "ValueError", "boom")


def test_one_that_has_ended_handles_nothing_inline(host):
    kill(host.actor_ref)
    assert not host.handle_inline("too late")
    assert host.handled == []


def test_the_killed_does_not_do_what_on_inline_left(host):
    gate = Gate()

    def leave(self):
        self.left.append("never")
        gate.hold()

    over = threading.Event()
    host.abandoned = over.set
    caller = threading.Thread(target=host.handle_inline, args=(leave,))
    caller.start()
    gate.reached.wait()
    kill(host.actor_ref)
    gate.opened.set()
    caller.join()
    assert over.wait(10)
    assert host.handled == []


def test_what_was_told_first_is_not_overtaken_by_what_is_handled_inline():
    """Planted: the reader said that it was idle with a message there, and took it."""
    looks, inbox = [], Inbox()

    class Looking(SimpleQueue):
        def get(self, timeout=None):
            looks.append(inbox.idle)
            self.put(Envelope("late"))
            return super().get()

    inbox._queue = Looking()
    inbox.put(Envelope("told"))
    inbox.take()
    assert looks == [False]
    inbox.taken.clear()
    inbox.take()
    assert looks == [False, True]
