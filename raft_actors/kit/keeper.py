"""Keepers: keep the leases of a kit alive, on a thread or in a task of asyncio."""

import asyncio
import logging
import threading
from contextlib import suppress
from math import inf

from raft_actors.async_cluster import AsyncCluster
from raft_actors.cluster import Cluster
from raft_actors.errors import RaftError
from raft_actors.kit.core import KitCore
from raft_actors.kit.script import run, run_async

__all__ = ["TaskKeeper", "ThreadKeeper"]

logger: logging.Logger = logging.getLogger("raft_actors.kit")

LATE_S = 0.02
"""So much longer than computed it is slept, so that what is due is due."""


class ThreadKeeper:
    """A thread that begins with the first lease, and ends with the kit."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.core: KitCore = KitCore(self.wake)
        self.lock: threading.Lock = threading.Lock()
        self.woken: threading.Event = threading.Event()
        self.thread: threading.Thread | None = None
        self.closed: bool = False

    def wake(self) -> None:
        """Have the thread look now: something is due earlier than it knows."""
        with self.lock:
            if self.closed:
                return
            if self.thread is None or not self.thread.is_alive():  # also in a forked child
                self.thread = threading.Thread(
                    target=self.work, name="raft_actors-kit", daemon=True
                )
                self.thread.start()
        self.woken.set()

    def work(self) -> None:
        while not self.closed:
            self.woken.clear()
            try:
                run(self.cluster, self.core.keep())
            except RaftError as error:
                logger.warning("leases can't be kept alive: %s", error)
            wait_s = self.core.next_s()
            self.woken.wait(None if wait_s == inf else wait_s + LATE_S)

    def close(self) -> None:
        self.closed = True
        self.woken.set()


class TaskKeeper:
    """The same as a task, on the loop that runs when the first lease is made."""

    def __init__(self, cluster: AsyncCluster) -> None:
        self.cluster = cluster
        self.core: KitCore = KitCore(self.wake)
        self.woken: asyncio.Event = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self.closed: bool = False

    def wake(self) -> None:
        """As `ThreadKeeper.wake`. Called on the loop."""
        if self.closed:
            return
        if self.task is None or self.task.done():
            self.task = asyncio.get_running_loop().create_task(self.work())
        self.woken.set()

    async def work(self) -> None:
        while not self.closed:
            self.woken.clear()
            try:
                await run_async(self.cluster, self.core.keep())
            except RaftError as error:
                logger.warning("leases can't be kept alive: %s", error)
            wait_s = self.core.next_s()
            with suppress(TimeoutError):
                await asyncio.wait_for(
                    self.woken.wait(), None if wait_s == inf else wait_s + LATE_S
                )

    def close(self) -> None:
        self.closed = True
        self.woken.set()
