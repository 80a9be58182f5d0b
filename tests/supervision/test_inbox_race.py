"""No message put while the process dies is lost, and no future of an ask stays open.

Planted once to see it go red: no second look at `closed` in Inbox.put (futures that never get an
answer, and told messages gone); `closed` set after the refusal in Inbox.close (the same).
"""

import threading
import time
from contextlib import suppress
from queue import SimpleQueue

import pykka
import pytest

from supervision import Process, kill
from supervision.inbox import Inbox
from tests.helpers import eventually

ROUNDS, PUTTERS = 30, 3


class Unlucky(Inbox):
    """Whoever looks whether it is closed loses the processor before acting on what was seen."""

    state = False

    @property
    def closed(self):
        state = self.state
        time.sleep(0)
        return state

    @closed.setter
    def closed(self, state):
        self.state = state


class Fleeting(Process):
    @staticmethod
    def _create_actor_inbox():
        return Unlucky()

    def init(self, handled, lost):
        self.handled, type(self).lost = handled, lost

    def on_receive(self, message):
        self.handled.append(message)
        if message == "end":
            self.exit("normal")
        return message

    @staticmethod
    def undelivered(message):
        Fleeting.lost.append(message)


@pytest.mark.parametrize("end", ["exit", "stop", "kill"])
def test_every_message_is_handled_or_handed_back(end):
    for _ in range(ROUNDS):
        handled, lost, told, futures = [], [], [], []
        ref = Fleeting.start(handled, lost)

        def put(name):
            for number in range(2_000):
                try:
                    ref.tell((name, number))
                except pykka.ActorDeadError:
                    break
                told.append((name, number))
                futures.append(ref.ask("question", block=False))

        threads = [threading.Thread(target=put, args=(name,)) for name in range(PUTTERS)]
        for thread in threads:
            thread.start()
        eventually(lambda: len(told) > 50)
        if end == "kill":
            kill(ref)
        elif end == "stop":
            ref.stop(block=False)
        else:
            ref.tell("end")
        for thread in threads:
            thread.join()
        for future in futures:
            with suppress(pykka.ActorDeadError):
                assert future.get(timeout=10) == "question"
        eventually(lambda: len(ref.actor_inbox.taken) == 0)
        got = [message for message in handled if isinstance(message, tuple)]
        # a killed process may still be handling one message: it is in `handled` a moment later
        eventually(
            lambda: len([m for m in handled if isinstance(m, tuple)]) + len(lost) >= len(told)
        )
        got = [message for message in handled if isinstance(message, tuple)] + lost
        assert sorted(got) == sorted(told)


def test_a_message_put_after_the_last_look_is_refused_by_its_putter():
    class ClosesFirst(SimpleQueue):
        def put(self, envelope):
            if not inbox.closed:
                inbox.close()
            super().put(envelope)

    refused = []
    inbox = Inbox(refused.extend)
    inbox._queue = ClosesFirst()
    late = pykka._envelope.Envelope("late")
    inbox.put(late)
    assert refused == [late]


def test_a_closed_inbox_refuses_at_once():
    refused = []
    inbox = Inbox(refused.extend)
    waiting, late = pykka._envelope.Envelope("waiting"), pykka._envelope.Envelope("late")
    inbox.put(waiting)
    inbox.close()
    inbox.close()
    assert refused == [waiting]
    with pytest.raises(pykka.ActorDeadError):
        inbox.put(late)
    question = pykka._envelope.Envelope("question", reply_to=pykka.ThreadingFuture())
    inbox.put(question)
    with pytest.raises(pykka.ActorDeadError):
        question.reply_to.get(timeout=1)


def test_drain_returns_all_that_waits_in_order():
    inbox = Inbox()
    envelopes = [pykka._envelope.Envelope(number) for number in range(5)]
    for envelope in envelopes:
        inbox.put(envelope)
    assert not inbox.empty()
    assert inbox.get() is envelopes[0]
    assert inbox.empty() is False
    for envelope in envelopes[:1]:
        inbox.put(envelope)
    assert inbox.drain() == [*envelopes[1:], envelopes[0]]
    assert inbox.empty()
