"""A signal handler that does the same thing as the code which it interrupts."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

LINES_MAX = 400
PATIENCE_S = 30


def handled_at_each_line(work: Callable[[], Any], *packages: str) -> int:
    """Do `work` on the main thread again and again, with a signal at another line of these packages
    each time. The handler does `work` too. Returns how often it was done.

    A handler that waits for the code which it has interrupted gets a KeyboardInterrupt.
    """
    signals = 0

    def handler(_number: int, _frame: Any) -> None:
        nonlocal signals
        signals += 1
        work()

    dog = threading.Timer(PATIENCE_S, lambda: os.kill(os.getpid(), signal.SIGUSR2))
    before = {
        signal.SIGUSR1: signal.signal(signal.SIGUSR1, handler),
        signal.SIGUSR2: signal.signal(signal.SIGUSR2, signal.default_int_handler),
    }
    dog.start()
    try:
        for turn in range(1, LINES_MAX):
            if not interrupt_at(turn, work, frozenset(packages)):
                break
        return turn + signals
    finally:
        dog.cancel()
        for number, old in before.items():
            signal.signal(number, old)


def interrupt_at(turn: int, work: Callable[[], Any], packages: frozenset[str]) -> bool:
    """Do `work`, with a signal at the line `turn` that it runs. Tells whether there was one."""
    lines = 0

    def trace(frame: Any, event: str, _argument: Any) -> Any:
        nonlocal lines
        if not is_in(packages, frame.f_code.co_filename):
            return None
        if event == "line":
            lines += 1
            if lines == turn:
                sys.settrace(None)
                signal.raise_signal(signal.SIGUSR1)
        return trace

    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(None)
    return lines >= turn


@cache
def is_in(packages: frozenset[str], filename: str) -> bool:
    """Whether this file is in one of the packages, and is no test. It is asked for each call."""
    parts = Path(filename).parts
    return "tests" not in parts and not packages.isdisjoint(parts)
