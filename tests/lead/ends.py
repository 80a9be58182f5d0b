"""Ends: leaders of real nodes end in drawn ways; what runs where they lead is seen from outside.

Three nodes are a group. Where the leader is, a program and a thread append a line to a file all the
time. From the lines alone it is judged whether two ever worked at once: each line has the token by
which it was written, and the kernel puts the lines of all processes in one order.
"""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from pathlib import Path
from random import Random

import psutil

from raft_actors import Node, Raft
from raft_actors.names import Address
from raft_actors.node.host_name import node_name
from raft_actors.node.port_files import PortFiles
from raft_actors.tools.node_processes import PEER, NodeProcesses, use_own_cookie
from raft_actors.tools.torture.proxy import Proxy
from tests.lead.ends_node import FILE, NAIVE, NAMES, STOP_WITHIN

__all__ = ["KINDS", "NAIVE_KINDS", "Ends", "Verdict", "judged", "playing"]

STARTER = "tests.lead.ends_node:start"
PATIENCE_S = 120.0
LOOK_S = 0.02
LINE_MAX = 200


@dataclass
class Verdict:
    """What the lines of one file say.

    starts    how many runs there were
    overlaps  the places at which something wrote that had a lower token, or a process that was
              followed by another one before
    late      the runs that worked on there: those of the lower tokens
    """

    starts: int = 0
    overlaps: list[str] = field(default_factory=list)
    late: set[tuple[int, int, str]] = field(default_factory=set)


def judged(lines: list[tuple[int, int, str]]) -> Verdict:
    """Judge the lines (token, pid, node) in the order in which they were written."""
    runs = [key for key, _lines in groupby(lines)]
    verdict = Verdict(starts=len(set(runs)))
    over: set[tuple[int, int, str]] = set()
    for before, after in pairwise(runs):
        over.add(before)
        if after[0] < before[0] or after in over:
            verdict.overlaps.append(f"{after} works after {before}")
            verdict.late.add(before if before[0] < after[0] else after)
    return verdict


class EndsNodes(NodeProcesses):
    """Nodes that reach each other only through a proxy."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, NAMES, STARTER)
        self.files = PortFiles(directory / "run")
        self.proxy = Proxy(NAMES, self.endpoint)

    def endpoint(self, name: str) -> tuple[str, int] | None:
        entry = self.files.read(node_name(name))
        return None if entry is None else (entry.host, entry.port)

    def environment_of(self, name: str) -> dict[str, str]:
        return {"RAFT_ACTORS_NODES": self.proxy.static_addresses(name)} | self.environment


class Ends:
    """The nodes, and the ways in which a leader ends.

    drawn    how often each way was drawn
    ended    how often it ended a run: a short pause does not
    pauses   for each way the seconds until the next program wrote, where there was one to await
    """

    def __init__(self, directory: Path, *, seed: int, stop_within: float, naive: bool = False):
        self.luck = Random(seed)
        self.file = directory / "lines"
        self.stop_within = stop_within
        self.nodes = EndsNodes(directory)
        self.nodes.environment = {FILE: str(self.file), STOP_WITHIN: str(stop_within)}
        if naive:
            self.nodes.environment[NAIVE] = "1"
        self.drawn: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.last: tuple[str, int] = "", 0
        self.pauses: dict[str, list[float]] = {}

    # What is seen from outside.

    def lines(self, suffix: str = "") -> list[tuple[int, int, str]]:
        path = self.file.with_suffix(suffix)
        words = (line.split() for line in path.read_text().splitlines()) if path.exists() else ()
        return [(int(token), int(pid), node) for token, pid, node in words]

    def size(self) -> int:
        return self.file.stat().st_size if self.file.exists() else 0

    def last_line(self) -> tuple[int, int, str] | None:
        """The last whole line of the program, which was written when there was one."""
        if not self.file.exists():
            return None
        with self.file.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - LINE_MAX))
            lines = file.read().decode().splitlines()
        words = lines[-1].split() if lines else []
        return (int(words[0]), int(words[1]), words[2]) if len(words) == 3 else None

    def await_writer(self, *, after: int = 0) -> tuple[int, int, str]:
        """Wait until a program writes by a later token than `after`; return its new line."""
        deadline = time.monotonic() + PATIENCE_S
        size = self.size()
        while time.monotonic() < deadline:
            line = self.last_line() if self.size() > size else None
            if line is not None and line[0] > after:
                return line
            time.sleep(LOOK_S)
        raise AssertionError(f"nobody works after token {after}: {self.statuses()}")

    def statuses(self) -> object:
        return [self.nodes.last_line(name) or self.nodes.status(name) for name in NAMES]

    # The ends.

    def end_one(self, kinds: list[str]) -> None:
        """Draw an end for whoever works now, and wait until one works again."""
        token, _pid, node = self.await_writer()
        self.note_end(token)
        name = node.partition("@")[0]
        self.nodes.start(*NAMES)
        time.sleep(self.luck.uniform(0, 0.3))
        kind = self.luck.choice(kinds)
        self.drawn[kind] += 1
        self.last = kind, token
        began = time.monotonic()
        KINDS[kind](self, name)
        self.nodes.start(*NAMES)
        line = self.last_line()
        if line is not None and line[0] == token and kind in MAY_GO_ON:
            deadline = time.monotonic() + self.luck.uniform(0, 2 * self.stop_within)
            while line == self.last_line() and time.monotonic() < deadline:
                time.sleep(LOOK_S)  # it may go on with the same token
            return
        self.await_writer(after=token)
        self.pauses.setdefault(kind, []).append(time.monotonic() - began)

    def note_end(self, token: int) -> None:
        """Count the end that was drawn last, if it has ended the run of its time."""
        kind, before = self.last
        if kind and token > before:
            self.ended[kind] += 1
            self.last = "", 0

    def kill(self, name: str) -> None:
        self.nodes.kill(name)

    def stop(self, name: str) -> None:
        """SIGTERM, as a service manager does it."""
        self.nodes.signal(name, signal.SIGTERM)
        self.nodes.processes[name].wait(PATIENCE_S)

    def pause(self, name: str) -> None:
        self.nodes.signal(name, signal.SIGSTOP)
        time.sleep(self.luck.uniform(0.05, 3 * self.stop_within))
        self.nodes.signal(name, signal.SIGCONT)

    def pause_and_kill(self, name: str) -> None:
        self.nodes.signal(name, signal.SIGSTOP)
        time.sleep(self.luck.uniform(0, self.stop_within))
        self.nodes.kill(name)

    def transfer(self, name: str) -> bool:
        return bool(Raft.transfer_leadership(self.address(name))[0] == "ok")

    def cut(self, name: str) -> None:
        with self.cut_off(name, blocked=True):
            time.sleep(self.luck.uniform(0.1, 4 * self.stop_within))

    def reset(self, name: str) -> None:
        """The followers hear that their connections broke, and don't wait for a timeout."""
        with self.cut_off(name, refused=True):
            time.sleep(self.luck.uniform(0.1, 4 * self.stop_within))

    def pause_guard(self, name: str) -> None:
        """A guard that is paused while its node dies can't end anything: see docs/one_leader.md."""
        guards = self.guards(name)
        for guard in guards:
            guard.send_signal(signal.SIGSTOP)
        if not self.transfer(name):
            for guard in guards:
                with suppress(psutil.NoSuchProcess):
                    guard.send_signal(signal.SIGCONT)

    def kill_guard(self, name: str) -> None:
        """The kernel kills the program, and the node starts it again by the same grant."""
        for guard in self.guards(name):
            guard.send_signal(signal.SIGKILL)

    def set_clock_back(self, name: str) -> None:
        self.nodes.order(name, "back")
        self.luck.choice((self.transfer, self.kill, self.reset, self.pause))(name)

    def guards(self, name: str) -> list[psutil.Process]:
        children = psutil.Process(self.nodes.pid(name)).children()
        found = []
        for each in children:
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                if any("guard.py" in word for word in each.cmdline()):
                    found.append(each)
        return found

    @contextmanager
    def cut_off(self, name: str, **conditions: bool) -> Iterator[None]:
        proxy = self.nodes.proxy
        paths = [proxy.path(one, other) for one, other in proxy.paths if name in (one, other)]
        for path in paths:
            for what, value in conditions.items():
                setattr(path, what, value)
        proxy.wake()
        try:
            yield
        finally:
            for path in paths:
                path.blocked = path.refused = False
            proxy.wake()

    @staticmethod
    def address(name: str) -> Address:
        return PEER, node_name(name)

    # The play.

    def play(self, ends: int, kinds: list[str], tell: Callable[[int], None] | None = None) -> None:
        """Let so many runs end. This process is a node meanwhile, for the transfers."""
        self.nodes.start(*NAMES)
        told = 0
        while (done := self.ended.total()) < ends:
            if tell is not None and done > told:
                tell(done)
                told = done
            self.end_one(kinds)

    def play_each(self, kinds: list[str]) -> None:
        """Let a leader end in each of these ways, in a drawn order."""
        self.nodes.start(*NAMES)
        for kind in self.luck.sample(kinds, len(kinds)):
            self.end_one([kind])

    def close(self) -> None:
        self.nodes.kill(*NAMES)
        self.nodes.proxy.close()


KINDS: dict[str, Callable[[Ends, str], object]] = {
    "kill -9": Ends.kill,
    "SIGTERM": Ends.stop,
    "SIGSTOP, SIGCONT": Ends.pause,
    "SIGSTOP, kill -9": Ends.pause_and_kill,
    "transfer": Ends.transfer,
    "links cut": Ends.cut,
    "links reset": Ends.reset,
    "guard paused": Ends.pause_guard,
    "guard killed": Ends.kill_guard,
    "clock set back": Ends.set_clock_back,
}
NAIVE_KINDS = ("SIGSTOP, SIGCONT", "transfer", "links cut", "links reset")
"""Those after which a naive node still knows of its program. One that is killed leaves it."""
MAY_GO_ON = {
    "SIGSTOP, SIGCONT", "links cut", "links reset", "transfer", "guard paused", "guard killed",
    "clock set back",
}  # fmt: skip
"""Ends after which the same run may go on: the pause was short, or the transfer was refused."""


@contextmanager
def playing(
    directory: Path, *, seed: int, stop_within: float, naive: bool = False
) -> Iterator[Ends]:
    """Make the nodes, and this process a node of their cluster; kill all at the end."""
    use_own_cookie(directory)
    Node.start("ends")
    ends = Ends(directory, seed=seed, stop_within=stop_within, naive=naive)
    try:
        yield ends
    finally:
        ends.close()
        Node.stop()
        left = [each for each in psutil.process_iter() if is_writer(each, ends.file)]
        for process in left:  # what a naive node has left, or a guard that has not ended yet
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, PATIENCE_S)


def is_writer(process: psutil.Process, file: Path) -> bool:
    """Return whether this is a program that writes to the file, or the guard of one."""
    try:
        command = process.cmdline()
    except psutil.Error:
        return False
    return str(file) in command and any("writer.py" in word for word in command)
