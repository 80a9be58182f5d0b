"""Driver: plays one torture from the first election to the verdict. `raft-actors torture`.

Everything lives in one directory: `history.jsonl` (each call, see `Operation`), `faults.jsonl`
(each fault, see `Strike`), `node-a.log` and so on, and, when it fails, `failure.html`.
"""

import logging
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random, SystemRandom
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from raft_actors import Node, Raft
from raft_actors.tools.node_processes import use_own_cookie
from raft_actors.tools.torture.audit import Audit, States, audit
from raft_actors.tools.torture.clients import CALL_S, Clients, History
from raft_actors.tools.torture.counter_clients import Counting
from raft_actors.tools.torture.disks import SmallDisk
from raft_actors.tools.torture.faults import CLIENT, FaultTargets
from raft_actors.tools.torture.history_page import page
from raft_actors.tools.torture.lease_clients import LeaseClients
from raft_actors.tools.torture.loops import Loops
from raft_actors.tools.torture.members import Members
from raft_actors.tools.torture.nemesis import Nemesis
from raft_actors.tools.torture.nodes import STARTER, TorturedNodes, TortureFailed
from raft_actors.tools.torture.operation import OK, READ, Operation
from raft_actors.tools.torture.proxy import Proxy
from raft_actors.tools.torture.registers import COUNT

__all__ = ["TorturePlan", "run_torture"]

NAMES = "abcdefg"
START_S = 60.0  # until a process has started and answers, on a machine that does much else
LEADER_S = 10.0  # until a healed cluster has a leader
SETTLE_S = 30.0  # until its peers have the same entries applied ...
REPLAYED_PER_S = 2_000.0  # ... and what they take to apply a log from its beginning
PAUSE_S = 0.05
AUDITOR = -1  # the client number of the reads at the end


@dataclass(frozen=True, slots=True, kw_only=True)
class TorturePlan:
    """What to do.

    seed     draws the faults and the calls; None: a new one, which is printed
    keep     where to leave everything; without, it is left behind only if the torture fails
    only     kinds of faults to draw from; all if empty
    starter  the `module:function` that each node starts
    """

    minutes: float = 5.0
    seed: int | None = None
    nodes: int = 3
    keep: Path | None = None
    only: tuple[str, ...] = ()
    starter: str = STARTER


@dataclass(slots=True)
class Outcome:
    """What is told at the end."""

    audit: Audit = field(default_factory=Audit)
    elected_s: float = 0.0
    converged_s: float = 0.0
    entries: int = 0


def run_torture(plan: TorturePlan) -> int:
    """Play `plan`. Returns 0 only if all is linearizable, nothing lost, and the cluster healed.

    1 if not, 2 for a directory that is not empty or can't be made, 130 when interrupted.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    logging.getLogger("raft_actors").setLevel(logging.ERROR)  # broken links are what it is about
    console = Console(highlight=False, soft_wrap=True)
    seed = SystemRandom().getrandbits(32) if plan.seed is None else plan.seed
    try:
        directory = make_directory(plan.keep)
    except TortureFailed as refusal:
        print(f"raft-actors: {refusal}", file=sys.stderr)
        return 2
    console.print(f"seed [bold]{seed}[/], {plan.nodes} nodes, {plan.minutes:g} min, in {directory}")
    passed = False
    try:
        passed = Torture(plan, seed, directory, console).play()
    except KeyboardInterrupt:
        return 130
    finally:
        if passed and plan.keep is None:
            shutil.rmtree(directory, ignore_errors=True)
        else:
            console.print(f"history, faults and logs are in {directory}")
    return 0 if passed else 1


def make_directory(keep: Path | None) -> Path:
    """Return an empty directory. Raises TortureFailed if the one to keep can't be one."""
    if keep is None:
        return Path(tempfile.mkdtemp(prefix="raft_actors-torture-"))
    try:
        keep.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TortureFailed(f"{keep} can't be made ({error}): name another directory") from None
    if any(keep.iterdir()):
        raise TortureFailed(f"{keep} is not empty: name a new directory")
    return keep.resolve()


class Torture:
    """One run: its parts, made in `play` and ended with it."""

    def __init__(self, plan: TorturePlan, seed: int, directory: Path, console: Console) -> None:
        self.plan = plan
        self.seed = seed
        self.directory = directory
        self.console = console
        self.began: int = time.monotonic_ns()
        self.history: History = History(directory / "history.jsonl", self.began)
        names = tuple(NAMES[: plan.nodes])
        self.leases: bool
        self.leases, on_disk, has_witness = (bool(seed & bit) for bit in (1, 2, 4))
        self.nodes: TorturedNodes = TorturedNodes(
            directory, names, plan.starter, leases=self.leases, on_disk=on_disk,
            witness=names[-1] if has_witness else "",
        )  # fmt: skip
        self.outcome: Outcome = Outcome()
        self.nemesis: Nemesis | None = None
        self.loops: list[Loops] = []
        self.counting: Counting | None = None
        self.members: Members | None = None

    def tell(self, text: str, style: str = "") -> None:
        self.console.print(f"[dim]{self.history.now() / 1e9:7.1f} s[/]  {text}", style=style)

    def play(self) -> bool:
        """Return whether it passed. Leaves no process and no thread behind."""
        last = self.nodes.names[-1]
        small = SmallDisk.mount(self.nodes.data_dir(last))  # while there's one thread only
        if small is None:
            self.tell("no disk can be mounted here: none will be full, but files will not grow")
        use_own_cookie(self.directory)
        with ExitStack() as stack:
            stack.callback(self.history.close)
            if small is not None:
                stack.callback(small.remove)
            proxy = Proxy((*self.nodes.names, CLIENT), self.nodes.endpoint, seed=self.seed)
            stack.callback(proxy.close)
            self.nodes.static = proxy.static_addresses
            os.environ["RAFT_ACTORS_NODES"] = proxy.static_addresses(CLIENT)
            Node.start(CLIENT)
            stack.callback(Node.stop)
            stack.callback(lambda: self.nodes.kill(*self.nodes.names))
            addresses = self.nodes.addresses
            clients = Clients(addresses, self.history, seed=self.seed)
            self.counting = Counting(addresses, seed=self.seed)
            self.loops = [clients, self.counting]
            if self.leases:
                self.loops.append(LeaseClients(addresses, self.history, seed=self.seed))
            for loops in self.loops:
                stack.callback(loops.ended.set)
            self.members = Members(self.nodes, lambda: clients.leader)
            disks = {last: small} if small is not None else {}
            luck = Random(f"{self.seed}/faults")  # noqa: S311 - drawn from a seed on purpose
            world = FaultTargets(self.nodes, proxy, clients, disks, self.members, luck)
            self.nemesis = Nemesis(
                world, self.directory / "faults.jsonl",
                now=self.history.now, only=self.plan.only, tell=self.tell,
            )  # fmt: skip
            states: States = {}
            troubles: list[str] = []
            try:
                self.form()
                self.rage()
                states = self.heal()
            except TortureFailed as failure:
                troubles.append(str(failure))
            for loops in self.loops:
                loops.ended.set()
                troubles += loops.strange
            return self.judge(states, troubles)

    def form(self) -> None:
        """Start the nodes and make them a group."""
        self.nodes.start(*self.nodes.names)
        self.wait_until_up()
        assert self.members is not None
        self.members.found()
        self.tell(f"{', '.join(self.nodes.names)} are a cluster; the clients begin")

    def rage(self) -> None:
        """Have faults and calls together, for as long as planned."""
        assert self.nemesis is not None
        for loops in self.loops:
            loops.start()
        seconds = self.plan.minutes * 60
        with self.progress(seconds):
            self.nemesis.strike_until(time.monotonic() + seconds)
        for loops in self.loops:
            loops.stop()

    @contextmanager
    def progress(self, seconds: float) -> Iterator[None]:
        """Show at a terminal how far it is."""
        columns = (BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
        with Progress(*columns, console=self.console, transient=True,
                      disable=not self.console.is_terminal) as progress:  # fmt: skip
            task = progress.add_task("", total=seconds)
            note = self.history.record
            started = time.monotonic()

            def noting(operation: Operation) -> None:
                note(operation)
                progress.update(task, completed=time.monotonic() - started,
                                description=self.counted())  # fmt: skip

            if self.console.is_terminal:
                self.history.record = noting  # type: ignore[method-assign]
            try:
                yield
            finally:
                self.history.record = note  # type: ignore[method-assign]

    def counted(self) -> str:
        counts = self.history.counts
        assert self.nemesis is not None
        return (
            f"{counts.total()} calls: {counts['ok']} ok, {counts['unknown']} unknown, "
            f"{counts['refused']} refused; {self.nemesis.counts.total()} faults"
        )

    # The end.

    def heal(self) -> States:
        """Start everything anew; see it elect, converge, and answer. Returns the replicas."""
        nodes, outcome = self.nodes, self.outcome
        self.tell("all is healed; every node is killed once more and starts anew")
        nodes.kill(*nodes.names)
        nodes.start(*nodes.names)
        self.wait_until_up()
        up_at = time.monotonic()
        assert self.members is not None
        if not self.members.take_back(SETTLE_S):
            back = f"{self.members.out} is a member again: not within {SETTLE_S:.0f} s"
            raise TortureFailed(f"{back}; the answer was {self.members.answer!r}")
        self.until("a leader is elected", LEADER_S, self.agreed_leader)
        outcome.elected_s = time.monotonic() - up_at
        self.tell(f"a leader is elected {outcome.elected_s:.1f} s after all were up")
        assert self.counting is not None
        self.counting.settle_all()
        self.tell(self.counting.described())
        limit_s = SETTLE_S + len(self.history.operations) / REPLAYED_PER_S
        outcome.entries = self.until("all have applied the same", limit_s, self.converged)
        outcome.converged_s = time.monotonic() - up_at
        self.tell(f"all have applied {outcome.entries} entries, {outcome.converged_s:.1f} s after")
        for key in self.history.used_keys():
            self.until(f"a read of {key} is answered", SETTLE_S, partial(self.read, key))
        states: States = {}
        for name in nodes.names:
            if name == nodes.witness:  # it has none
                continue
            state = nodes.state(name)
            if state is None:
                raise TortureFailed(f"node {name} does not tell its state")
            states[name] = state
        return states

    def wait_until_up(self) -> None:
        for name in self.nodes.names:
            self.until(f"node {name} is up", START_S, partial(self.is_up, name))

    def is_up(self, name: str) -> bool:
        """Whether its peer answers. Raises TortureFailed if the process has ended by itself."""
        last_line = self.nodes.last_line(name)
        if last_line is not None:
            raise TortureFailed(f"node {name} has ended by itself: {last_line}")
        return self.nodes.status(name) is not None

    def until(self, what: str, limit_s: float, seen: Callable[[], Any]) -> Any:
        """Wait until `seen` returns something true, and return that. Raises TortureFailed."""
        deadline = time.monotonic() + limit_s
        while not (found := seen()):
            if time.monotonic() > deadline:
                raise TortureFailed(f"{what}: not within {limit_s:.0f} s")
            time.sleep(PAUSE_S)
        return found

    def agreed_leader(self) -> Any:
        """Whom all name as their leader."""
        leaders = {Raft.leader(address) for address in self.nodes.addresses}
        return leaders.pop() if len(leaders) == 1 else None

    def converged(self) -> int:
        """How many entries all have applied, and committed, and stored; 0 if not the same."""
        indexes: set[int] = set()
        for name in self.nodes.names:
            status = self.nodes.status(name)
            indexes |= (
                {status["last_applied"], status["commit_index"], status["last_index"]}
                if status
                else {0, 1}
            )
        return indexes.pop() if len(indexes) == 1 else 0

    def read(self, key: str) -> bool:
        """Read a key a last time: another call of the history. Returns whether it was answered."""
        invoked = self.history.now()
        leader = self.agreed_leader() or self.nodes.addresses[0]
        answer = Raft.read(leader, ("read", key), timeout=CALL_S)
        if answer[0] != "ok":
            return False
        self.history.record(
            Operation(client=AUDITOR, key=key, kind=READ, seen=answer[1], outcome=OK,
                      invoked=invoked, completed=self.history.now())
        )  # fmt: skip
        return True

    def judge(self, states: States, troubles: list[str]) -> bool:
        """Look into everything, tell it, and return whether it passed."""
        assert self.nemesis is not None
        self.tell("checking")
        found = self.outcome.audit = audit(self.history.operations, states)
        found.troubles += troubles
        if states and self.counting is not None:
            counters = {name: state.get(COUNT, [0])[0] for name, state in states.items()}
            found.troubles += self.counting.findings(counters)
        stale = found.staleness
        self.tell(f"{stale.reads} stale reads, {stale.behind} of them behind")
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(self.nemesis.counts.items()))
        self.tell(f"faults: {kinds}")
        for finding in found.findings():
            self.tell(finding, style="red")
        if not found.passed:
            path = self.directory / "failure.html"
            title = f"Torture failed, seed {self.seed}"
            text = page(title, found.findings(), found.verdicts, self.nemesis.strikes)
            path.write_text(text, encoding="utf-8")
            self.tell(f"see {path}")
        outcome = self.outcome
        self.console.print(
            f"{self.counted()}; {found.acknowledged} acknowledged changes checked on "
            f"{len(states)} nodes, {len(found.lost)} lost; {found.keys} keys, "
            f"{found.keys - len(found.verdicts)} linearizable; elected in "
            f"{outcome.elected_s:.1f} s, converged in {outcome.converged_s:.1f} s: "
            f"{'passed' if found.passed else 'FAILED'}",
            style="bold green" if found.passed else "bold red",
        )
        return found.passed
