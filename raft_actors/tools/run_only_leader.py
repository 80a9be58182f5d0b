"""RunOnlyLeader: `raft-actors run --only-leader`, a program that runs where a group leads.

Each member of the group is a process of this command. The program runs as a child of one of them:
the one whose peer leads.
"""

import os
import shutil
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from signal import SIGINT, SIGUSR1, SIGUSR2
from typing import Any, Literal

from raft_actors import LeaderSupervisor, Program, Raft
from raft_actors.kv_store import KVStore
from raft_actors.names import Address
from raft_actors.node.host_name import node_name
from raft_actors.peer.peers import peers_here
from raft_actors.tools.ending import Ending
from raft_actors.tools.launch import (
    CannotLaunch,
    Launched,
    LaunchPlan,
    end_at_the_next,
    end_signals,
    launch,
)
from supervision import Backoff

__all__ = ["RESTARTS", "RunPlan", "run_only_leader"]

PEER = "run"
"""The peer that is started if no module starts one."""
NO_PROGRAM = 127
"""As shells and `env` answer for a program that is not there."""
SIGNALED = 128
RESTARTS: dict[str, Literal["permanent", "transient", "temporary"]] = {
    "always": "permanent", "on-failure": "transient", "never": "temporary",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """What to run.

    launch   the node, and the module that starts its tree, if there is one
    command  the program and its arguments
    peer     the peer that is to lead; None: the only one of the module, or PEER
    members  the nodes whose peers are the group, if no module starts the peer
    restart  a key of RESTARTS
    """

    launch: LaunchPlan
    command: tuple[str, ...]
    peer: str | None = None
    members: tuple[str, ...] = ()
    hand_over: float = 5.0
    stop_within: float | None = None
    shutdown: float = 5.0
    restart: str = "always"


class Outcome:
    """How the command ends: told by a signal, or because something has ended by itself."""

    def __init__(self) -> None:
        self.over: Ending = Ending()
        self.status: int = 0
        self.why: str = ""

    def end(self, status: int, why: str) -> None:
        if not self.why:
            self.status, self.why = status, why
            self.over.end()


def run_only_leader(plan: RunPlan) -> int:
    """Run the program wherever the peer of this node leads, until SIGTERM, SIGINT or SIGHUP.

    The program gets SIGUSR1 and SIGUSR2 that this process gets. Returns the exit status: 0 when
    told to stop; that of the program, if it has ended and is not to be started again; 1 if a tree
    gave up.
    """
    if shutil.which(plan.command[0]) is None:
        raise CannotLaunch(f"no program {plan.command[0]!r} in PATH", status=NO_PROGRAM)
    outcome = Outcome()

    def program_ended(status: int | None) -> None:
        if status is None or plan.restart == "always" or (plan.restart != "never" and status):
            return
        outcome.end(status if status >= 0 else SIGNALED - status, f"{plan.command[0]} has ended")

    program = Program(
        plan.command, shutdown=plan.shutdown, restart=RESTARTS[plan.restart], ended=program_ended
    )

    def on_signal(number: int, _frame: Any) -> None:
        outcome.end(0, f"signal {number}")
        end_at_the_next(before)

    ends = (*end_signals(), SIGINT)
    before = {number: signal.signal(number, on_signal) for number in ends}
    passed_on = {
        number: signal.signal(number, lambda number, _frame: program.send_signal(number))
        for number in (SIGUSR1, SIGUSR2)
    }
    try:
        with launch(plan.launch) as launched:
            supervisor = start(plan, launched, program)
            say(f"{launched.node} is up, pid {os.getpid()}")
            for ended in (launched.watch_tree, supervisor.watch):
                ended(lambda reason: outcome.end(1, f"the supervision tree ended: {reason!r}"))
            outcome.over.wait()
            say(f"{launched.node} stops: {outcome.why}")
    finally:
        for number, handler in (before | passed_on).items():
            signal.signal(number, handler)
    return outcome.status


def start(plan: RunPlan, launched: Launched, program: Program) -> Any:
    """Start the peer, if no module has started it, and the supervisor of the program."""
    peer = peer_of(plan)
    if launched.module is None and launched.tree is None:
        start_peer(peer, plan.members, launched.node)
    answer = LeaderSupervisor.start_link(
        [program], of=peer, hand_over=plan.hand_over, stop_within=plan.stop_within,
        backoff=Backoff(),
    )  # fmt: skip
    match answer:
        case ("ok", supervisor):
            return supervisor
        case (_error, reason):
            raise CannotLaunch(f"the program can't be supervised: {reason!r}", status=2)


def peer_of(plan: RunPlan) -> str:
    """Return the name of the peer whose leadership counts."""
    if plan.peer is not None:
        return plan.peer
    if plan.launch.module is None and plan.launch.start is None:
        return PEER
    match peers_here().names():
        case [peer]:
            return peer
        case peers:
            found = ", ".join(peers) or "none"
            raise CannotLaunch(f"--peer must say which peer is to lead: {found}", status=2)


def start_peer(peer: str, members: tuple[str, ...], node: str) -> None:
    nodes = [name if "@" in name else node_name(name) for name in members]
    if node not in nodes:
        raise CannotLaunch(
            f"this node, {node}, must be one of --members, as at each other member; they are "
            f"{', '.join(nodes) or 'not given'}",
            status=2,
        )
    addresses: list[Address] = [(peer, name) for name in nodes]
    answer = Raft.start_peer(KVStore, name=peer, members=addresses)
    if answer[0] == "error":
        raise CannotLaunch(f"peer {peer} did not start: {answer[1]!r}", status=1)


def say(text: str) -> None:
    """Write to stderr: stdout is the program's."""
    with suppress(OSError):  # the terminal may be what is gone
        print(f"raft-actors: {text}", file=sys.stderr, flush=True)
