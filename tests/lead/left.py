"""Left: the processes that a test has left, found by the directory in which they run."""

from contextlib import suppress
from pathlib import Path

import psutil

from tests.helpers import PATIENCE_S, is_running

__all__ = ["end_what_is_left", "left_in"]


def left_in(directory: Path) -> list[psutil.Process]:
    """What runs in this directory: programs, their children, guards."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.cwd() == str(directory) and is_running(process):
                found.append(process)
    return found


def end_what_is_left(directory: Path) -> None:
    """Kill it: a test that fails, above all by a planted bug, leaves nothing behind either."""
    while left := left_in(directory):
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, PATIENCE_S)
