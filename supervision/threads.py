"""Starting a thread, on a thread that a Ctrl-C may interrupt."""

import threading
from queue import Empty, SimpleQueue

__all__ = ["start_thread"]


class Started(threading.Event):
    """The event that `Thread.start` waits for, and that the thread sets in its first lines.

    `Event.wait` is written in Python, so a Ctrl-C may interrupt it between any two lines. In some
    lines the interrupt leaves a lock held, and then the new thread waits in its first lines for
    ever. In others it becomes a RuntimeError about a lock, which looks as if the system had no
    thread left. `SimpleQueue.get` is written in C and has no such lines.
    """

    def __init__(self) -> None:
        super().__init__()
        self._is_set = False
        self._signals: SimpleQueue[None] = SimpleQueue()

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True
        self._signals.put(None)

    def wait(self, timeout: float | None = None) -> bool:
        if not self._is_set:
            try:
                self._signals.get(timeout=timeout)
            except Empty:
                return self._is_set
        return True


def start_thread(thread: threading.Thread) -> None:
    """Start the thread. Raises RuntimeError when the system has no thread left.

    A Ctrl-C is raised either before the thread runs or when it runs already, never in between.
    """
    thread._started = Started()  # type: ignore[attr-defined]
    thread.start()
