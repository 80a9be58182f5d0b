"""Locks by key, which are free again when the process of their holder has ended."""

import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

from supervision.errors import Exited
from supervision.foreign import Key
from supervision.waits import here

__all__ = ["KeyLocks"]


class KeyLocks:
    """The locks of one registry: for each key, those who hold it or wait for it, in order."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._turns: dict[Key | str, deque[SimpleQueue[None]]] = {}

    @contextmanager
    def hold(self, key: Hashable) -> Iterator[None]:
        """Wait for the lock of this key, and hold it while the block runs."""
        of, turn = Key.of(key), SimpleQueue[None]()
        process = getattr(here, "process", None)
        cancel: Callable[[], None] | None = None
        if process is not None:
            cancel = process._actor_ref.watch_first(lambda _: self._leave(of, turn))
        try:
            with self._lock:
                turns = self._turns.setdefault(of, deque())
                turns.append(turn)
                if turns[0] is turn:
                    turn.put(None)
            turn.get()
            if turn not in self._turns.get(of, ()):
                raise Exited("killed")  # this process was killed while it waited
            yield
        finally:
            if cancel is not None:
                cancel()
            self._leave(of, turn)

    def _leave(self, key: Any, turn: "SimpleQueue[None]") -> None:
        with self._lock:
            turns = self._turns.get(key)
            if turns is None or turn not in turns:
                return
            held = turns[0] is turn
            turns.remove(turn)
            if not turns:
                del self._turns[key]
            elif held:
                turns[0].put(None)
            if not held:
                turn.put(None)  # wakes the thread of a process that was killed
