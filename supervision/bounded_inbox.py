"""Inboxes with a bound on the messages that wait in them."""

import logging
import threading
from collections import deque
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Literal

from pykka import messages
from pykka._envelope import Envelope

from supervision.errors import InboxFull, OptionError
from supervision.foreign import is_a, is_count, is_string, log, text_of
from supervision.inbox import WAKE, Inbox, fail
from supervision.ref import Signal
from supervision.waits import here

__all__ = ["Bounded", "BoundedInbox"]


@dataclass(frozen=True, slots=True)
class Bounded:
    """The bound of an inbox, as in `class Printer(Process, inbox=Bounded(100, full="refuse"))`.

    limit   how many messages wait, at most
    full    what is done with one more. "refuse": `tell` raises InboxFull, and the future of an ask
            is given it; "wait": the sender waits until there is a place; "drop_oldest": the oldest
            message that the process has not taken out of its inbox is dropped

    The orders to end, and whatever else this package sends, always have a place.

    Raises OptionError.

    >>> from supervision import Bounded, Process
    >>> class Printer(Process, inbox=Bounded(100, full="wait")):
    ...     pass
    """

    limit: int
    full: Literal["refuse", "wait", "drop_oldest"] = "refuse"

    def __post_init__(self) -> None:
        if not is_count(self.limit) or self.limit == 0:
            raise OptionError(
                ("invalid_limit", self.limit),
                f"the limit of an inbox must be a whole number above 0, not {text_of(self.limit)}",
            )
        if not any(is_string(self.full, known) for known in ("refuse", "wait", "drop_oldest")):
            raise OptionError(
                ("invalid_full", self.full),
                f"full must be refuse, wait or drop_oldest, not {text_of(self.full)}",
            )


class BoundedInbox(Inbox):
    """An Inbox in which so many messages wait, at most.

    dropped   how many messages were dropped
    """

    __slots__ = ("_bound", "_putting", "_waiters", "dropped")

    def __init__(self, bound: Bounded) -> None:
        super().__init__()
        self.dropped: int = 0
        self._bound = bound
        self._putting = threading.RLock()
        self._waiters: deque[SimpleQueue[None]] = deque()

    def put(self, envelope: Envelope[Any], /) -> None:
        if always_has_a_place(envelope):
            super().put(envelope)
            return
        while True:
            with self._putting:
                if self.closed or self.starting == threading.get_ident() or self._has_place():
                    super().put(envelope)
                    return
                if not is_string(self._bound.full, "wait") or self._is_own():
                    break
                place: SimpleQueue[None] = SimpleQueue()
                self._waiters.append(place)
            place.get()
        if not is_string(self._bound.full, "drop_oldest") or not self._drop_oldest():
            self._refuse(envelope)
            return
        super().put(envelope)

    def take(self) -> None:
        for _ in range(min(len(self._waiters), self._bound.limit)):
            self._waiters.popleft().put(None)
        super().take()

    def close(self) -> None:
        super().close()
        while self._waiters:
            self._waiters.popleft().put(None)

    def _has_place(self) -> bool:
        return self._queue.qsize() + len(self.taken) < self._bound.limit

    def _is_own(self) -> bool:
        """Whether the sender is the process itself, which would wait for ever."""
        process = getattr(here, "process", None)
        return process is not None and process.actor_inbox is self

    def _refuse(self, envelope: Envelope[Any]) -> None:
        error = InboxFull(f"{self._bound.limit} messages wait in the inbox: it takes no more")
        if envelope.reply_to is None:
            raise error
        fail(envelope, error)

    def _drop_oldest(self) -> bool:
        """Drop a message. Returns False if the process has taken all of them already."""
        for _ in range(self._queue.qsize()):
            try:
                oldest = self._queue.get_nowait()
            except Empty:
                return False
            if always_has_a_place(oldest):
                self._queue.put(oldest)
                continue
            self.dropped += 1
            if self.dropped == 1:
                log(logging.WARNING, "an inbox is full: messages are dropped, the oldest first")
            fail(oldest, InboxFull("the message was dropped, because the inbox was full"))
            return True
        return False


def always_has_a_place(envelope: Envelope[Any]) -> bool:
    message = envelope.message
    return envelope is WAKE or is_a(message, (Signal, messages._ActorStop))
