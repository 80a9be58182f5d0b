"""What any test may need: to wait until something comes true, and to see whether a process runs."""

import time
from collections.abc import Callable
from typing import Any

import psutil

PATIENCE_S = 60.0
"""A busy machine is no failure; who fails waits once."""


def eventually(seen: Callable[[], Any], timeout_s: float = PATIENCE_S) -> Any:
    """Wait until `seen` returns something true, and return that. Fails after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not (found := seen()):
        assert time.monotonic() < deadline, f"never true: {seen}"
        time.sleep(0.005)
    return found


def is_running(process: psutil.Process) -> bool:
    """Whether it runs. One that has ended does not, even if nobody has buried it."""
    try:
        return process.is_running() and bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
