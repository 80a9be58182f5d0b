"""PySyncObj, in memory, its fastest, and with its journal. The load process has no vote."""

import contextlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.systems import System
from benchmarks.systems.etcd import free_port
from raft_actors.tools.bench.loads import KEYS, Load, Measured

__all__ = ["PySyncObj", "PySyncObjJournal"]

SERVER = """
import sys, threading
from benchmarks.systems.pysyncobj import store
kv = store(sys.argv[2], sys.argv[3:], journal=sys.argv[1] or None)
sys.stdin.read()
"""


def store(me: str | None, others: list[str], journal: str | None = None) -> Any:
    """Make one member; `me` None is the load process. `journal` is a path."""
    from pysyncobj import SyncObj, SyncObjConf, replicated

    class Store(SyncObj):  # type: ignore[misc]
        def __init__(self) -> None:
            conf = SyncObjConf(
                appendEntriesUseBatch=False, commandsQueueSize=1_000_000, autoTickPeriod=0.001,
                journalFile=journal,
            )  # fmt: skip
            super().__init__(me, others, conf)
            self.data: dict[str, str] = {}

        @replicated  # type: ignore[untyped-decorator]
        def put(self, key: str, value: str) -> bool:
            self.data[key] = value
            return True

    return Store()


class PySyncObj(System):
    name = "PySyncObj"
    acknowledged = "memory of a majority"
    works = frozenset(
        {"W1", "W64", "T64", "WP"}
    )  # its reads are the local state's, not the group's
    journal = False

    @staticmethod
    def is_here() -> bool:
        return importlib.util.find_spec("pysyncobj") is not None

    def start(self) -> None:
        addresses = [f"127.0.0.1:{free_port()}" for _ in range(3)]
        self.directory = tempfile.TemporaryDirectory(prefix="pysyncobj-bench-")
        self.servers = []
        for number, address in enumerate(addresses):
            journal = str(Path(self.directory.name) / f"journal{number}") if self.journal else ""
            others = [other for other in addresses if other != address]
            self.servers.append(
                subprocess.Popen(
                    [sys.executable, "-c", SERVER, journal, address, *others],
                    stdin=subprocess.PIPE, stderr=subprocess.DEVNULL,
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                )
            )  # fmt: skip
        self.client = store(None, addresses)
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(Exception):
                self.client.put("up", 1, sync=True, timeout=1.0)
                return
            assert time.monotonic() < deadline, "PySyncObj did not come up"

    def stop(self) -> None:
        self.client.destroy()
        for server in self.servers:
            server.kill()
            server.wait()
        self.servers.clear()
        self.directory.cleanup()

    @property
    def pids(self) -> list[int]:
        return [server.pid for server in self.servers]

    def run(self, load: Load) -> Measured:
        """A callback puts the next; so the library's own thread does all the work."""
        measured = Measured()
        over = threading.Event()
        began = time.perf_counter()
        counted_from = began + load.warm_up
        ends = counted_from + load.seconds
        number = 0

        def put_next() -> None:
            nonlocal number
            number += 1
            sent = time.perf_counter()
            self.client.put(
                KEYS[number % load.keys], load.value, callback=lambda *a: done(sent, *a)
            )

        def done(sent: float, _result: object, error: int) -> None:
            now = time.perf_counter()
            if counted_from <= now < ends and error == 0:
                measured.count += 1
                measured.latencies.append(now - sent)
            if now < ends:
                put_next()
            else:
                over.set()

        for _ in range(load.outstanding):
            put_next()
        over.wait(load.warm_up + load.seconds + 30)
        measured.seconds = load.seconds
        return measured


class PySyncObjJournal(PySyncObj):
    name = "PySyncObj, journal"
    acknowledged = "page cache of a majority: its journal is never synced"
    journal = True
