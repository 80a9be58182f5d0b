"""What idle watches cost, how soon watches see a change, and what becomes of a flood of calls.

python -m benchmarks.watches
python -m benchmarks.watches --seconds 130    each idle call is answered twice
"""

import asyncio
import logging
import os
import threading
import time
from contextlib import suppress
from functools import partial
from statistics import median
from typing import Annotated, Any

import psutil
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.spent import spent
from raft_actors import AsyncCluster, Raft, Supervisor, encoding
from raft_actors.client.async_watch import AsyncWatch
from raft_actors.effects import Notify
from raft_actors.peer.peers import peers_here
from raft_actors.replica.questions import Applied
from raft_actors.replica.requests import PARK
from raft_actors.tools.bench.map_machine import Map, end_with_parent
from raft_actors.tools.bench.trio import NAMES, Trio
from raft_actors.tools.node_processes import PEER

console = Console()
NEVER = 1 << 40
LOOK_S = 0.05
BURST = 1_000


class Announced(Map):
    """A map that publishes the key of each command."""

    def handle_write(self, command: Any, state: dict[str, Any]) -> Any:
        reply, state = super().handle_write(command, state)
        return reply, state, [Notify(command[1])]


def start() -> Any:
    """Start the tree of a node."""
    threading.Thread(target=end_with_parent, name="parent", daemon=True).start()
    return Supervisor.start_link([(Announced, {"name": PEER})], strategy="one_for_one")


def main(
    watches: Annotated[int, typer.Option(help="How many of each kind.")] = 1_000,
    seconds: Annotated[float, typer.Option(help="How long nothing changes.")] = 65.0,
    changes: Annotated[int, typer.Option(help="How many changes are seen by all.")] = 20,
    flood: Annotated[int, typer.Option(help="Calls that one client parks.")] = 100_000,
) -> None:
    """Print what was measured."""
    logging.disable(logging.WARNING)
    with Trio("benchmarks.watches:start") as trio:
        idle = Table(title=f"idle for {seconds:g} s; percent of one processor")
        for heading in ("watches", "a member", "the client", "calls at a member"):
            idle.add_column(heading, justify="right")
        seen = Table(title="ms from the beginning of a change; medians")
        for heading in ("change", "watches", "acknowledged", "first seen", "seen by all"):
            seen.add_column(heading, justify="right")
        asyncio.run(measure(trio, watches, seconds, changes, idle, seen))
        console.print(idle, seen)
        flooded(trio, flood)


async def measure(
    trio: Trio, count: int, seconds: float, changes: int, idle: Table, seen: Table
) -> None:
    cluster = AsyncCluster(trio.nodes.addresses, timeout=60.0)
    await rest(trio, "none", [], seconds, idle)
    await rest(trio, f"{count:,} of the leader", leader_watches(cluster, count), seconds, idle)
    await rest(trio, f"{count:,} of a topic", topic_watches(cluster, count), seconds, idle)
    for number in (1, count):
        readers = Readers(topic_watches(cluster, number))
        await readers.begin(trio)
        times = [await change(readers, cluster.write(("set", "key", n))) for n in range(changes)]
        await readers.end()
        seen.add_row("a write", f"{number:,}", *in_ms(times))
    readers = Readers(leader_watches(cluster, count))
    await readers.begin(trio)
    times = []
    for _ in range(max(1, changes // 5)):
        leader = await cluster.await_leader()
        transfer = asyncio.to_thread(Raft.transfer_leadership, leader)
        times.append(await change(readers, transfer))
        await asyncio.sleep(1.0)
    await readers.end()
    seen.add_row("a transfer", f"{count:,}", *in_ms(times))
    cluster.close()


def leader_watches(cluster: AsyncCluster, count: int) -> list[AsyncWatch[Any]]:
    return [cluster.watch_leader() for _ in range(count)]


def topic_watches(cluster: AsyncCluster, count: int) -> list[AsyncWatch[Any]]:
    return [cluster.watch_topics("key") for _ in range(count)]


class Readers:
    """A task for each watch. It notes when news have come."""

    def __init__(self, watches: list[AsyncWatch[Any]]) -> None:
        self.watches = watches
        self.seen: list[float] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def begin(self, trio: Trio) -> None:
        """Begin to read, and wait until all calls are parked."""
        self.tasks = [asyncio.create_task(self.read(watch)) for watch in self.watches]
        calls, before = 0, -1
        while calls < len(self.watches) or calls != before:
            await asyncio.sleep(LOOK_S)
            calls, before = sum(await asyncio.to_thread(parked, trio)), calls

    async def read(self, watch: AsyncWatch[Any]) -> None:
        async for _news in watch:
            self.seen.append(time.perf_counter())

    async def end(self) -> None:
        for watch in self.watches:
            watch.close()
        await asyncio.gather(*self.tasks)


def parked(trio: Trio) -> list[int]:
    """Return how many calls are parked at each member."""
    statuses = map(trio.nodes.status, NAMES)
    return [0 if status is None else status["parked"] for status in statuses]


async def rest(
    trio: Trio, what: str, watches: list[AsyncWatch[Any]], seconds: float, table: Table
) -> None:
    """Measure what everybody uses while nothing changes."""
    readers = Readers(watches)
    await readers.begin(trio)
    pids = [trio.pid(name) for name in NAMES]
    before, own = spent(*pids), spent(os.getpid())
    await asyncio.sleep(seconds)
    used, client = (spent(*pids) - before).processor_s / 3, spent(os.getpid()) - own
    calls = await asyncio.to_thread(parked, trio)
    table.add_row(
        what, f"{used / seconds * 100:.2f}", f"{client.processor_s / seconds * 100:.2f}",
        f"{sum(calls) / 3:.0f}",
    )  # fmt: skip
    await readers.end()


async def change(readers: Readers, work: Any) -> tuple[float, float, float]:
    """Return the seconds until the work is acknowledged, first seen, and seen by all."""
    readers.seen.clear()
    began = time.perf_counter()
    await work
    acknowledged = time.perf_counter()
    while len(readers.seen) < len(readers.watches):
        await asyncio.sleep(0.001)
    seen = readers.seen[: len(readers.watches)]
    return acknowledged - began, min(seen) - began, max(seen) - began


def in_ms(times: list[tuple[float, float, float]]) -> list[str]:
    return [f"{median(each) * 1e3:.2f}" for each in zip(*times, strict=True)]


def flooded(trio: Trio, count: int) -> None:
    """Park very many calls at one member, and look at its memory and at what others get."""
    name = NAMES[0]
    member, process = trio.nodes.address(name), psutil.Process(trio.pid(name))
    router = peers_here().router
    before, began = process.memory_info().rss, time.perf_counter()
    payload = encoding.dumps(Applied(NEVER).encodable())
    answers: list[bytes] = []
    calls = []
    for number in range(count):
        call = router.request(member, [PARK, member[0], payload, 0, number], flush=False)
        call.add_done_callback(partial(note, answers))
        calls.append(call)
        if number % BURST == 0:
            router.flush()
            while number - len(answers) > 10 * BURST:
                time.sleep(0.001)
    router.flush()
    status = trio.nodes.status(name)
    assert status is not None
    while status["parked"] + len(answers) < count:
        time.sleep(LOOK_S)
        status = trio.nodes.status(name)
        assert status is not None
    took = time.perf_counter() - began
    more = (process.memory_info().rss - before) / 2**20
    console.print(
        f"a flood of {count:,} calls in {took:.1f} s: {status['parked']:,} are open, "
        f"{len(answers):,} were refused; the member's memory has grown by {more:.1f} MiB"
    )
    assert set(answers) <= {encoding.dumps(("error", "overloaded"))}
    trio.cluster.write(("set", "after", "the flood"))
    for call in calls:
        call.abandon()


def note(answers: list[bytes], call: Any) -> None:
    with suppress(TimeoutError):  # it was abandoned in the end
        answers.append(call.get(0))


if __name__ == "__main__":
    typer.run(main)
