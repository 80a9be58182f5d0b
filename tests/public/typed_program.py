"""A program of a user's, for type checkers: what each public call gives.

mypy --strict and pyright check it in `.ci/run`; `test_typed_program.py` runs what needs no network.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Literal, assert_type

from pykka import ActorProxy

from raft_actors import (
    AsyncCluster,
    Awaited,
    Cluster,
    Config,
    LeaderSupervisor,
    Meta,
    Node,
    Raft,
    Replicated,
    StateMachine,
    Supervisor,
    query,
    update,
)
from raft_actors.client.answers import Answer, Done, Reason
from raft_actors.client.views import ConfigurationView, Entry, Status
from supervision import ChildSpec, Process, ProcessRef, Timer, TimerHandle, current, timer

Address = tuple[str, str]
Command = tuple[Literal["add"], int]


class Sum(StateMachine[int, Command, int]):
    def init(self, name: str) -> int:
        return 0

    def handle_write(self, command: Command, state: int) -> tuple[int, int]:
        assert_type(self.meta, Meta)
        return state + command[1], state + command[1]

    def handle_read(self, query: None, state: int) -> int:
        return state


class Untyped(StateMachine):
    """Without the three types: the state is Any."""

    def init(self, name: str) -> dict[str, int]:
        return {}


class Counter(Replicated):
    def __init__(self) -> None:
        self.value = 0

    @update
    def add(self, n: int) -> int:
        self.value += n
        return self.value

    @query
    def texts(self, prefix: str = "") -> list[str]:
        return [f"{prefix}{self.value}"]


class AsyncCounter(Awaited, Counter):
    pass


def use_raft(leader: Address) -> None:
    assert_type(Raft.status(leader), Answer[Status])
    assert_type(Raft.leader(leader), Address | None)
    assert_type(Raft.stop(leader), Done)
    assert_type(Raft.leave(leader), Done)
    assert_type(Raft.set_configuration(leader, [leader]), Answer[ConfigurationView])
    assert_type(Raft.add_peer(leader, "b"), Answer[ConfigurationView])
    assert_type(Raft.remove_peer(leader, "b"), Answer[ConfigurationView])
    assert_type(Raft.replace_peer(leader, "b", "c"), Answer[ConfigurationView])
    assert_type(Raft.promote(leader, "b"), Answer[ConfigurationView])
    assert_type(Raft.demote(leader, "b"), Answer[ConfigurationView])
    assert_type(Raft.cancel_change(leader), Answer[ConfigurationView])
    assert_type(Raft.transfer_leadership(leader), Answer[Address])
    assert_type(Raft.snapshot(leader), Answer[int])
    assert_type(Raft.backup(leader, "a.backup"), Answer[int])
    assert_type(Raft.reseed(leader), Answer[int])
    assert_type(Raft.get_entry(leader, 1), Answer[Entry])
    assert_type(Raft.test_cluster(Sum), tuple[Address, ...])
    match Raft.start_peer(Counter, name="counter", config=Config(log_store="memory")):
        case ("ok", proxy):
            assert_type(proxy, ActorProxy[Any])
        case ("error", reason):
            print(reason)


def look_at_status(leader: Address) -> str:
    match Raft.status(leader):
        case ("ok", status):
            assert_type(status, Status)
            assert_type(status["current_term"], int)
            assert_type(status["leader"], Address | None)
            assert_type(status["configuration"]["members"], list[Address])
            assert_type(status["incarnations"], dict[Address, int])
            return status["current_state"]
        case ("error", ("redirect", other)):
            assert_type(other, Address | None)
            return "elsewhere"
        case ("error", ("peers_not_responding", peers)):
            assert_type(peers, list[Address])
            return "silent"
        case ("error", ("no_group", text)):
            assert_type(text, str)
            return text
        case ("error", reason):
            return str(reason)


def entry_of(leader: Address) -> int:
    answer = Raft.get_entry(leader, 1)
    if answer[0] == "ok":
        assert_type(answer[1], Entry)
        return answer[1]["index"]
    assert_type(answer[1], Reason)
    return 0


def use_cluster(cluster: Cluster) -> None:
    assert_type(cluster.leader, Address | None)
    assert_type(cluster.members, list[Address])
    assert_type(cluster.token, int)
    assert_type(cluster.barrier(), int)
    assert_type(cluster.await_leader(), Address)
    assert_type(cluster.status(), dict[Address, Status | None])
    assert_type(Cluster.connect("10.0.0.1:4001", peer="a"), Cluster)
    with cluster.watch_leader() as watch:
        leadership = watch.get()
        assert_type(leadership.leader, Address | None)
        assert_type(leadership.term, int)
    with cluster.watch_topics("price") as changes:
        assert_type(changes.get().topics, tuple[str, ...] | None)
    with cluster.pipeline() as pipeline:
        pipeline.write(("add", 1)).result()


def use_counter(cluster: Cluster) -> int:
    counter = Counter.at(cluster, timeout=5.0)
    assert_type(counter, Counter)
    assert_type(counter.add(2), int)
    assert_type(counter.texts(prefix="n"), list[str])
    return counter.add(1)


async def use_async(members: list[Address]) -> int:
    async with AsyncCluster(members) as cluster:
        assert_type(cluster, AsyncCluster)
        assert_type(await cluster.barrier(), int)
        assert_type(await cluster.await_leader(), Address)
        assert_type(await cluster.status(), dict[Address, Status | None])
        counter = AsyncCounter.at(cluster)
        assert_type(counter, AsyncCounter)
        return await counter.add(2)


class Worker(Process):
    def init(self, *, term: Any) -> None:
        assert_type(self.actor_ref.is_alive(), bool)


class Tree(Supervisor):
    def init(self) -> Any:
        assert_type(Sum.child_spec(name="sum"), ChildSpec)
        assert_type(Counter.child_spec(name="counter"), ChildSpec)
        return Supervisor.init([(Sum, {"name": "sum"}), Worker], strategy="one_for_all")


def use_supervisors(tree: ProcessRef[Tree]) -> None:
    assert_type(Worker.start(term=None), ProcessRef[Worker])
    match Tree.start_link():
        case ("ok", started):
            assert_type(started, ProcessRef[Tree])
        case "ignore" | ("error", _):
            return
    stopped = Supervisor.terminate_child(tree, "worker")
    assert_type(stopped, Literal["ok"] | tuple[Literal["error"], Literal["not_found"]])
    match Supervisor.get_childspec(tree, "worker"):
        case ("ok", spec):
            assert_type(spec, ChildSpec)
        case ("error", why):
            assert_type(why, Literal["not_found"])
    assert_type(Supervisor.count_children(tree), dict[str, int])
    assert_type(LeaderSupervisor.token(tree), int | None)
    assert_type(Worker.child_spec(), ChildSpec)
    assert_type(current(), ProcessRef[Any] | None)
    assert_type(timer, Timer)
    assert_type(timer.send_after(1.0, tree, "tick"), TimerHandle)


def use_node() -> None:
    assert_type(Node.self(), str)
    assert_type(Node.list(), list[str])
    assert_type(Node.connect("b@host"), bool)
    assert_type(Node.monitor(print), Callable[[], None])


def main() -> tuple[int, int]:
    """Run the parts that need nothing but this process."""
    members = Raft.test_cluster(Counter)
    cluster = Cluster(members)
    by_calls = use_counter(cluster)
    assert look_at_status(cluster.await_leader()) == "leader"
    assert entry_of(members[0]) == 1
    by_awaits = asyncio.run(use_async([*members]))
    cluster.close()
    for member in members:
        assert Raft.stop(member) == "ok"
    return by_calls, by_awaits
