"""EndsNode: what each node of the test of drawn ends starts; `raft-actors node --start` calls it.

With RAFT_ACTORS_ENDS_NAIVE the program is started and stopped by the events of `events.subscribe`,
which is what people write without a LeaderSupervisor.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from raft_actors import LeaderSupervisor, Node, Program, Supervisor, events
from raft_actors.kv_store import KVStore
from raft_actors.node.host_name import node_name
from raft_actors.peer.peer import Peer
from raft_actors.tools.node_processes import PEER

NAMES = ("a", "b", "c")
FILE, NAIVE, STOP_WITHIN = (
    "RAFT_ACTORS_ENDS_FILE", "RAFT_ACTORS_ENDS_NAIVE", "RAFT_ACTORS_ENDS_STOP_WITHIN",
)  # fmt: skip
PAUSE_S = 0.005
WRITER = Path(__file__).with_name("writer.py")
HOUR_S = 3600.0
WAYS = (0.0, 0.0, 0.1, 0.3, 1000.0)
"""The program ends at once, or it works on for a while, or it has to be killed."""
PR_SET_PDEATHSIG = 1


def start() -> Any:
    """Start the peer and the supervisor of what runs where it leads."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=take_orders, name="orders", daemon=True).start()
    members = [(PEER, node_name(name)) for name in NAMES]
    children: list[Any] = [(KVStore, {"name": PEER, "members": members})]
    if NAIVE in os.environ:
        events.subscribe(Naive().on_event)
    else:
        children.append((LeaderSupervisor, {
            "children": [Program(command(*WAYS), shutdown=0.3), append_lines], "of": PEER,
            "hand_over": 1.0, "stop_within": float(os.environ[STOP_WITHIN]),
            "max_restarts": 1_000,
        }))  # fmt: skip
    return Supervisor.start_link(children, strategy="one_for_one", max_restarts=1_000)


def command(*ways: float) -> list[str]:
    """Return the command of the program. `ways`: how long it may work on after SIGTERM."""
    return [sys.executable, "-I", "-S", str(WRITER), os.environ[FILE], Node.self(), str(PAUSE_S),
            *map(str, ways)]  # fmt: skip


def append_lines(term: Any) -> None:
    """Do what the program does, on a thread, and look before each line."""
    path = Path(os.environ[FILE]).with_suffix(".threads")
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        while not term.lost.wait(PAUSE_S):
            os.write(file, f"{term.check()} {os.getpid()} {Node.self()}\n".encode())
    finally:
        os.close(file)


def take_orders() -> None:
    """Set the clock of this process back at each line on standard input; end with it."""
    for _line in sys.stdin:
        wall_clock = time.time
        time.time = lambda wall_clock=wall_clock: wall_clock() - HOUR_S
        Peer.wall_clock = staticmethod(time.time)
    os._exit(1)


class Naive:
    """Starts and stops the program by the news of who leads. Nothing would kill a program that does
    not end when it is told, so it ends, in each of the other ways.
    """

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None

    def on_event(self, event: Any) -> None:
        if not isinstance(event, events.LeaderChanged):
            return
        if self.process is not None:
            self.process.terminate()
            self.process = None
        if event.leader == event.peer:
            environment = os.environ | {"RAFT_ACTORS_TERM": str(event.term)}
            self.process = subprocess.Popen(command(*WAYS[:-1]), env=environment)
