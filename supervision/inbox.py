"""The inbox of a process: many putters, one reader, and no message lost in silence.

Pykka asks `is_alive()` and then puts, so that a message put between the reader's last look and
its death is lost, and with it the future of an ask. Here the putter looks again after it has
put: if the inbox was closed meanwhile it refuses whatever is left, its own message included.
`close` first says `closed` and then refuses what waits. So a message is seen either by the
one or by the other, and `SimpleQueue` gives it to exactly one of them.
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

__all__ = ["Inbox", "dead_letter", "fail", "fail_future", "reply"]

WAKE: Envelope[Any] = Envelope(None)
"""Lets a reader that waits on a closed inbox go; never handed to a process."""


class Inbox:
    """`put` from any thread without a lock; `take` and `taken` belong to the reader.

    taken     what the last `take` found, oldest first; the reader pops from the left
    current   what the reader handles now, or handled last
    closed    True from `close` on; every `put` that begins later is refused
    idle      the reader waits in `take`, and no `put` has ended since it began to
    starting  the thread that starts the process, None from then on: what is put on it goes ahead of
              what comes from elsewhere
    refuse    called with the envelopes nobody will handle, on the thread that found them
    waker     called after each `put`, if the reader may wait elsewhere than in `take`
    """

    __slots__ = ("_queue", "closed", "current", "idle", "refuse", "starting", "taken", "waker")

    def __init__(self, refuse: Callable[[list[Envelope[Any]]], None] | None = None) -> None:
        self._queue: SimpleQueue[Envelope[Any]] = SimpleQueue()
        self.refuse = refuse or _answer_dead
        self.taken: deque[Envelope[Any]] = deque()
        self.current: Envelope[Any] = WAKE
        self.closed = False
        self.idle = False
        self.starting: int | None = None
        self.waker: Callable[[], None] | None = None

    def put(self, envelope: Envelope[Any], /) -> None:
        """Add a message at the end.

        After `close`, an ask's future is given ActorDeadError, and for a tell it is raised. A tell
        that races with `close` may return and still be refused: then `refuse` is given it.
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

    def take(self) -> None:
        """Wait until there is a message, then move all that wait into `taken`, in one go."""
        queue, taken = self._queue, self.taken
        if not taken:  # it told itself nothing in its start
            self.idle = True
            if not queue.empty():
                self.idle = False  # was put before that, and is handled before anything inline
            taken.append(queue.get())
            self.idle = False
        try:
            for _ in range(queue.qsize()):
                taken.append(queue.get_nowait())
        except Empty:
            pass  # a putter refused them meanwhile
        if self.closed:
            self._refuse_waiting()

    def waiting(self) -> int:
        """How many messages wait that the reader has not taken yet; about, for others go on."""
        return self._queue.qsize()

    def get(self) -> Envelope[Any]:
        """Wait for the oldest message; what Pykka's own loop would call."""
        if not self.taken:
            self.take()
        return self.taken.popleft()

    def drain(self) -> list[Envelope[Any]]:
        """Wait until there is a message, then return all that wait."""
        self.take()
        drained = list(self.taken)
        self.taken.clear()
        return drained

    def empty(self) -> bool:
        return not self.taken and self._queue.empty()

    def close(self) -> None:
        """Accept nothing more and refuse all that waits. May be called twice, from any thread."""
        self.closed = True
        self._refuse_waiting()

    def _refuse_waiting(self) -> None:
        unread: list[Envelope[Any]] = []
        try:
            with suppress(IndexError):
                while True:
                    unread.append(self.taken.popleft())
            with suppress(Empty):
                while True:
                    unread.append(self._queue.get_nowait())
            self._queue.put(WAKE)  # also in place of one just taken away, so that the reader wakes
            if self.waker is not None:
                self.waker()
            unread = [envelope for envelope in unread if envelope is not WAKE]
            if unread:
                self.refuse(unread)
        except BaseException:  # Ctrl-C: who looks next refuses them, or the rest of them
            for envelope in unread:
                self._queue.put(envelope)
            raise


def reply(envelope: Envelope[Any], answer: Any) -> None:
    """Answer an ask, unless it has its answer from whoever killed the process."""
    if envelope.reply_to is not None:
        with suppress(Full):
            envelope.reply_to.set(answer)


def fail(envelope: Envelope[Any], error: BaseException) -> None:
    """Raise `error` where the answer is awaited, unless there is an answer.

    SystemExit, Stop and the like are for the process that raised them: its asker is told that it
    died.
    """
    if envelope.reply_to is not None:
        if not is_a(error, Exception) or is_a(error, (Stop, Ignore)):
            dead = ActorDeadError(f"the process ended by {text_of(error)}")
            dead.__cause__ = error
            error = dead
        fail_future(envelope.reply_to, error)


def fail_future(future: Any, error: BaseException) -> None:
    """Raise `error` from the future, unless it has its result."""
    with suppress(Full):
        future.set_exception(exc_info(error))


def dead_letter(envelope: Envelope[Any]) -> None:
    """Answer an ask that nobody will handle."""
    fail(envelope, ActorDeadError("the process ended before it answered"))


def _answer_dead(envelopes: list[Envelope[Any]]) -> None:
    for envelope in envelopes:
        dead_letter(envelope)
