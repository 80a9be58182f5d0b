"""What the main thread waits for: a signal may end the wait at any moment of it."""

import sys
import threading
from types import FrameType
from typing import Any

from raft_actors.tools.ending import Ending

PATIENCE_S = 60.0
LINES = 30


def test_an_end_that_came_before_is_not_lost() -> None:
    ending = Ending()
    ending.end()
    ending.wait()


def test_another_thread_ends_the_wait() -> None:
    ending = Ending()
    threading.Timer(0.05, ending.end).start()
    ending.wait()


def test_the_wait_may_be_interrupted_by_its_end_before_any_of_its_lines() -> None:
    """As a signal handler does it. Planted: a threading.Event, whose lock the wait holds."""

    def wait(number: int) -> None:
        ending = Ending()
        lines = 0

        def trace(_frame: FrameType, event: str, _argument: Any) -> Any:
            nonlocal lines
            lines += event == "line"
            if lines == number:
                sys.settrace(None)
                ending.end()
            return trace

        late = threading.Timer(0.1, ending.end)  # for a number that is never reached
        late.start()
        sys.settrace(trace)
        ending.wait()
        sys.settrace(None)
        late.cancel()

    for number in range(1, LINES):
        thread = threading.Thread(target=wait, args=(number,), daemon=True)
        thread.start()
        thread.join(PATIENCE_S)
        assert not thread.is_alive(), f"the wait hangs when it is ended at line {number}"
