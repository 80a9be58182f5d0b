"""Demo: three node processes. The leader is killed, then all three; no acknowledged write is lost.

The driver is a node too, `demo@<host>`, and uses the peers as any program does. Data, cookie, port
files and logs are in a temporary directory, which is removed afterwards; no file of the user is
changed. The nodes end with the driver, however it ends: they wait for the end of their standard
input.
"""

import logging
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from raft_actors import Node, Raft
from raft_actors.names import Address
from raft_actors.tools.node_processes import STORE, NodeProcesses, use_own_cookie

__all__ = ["run_demo"]

NAMES = ("a", "b", "c")
CLIENTS = 4
STEP_S = 30.0  # a step that takes longer has failed; the slowest takes 2 s on two busy cores
CALL_S = 1.0
PAUSE_S = 0.02
CHECK_THREADS = 8
UNKNOWN = {("error", "timeout"), ("error", "outcome_unknown")}


class DemoFailed(Exception):
    """A step has failed or took too long. The message names it, with the last log lines of
    nodes.
    """


class Story:
    """Prints what happens, with the seconds since the start."""

    def __init__(self) -> None:
        self.console: Console = Console(highlight=False, soft_wrap=True)
        self.began: float = time.monotonic()

    def tell(self, text: str, style: str = "") -> None:
        self.console.print(f"[dim]{time.monotonic() - self.began:6.2f} s[/]  {text}", style=style)

    def until(self, what: str, seen: Callable[[], Any]) -> Any:
        """Wait until `seen` returns something true, and return that. Raises DemoFailed."""
        deadline = time.monotonic() + STEP_S
        while not (found := seen()):
            if time.monotonic() > deadline:
                raise DemoFailed(f"{what}: not within {STEP_S:.0f} s")
            time.sleep(PAUSE_S)
        return found


class Stage(NodeProcesses):
    """The three node processes and their directory, in which they run."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, NAMES, STORE, cwd=directory)

    def is_up(self, name: str) -> bool:
        """Return whether the node's peer answers. Raises DemoFailed if its process has ended."""
        if (line := self.last_line(name)) is not None:
            raise DemoFailed(f"node {name} has ended by itself: {line}")
        return self.status(name) is not None

    def log_ends(self) -> str:
        """Return the last lines of the nodes' logs."""
        last: list[str] = []
        for name in NAMES:
            if self.log(name).exists():
                lines = self.log(name).read_text(errors="replace").splitlines()
                last += [f"  {name}: {line}" for line in lines[-8:]]
        return "\n".join(last)


@dataclass(slots=True)
class Clients:
    """Threads that write during all faults, and remember the acknowledged writes."""

    addresses: list[Address]
    leader: Address
    acknowledged: dict[str, int] = field(default_factory=dict)
    unknown: int = 0
    redirects: int = 0
    refused: int = 0
    last: tuple[float, float] = (0.0, 0.0)
    """When the newest of the acknowledged writes began, and when it was acknowledged."""
    ended: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Run the writers, each on its own thread, while the body runs."""
        writers = [
            threading.Thread(target=self.write, args=(number,), name=f"client-{number}")
            for number in range(CLIENTS)
        ]
        for writer in writers:
            writer.start()
        try:
            yield
        finally:
            self.ended.set()
            for writer in writers:
                writer.join(timeout=STEP_S)

    def write(self, number: int) -> None:
        """Set key after key. A write that is not acknowledged is not checked: it may have
        happened.
        """
        count = 0
        while not self.ended.is_set():
            count += 1
            key = f"client {number}, write {count}"
            began = time.monotonic()
            match Raft.write(self.leader, ("set", key, count), timeout=CALL_S):
                case ("ok", _, _):
                    self.acknowledged[key] = count
                    self.last = max(self.last, (began, time.monotonic()))
                case ("error", ("redirect", address)) if address is not None:
                    self.redirects += 1
                    self.leader = address
                    self.ended.wait(PAUSE_S)
                case answer:
                    if answer in UNKNOWN:
                        self.unknown += 1
                    else:
                        self.refused += 1
                    self.leader = self.addresses[count % len(self.addresses)]
                    self.ended.wait(PAUSE_S)

    def wait_for_more(self, story: Story, since: float) -> float:
        """Wait until a write begun after `since` is acknowledged. Returns the seconds since."""
        story.until("a write is acknowledged again", lambda: self.last[0] > since)
        return self.last[1] - since


def run_demo(*, write_s: float = 2.0) -> int:
    """Run the demo. Returns 0 only if every acknowledged write was found at the end.

    write_s   how long the clients write without a fault, before and after the kill of the leader
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    logging.getLogger("raft_actors").setLevel(logging.ERROR)  # broken links are expected here
    story = Story()
    with tempfile.TemporaryDirectory(prefix="raft_actors-demo-") as name:
        stage = Stage(Path(name))
        use_own_cookie(stage.directory)
        try:
            Node.start("demo")
            return play(story, stage, write_s)
        except DemoFailed as error:
            story.console.print(f"[bold red]failed:[/] {error}\n{stage.log_ends()}", markup=True)
            return 1
        except KeyboardInterrupt:
            return 130
        finally:
            stage.kill(*list(stage.processes))
            Node.stop()


def play(story: Story, stage: Stage, write_s: float) -> int:
    leader = form_cluster(story, stage)
    clients = Clients(stage.addresses, leader)
    with clients.writing():
        kill_the_leader(story, stage, clients, write_s)
        kill_everyone(story, stage, clients)
    return check(story, stage, clients)


def form_cluster(story: Story, stage: Stage) -> Address:
    """Start the nodes, form the group, and return the leader."""
    for name in NAMES:
        stage.start(name)
        node = stage.address(name)[1]
        story.tell(f"node [bold]{node}[/] starts, process {stage.pid(name)}")
    for name in NAMES:
        story.until(f"node {name} is up", partial(stage.is_up, name))
    answer = Raft.set_configuration(stage.address("a"), stage.addresses)
    if answer[0] != "ok":
        raise DemoFailed(f"set_configuration answered {answer!r}")
    leader: Address = story.until("a leader is elected", lambda: Raft.leader(stage.address("a")))
    story.tell(f"the three are a cluster; the leader is [bold]{leader[1]}[/]")
    return leader


def kill_the_leader(story: Story, stage: Stage, clients: Clients, write_s: float) -> None:
    """Kill the leader's process while clients write, and start it again: it catches up."""
    story.tell(f"{CLIENTS} clients write; every write that is acknowledged is remembered")
    time.sleep(write_s)
    leader = story.until("a leader", lambda: Raft.leader(clients.leader))
    name = leader[1].partition("@")[0]
    story.tell(f"{len(clients.acknowledged)} acknowledged; now [bold red]kill -9[/] of {leader[1]}")
    killed_at = time.monotonic()
    stage.kill(name)
    took_s = clients.wait_for_more(story, killed_at)
    new_leader = new_leader_than(story, stage, leader)
    story.tell(
        f"the new leader is [bold]{new_leader[1]}[/]; "
        f"it acknowledged a write {took_s * 1000:.0f} ms after the kill"
    )
    follower = next(one for one in stage.addresses if one not in (leader, new_leader))
    answer = Raft.read(follower, ("get", "client 0, write 1"), timeout=CALL_S)
    story.tell(f"asked to read, the follower {follower[1]} answers {answer!r}")
    time.sleep(write_s)

    stage.start(name)
    story.tell(f"{leader[1]} starts again, same command, process {stage.pid(name)}")
    story.until(f"node {name} is up", partial(stage.is_up, name))
    status = Raft.status(new_leader)
    assert status[0] == "ok", status
    goal = status[1]["commit_index"]
    story.until(f"{leader[1]} has caught up", lambda: applied(leader) >= goal)
    story.tell(f"{leader[1]} has caught up: entry {goal} and all before it are applied")


def new_leader_than(story: Story, stage: Stage, old: Address) -> Address:
    """Wait until the other peers agree on a leader that is not the old one, and return it."""
    others = [one for one in stage.addresses if one != old]

    def agreed() -> Address | None:
        leaders = {Raft.leader(one) for one in others}
        return leaders.pop() if len(leaders) == 1 and not leaders & {None, old} else None

    found: Address = story.until("the others elect a leader", agreed)
    return found


def applied(address: Address) -> int:
    answer = Raft.status(address)
    return int(answer[1]["last_applied"]) if answer[0] == "ok" else 0


def kill_everyone(story: Story, stage: Stage, clients: Clients) -> None:
    """Kill all three processes at once while clients write, and start them again."""
    story.tell(
        f"{len(clients.acknowledged)} acknowledged; now [bold red]kill -9[/] of all three at once"
    )
    killed_at = time.monotonic()
    stage.kill(*NAMES)
    stage.start(*NAMES)
    story.tell("all three start again, same commands")
    took_s = clients.wait_for_more(story, killed_at)
    story.tell(f"{took_s * 1000:.0f} ms after the kill a write was acknowledged again")


def check(story: Story, stage: Stage, clients: Clients) -> int:
    """Read every acknowledged write from the leader. Returns the exit status."""
    story.tell(
        f"the clients stop: {len(clients.acknowledged)} writes acknowledged, {clients.redirects} "
        f"redirected, {clients.refused} refused, {clients.unknown} of unknown outcome"
    )
    for name in NAMES:
        story.until(f"node {name} is up", partial(stage.is_up, name))
    leader = story.until("a leader", lambda: Raft.leader(stage.address("a")))

    def is_there(item: tuple[str, int]) -> bool:
        key, value = item
        query = ("get", key)
        answer = story.until(
            f"a read of {key!r} is answered",
            lambda: settled(Raft.read(Raft.leader(leader) or leader, query, timeout=CALL_S)),
        )
        return bool(answer == ("ok", value))

    with ThreadPoolExecutor(CHECK_THREADS) as pool:
        found = list(pool.map(is_there, clients.acknowledged.items()))
    missing = found.count(False)
    style = "bold green" if found and not missing else "bold red"
    story.console.print(f"{len(found)} acknowledged writes checked, {missing} missing", style=style)
    return 0 if found and not missing else 1


def settled(answer: Any) -> Any:
    """Return the answer if it is the state machine's; None if the read must be sent again."""
    return answer if answer == ("error", "key_not_found") or answer[0] == "ok" else None
