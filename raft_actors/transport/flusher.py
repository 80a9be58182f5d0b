"""Flushing: when queued frames are sent, and which thread hands them to the kernel."""

import math
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from raft_actors.transport.link import Link
from raft_actors.transport.reactor import Reactor
from raft_actors.wire.frame_codec import make_packer

__all__ = ["CALLERS_MAX_OWN_FLUSH", "Flusher"]

SOON_S = 0.001
CALLERS_MAX_OWN_FLUSH = 8
"""If a link has so many open calls or more, the bridge thread sends for the threads that call. This
makes 64 threads 14 % faster.
"""


class Local(threading.local):
    """The objects of each thread: a packer, and the links for which it has queued frames."""

    def __init__(self) -> None:
        self.pack: Callable[[Any], bytes] = make_packer()
        self.dirty: set[Link] = set()


class Flusher:
    """Hands queued frames to the kernel, on the thread that queued them or on the bridge thread."""

    def __init__(self, reactor: Reactor, watch_writable: Callable[[Link], None]) -> None:
        """`watch_writable` is called, on the bridge thread, for a link whose socket is full."""
        self._reactor = reactor
        self._watch_writable = watch_writable
        self.local: Local = Local()

    # From any thread.

    def flush(self, callers_max: float = math.inf) -> None:
        """Flush the frames that this thread has queued. For a link with `callers_max` open calls or
        more, for which threads wait, the bridge thread does it.
        """
        dirty = self.local.dirty
        while dirty:
            try:
                link = dirty.pop()
            except KeyError:  # a signal handler has come between the two lines, and has flushed
                break
            if len(link.calls) - len(link.long_calls) >= callers_max:
                if not link.flush_due:
                    self._post(link, partial(self._flush_for_all, link))
            elif link.flush():
                self._finish_later(link)

    def flush_soon(self) -> None:
        """Let the bridge thread flush the frames of this thread, SOON_S from now."""
        for link in tuple(self.local.dirty):  # a signal handler may flush meanwhile
            if not link.flush_due:
                self._post(link, partial(self._flush_later, link))

    def _post(self, link: Link, work: Callable[[], None]) -> None:
        """Let the bridge thread run `work`, which flushes and clears `flush_due`."""
        try:
            link.flush_due = True
            self._reactor.post(work)
        except BaseException:  # Ctrl-C: with the flag set no later call would post a flush
            link.flush_due = False
            raise

    def _finish_later(self, link: Link) -> None:
        self._reactor.post(lambda: self._watch_writable(link))

    # The bridge thread only.

    def _flush_for_all(self, link: Link) -> None:
        link.flush_due = False  # before the flush: a frame queued from now on posts another one
        if link.flush():
            self._watch_writable(link)

    def _flush_later(self, link: Link) -> None:
        self._reactor.after(SOON_S, partial(self._flush_while_used, link))

    def _flush_while_used(self, link: Link) -> None:
        """Flush now, and again SOON_S later if frames were waiting."""
        if link.holds_frames():
            self._flush_later(link)
        else:
            # A sender that read `flush_due` before this line relies on the flush below.
            link.flush_due = False
        if link.flush():
            self._watch_writable(link)
