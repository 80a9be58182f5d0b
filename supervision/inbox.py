"""The inbox of a process: many threads put messages, one thread reads them, none is lost silently.

Pykka calls `is_alive()` and then puts the message. If the actor ends in between, the message is
lost, and the future of an ask is never set. Here `put` checks `closed` a second time after it
has put the message: if the inbox was closed in the meantime, `put` refuses all messages that are
left, its own message included. `close` first sets `closed` and then refuses the messages that
wait. So each message is found by `close` or by `put`, and `SimpleQueue` gives it to only one of
them.
"""

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, Full, SimpleQueue
from threading import get_ident
from typing import Any

from pykka import ActorDeadError
from pykka._envelope import Envelope

from supervision.errors import Ignore, Stop
from supervision.foreign import exc_info, is_a, text_of

__all__ = ["AHEAD", "WAKE", "Ahead", "Inbox", "dead_letter", "fail", "fail_future", "reply"]

WAKE: Envelope[Any] = Envelope(None)
"""Wakes a reader that waits on a closed inbox. A process never receives it."""


class Ahead:
    """The message of AHEAD."""

    __slots__ = ()


AHEAD: Envelope[Any] = Envelope(Ahead())
"""Where it is found, the reader handles the oldest urgent message."""


class Inbox:
    """Any thread may call `put`, which takes no lock. Only the reader uses `take` and `taken`.

    taken     the messages that `take` has moved out of the queue, oldest first; the reader pops
              from the left
    current   the message that the reader handles now, or handled last
    closed    True after `close`; every `put` that begins later is refused
    idle      True if the reader waits in `take`, and no `put` has ended since it began to wait
    starting  the id of the thread that starts the process; None when the process has started. A
              message that this thread puts is handled before the messages of other threads
    refuse    called with the envelopes that will not be handled, on the thread that found them
    idle_s    how long `take` waits for a message, in seconds; None: without a bound
    urgent    messages that are handled before all others, oldest first
    waker     called after each `put`, for a reader that may wait elsewhere than in `take`
    """

    __slots__ = (
        "_queue",
        "closed",
        "current",
        "idle",
        "idle_s",
        "refuse",
        "starting",
        "taken",
        "urgent",
        "waker",
    )

    def __init__(self, refuse: Callable[[list[Envelope[Any]]], None] | None = None) -> None:
        self._queue: SimpleQueue[Envelope[Any]] = SimpleQueue()
        self.refuse: Callable[[list[Envelope[Any]]], None] = refuse or _answer_dead
        self.taken: deque[Envelope[Any]] = deque()
        self.urgent: deque[Envelope[Any]] = deque()
        self.current: Envelope[Any] = WAKE
        self.closed: bool = False
        self.idle: bool = False
        self.idle_s: float | None = None
        self.starting: int | None = None
        self.waker: Callable[[], None] | None = None

    def put(self, envelope: Envelope[Any], /) -> None:
        """Add a message at the end.

        After `close`, the future of an ask is set to ActorDeadError; for a tell, `put` raises it.
        If `close` runs at the same time as a tell, `put` may return although the message is refused
        afterwards: then `refuse` is called with the message.
        """
        if self.closed:
            if envelope.reply_to is None:
                raise ActorDeadError("the process has ended")
            return dead_letter(envelope)
        if self.starting is not None and self.starting == get_ident():
            self.taken.append(envelope)
        else:
            self._queue.put(envelope)
        self.idle = False
        if self.waker is not None:
            self.waker()
        if self.closed:
            self._refuse_waiting()
        return None

    def put_ahead(self, envelope: Envelope[Any], /) -> None:
        """Add a message that is handled before all others that wait. Raises ActorDeadError after
        `close`.

        Its mark is put before the messages that the reader has taken, and into the queue, which
        wakes a reader that waits. The reader handles an urgent message for each mark that it finds.
        """
        if self.closed:
            raise ActorDeadError("the process has ended")
        self.urgent.append(envelope)
        self.taken.appendleft(AHEAD)
        self._queue.put(AHEAD)
        self.idle = False
        if self.waker is not None:
            self.waker()
        if self.closed:
            self._refuse_waiting()

    def take(self) -> None:
        """Wait until there is a message, then move all messages that wait into `taken`. Raises
        queue.Empty if there is none within `idle_s` seconds.
        """
        queue, taken = self._queue, self.taken
        if not taken:  # not empty after a start in which the process sent itself messages
            self.idle = True
            if not queue.empty():
                self.idle = False  # this message came first: handle it before an inline message
            try:
                taken.append(queue.get(timeout=self.idle_s))
            finally:
                self.idle = False
        try:
            for _ in range(queue.qsize()):
                taken.append(queue.get_nowait())
        except Empty:
            pass  # a `put` on another thread has refused the rest, because the inbox was closed
        if self.closed:
            self._refuse_waiting()

    def waiting(self) -> int:
        """Return how many messages the reader has not taken yet. Other threads may put more while
        this is counted, so the number is approximate.
        """
        return self._queue.qsize()

    def get(self) -> Envelope[Any]:
        """Wait for the oldest message and return it. Pykka's own loop would call this method."""
        if not self.taken:
            self.take()
        return self.taken.popleft()

    def drain(self) -> list[Envelope[Any]]:
        """Wait until there is a message, then return all messages that wait."""
        self.take()
        drained = list(self.taken)
        self.taken.clear()
        return drained

    def remove(self, is_meant: Callable[[Any], bool]) -> None:
        """Drop the messages for which `is_meant` returns True. Only the reader calls this."""
        with suppress(Empty):
            while True:
                self.taken.append(self._queue.get_nowait())
        with suppress(IndexError):  # a `kill` on another thread refuses them meanwhile
            for _ in range(len(self.taken)):
                envelope = self.taken.popleft()
                if not is_meant(envelope.message):
                    self.taken.append(envelope)

    def empty(self) -> bool:
        return not self.taken and self._queue.empty()

    def close(self) -> None:
        """Accept no more messages and refuse all that wait. May be called twice, on any thread."""
        self.closed = True
        self._refuse_waiting()

    def _refuse_waiting(self) -> None:
        unread: list[Envelope[Any]] = []
        try:
            with suppress(IndexError):
                while True:
                    unread.append(self.urgent.popleft())
            with suppress(IndexError):
                while True:
                    unread.append(self.taken.popleft())
            with suppress(Empty):
                while True:
                    unread.append(self._queue.get_nowait())
            self._queue.put(WAKE)  # the loop above may have taken away a WAKE of another thread
            if self.waker is not None:
                self.waker()
            unread = [
                envelope for envelope in unread if envelope is not WAKE and envelope is not AHEAD
            ]
            if unread:
                self.refuse(unread)
        except BaseException:  # Ctrl-C: put them back; the next call of this method refuses them
            for envelope in unread:
                self._queue.put(envelope)
            raise


def reply(envelope: Envelope[Any], answer: Any) -> None:
    """Answer an ask, unless `kill` on another thread has answered it already."""
    if envelope.reply_to is not None:
        with suppress(Full):
            envelope.reply_to.set(answer)


def fail(envelope: Envelope[Any], error: BaseException) -> None:
    """Set the future of an ask to `error`, unless it has an answer.

    SystemExit, Stop and the like are meant for the process that raised them. The asker gets an
    ActorDeadError instead.
    """
    if envelope.reply_to is not None:
        if not is_a(error, Exception) or is_a(error, (Stop, Ignore)):
            dead = ActorDeadError(f"the process ended by {text_of(error)}")
            dead.__cause__ = error
            error = dead
        fail_future(envelope.reply_to, error)


def fail_future(future: Any, error: BaseException) -> None:
    """Make `get` of the future raise `error`, unless the future has a result."""
    with suppress(Full):
        future.set_exception(exc_info(error))


def dead_letter(envelope: Envelope[Any]) -> None:
    """Answer an ask that no process will handle, with ActorDeadError."""
    fail(envelope, ActorDeadError("the process ended before it answered"))


def _answer_dead(envelopes: list[Envelope[Any]]) -> None:
    for envelope in envelopes:
        dead_letter(envelope)
