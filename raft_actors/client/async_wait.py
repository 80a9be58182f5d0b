"""Waiting for a future's answer on an asyncio loop."""

import asyncio
from contextlib import suppress
from typing import Any

from raft_actors.future import Future

__all__ = ["wait_for"]


async def wait_for(future: Future[Any], timeout_s: float) -> None:
    """Wait until `future` has its answer, or `timeout_s` have passed."""
    if future.done():
        return
    loop = asyncio.get_running_loop()
    answered = asyncio.Event()

    def on_answer(_answer: Future[Any]) -> None:
        with suppress(RuntimeError):  # the loop is closed, so no task waits any more
            loop.call_soon_threadsafe(answered.set)

    future.add_done_callback(on_answer)
    with suppress(TimeoutError):
        await asyncio.wait_for(answered.wait(), timeout_s)
