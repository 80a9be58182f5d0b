"""Clock: seconds that go on while the machine sleeps, and never go back."""

import time
from collections.abc import Callable
from functools import partial

__all__ = ["since_boot"]

SINCE_BOOT: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""On Linux CLOCK_MONOTONIC stands still while the machine is suspended; on macOS it goes on."""


since_boot: Callable[[], float] = partial(time.clock_gettime, SINCE_BOOT)
"""Returns the seconds since the machine was started, with the time in which it was suspended.

A leader that was suspended must not believe that it still leads. No clock of a virtual machine
shows for how long the machine itself was paused. A partial, because it is read after each applied
command."""
