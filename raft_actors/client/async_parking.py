"""Waiting for the answers of parked calls on an asyncio loop; see `raft_actors.client.parking`."""

import asyncio
import time
from contextlib import suppress
from functools import partial
from math import inf
from typing import TypeVar

from raft_actors.client.parking import Wait

__all__ = ["result_soon"]

T = TypeVar("T")


async def result_soon(wait: Wait[T], deadline: float) -> T | None:
    """As `await_result`, but wait on the running loop."""
    parking, come = wait.parking, asyncio.Event()
    parking.wake = partial(wake_loop, asyncio.get_running_loop(), come)
    try:
        while not parking.closed:
            come.clear()
            now = time.monotonic()
            while (parked := parking.next_now()) is not None:
                parked.owner.take(parked, now)
            look_at = wait.work(now)
            found = wait.result(now)
            if found is not None:
                return found
            if now >= deadline:
                return None
            wait_s = min(look_at, deadline) - now
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s if wait_s < inf else None):
                    await come.wait()
        return None
    finally:
        parking.wake = None


def wake_loop(loop: asyncio.AbstractEventLoop, come: asyncio.Event) -> None:
    with suppress(RuntimeError):  # the loop is closed, so no task waits any more
        loop.call_soon_threadsafe(come.set)
