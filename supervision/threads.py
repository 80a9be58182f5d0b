"""Threads that are started where a Ctrl-C may come."""

import threading
from queue import Empty, SimpleQueue

__all__ = ["start_thread"]


class Started(threading.Event):
    """The event that `Thread.start` waits for, and that the thread sets in its first lines.

    The wait of Event itself is in Python. A Ctrl-C in the wrong line of it leaves a lock held, and
    then the thread waits in its first lines for ever; or it is raised as a RuntimeError about a
    lock, and is taken for a lack of threads. A queue is in C.
    """

    def __init__(self) -> None:
        super().__init__()
        self._is_set = False
        self._news: SimpleQueue[None] = SimpleQueue()

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True
        self._news.put(None)

    def wait(self, timeout: float | None = None) -> bool:
        if not self._is_set:
            try:
                self._news.get(timeout=timeout)
            except Empty:
                return self._is_set
        return True


def start_thread(thread: threading.Thread) -> None:
    """Start it. Raises RuntimeError when the system has no thread left.

    A Ctrl-C comes before the thread runs, or when it does.
    """
    thread._started = Started()  # type: ignore[attr-defined]
    thread.start()
