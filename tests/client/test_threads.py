"""Each claim of docs/threads.md."""

import asyncio
import os
import signal
import threading
import time
from typing import ClassVar

import anyio
import pytest

from raft_actors import AsyncCluster, Cluster, Raft
from raft_actors.client.async_pipeline import AsyncPending
from raft_actors.client.pipeline import Pending
from raft_actors.errors import NotApplied, OutcomeUnknown
from raft_actors.events import subscribe
from tests.counter import Counter
from tests.helpers import eventually


class Gated(Counter):
    """Waits in each command but 0 until the gate is open; notes the threads that it runs on."""

    gate = threading.Event()
    threads: ClassVar = {}

    def init(self, name):
        self.name = name
        self.note()
        return 0

    def handle_write(self, command, state):
        self.note()
        if command:
            self.gate.wait(30)
        return super().handle_write(command, state)

    def handle_read(self, query, state):
        self.note()
        return super().handle_read(query, state)

    def note(self):
        self.threads.setdefault(self.name, set()).add(threading.current_thread())


@pytest.fixture
def gated(make_peer):
    """The name of a lone peer whose commands wait; the gate is opened at the end."""
    Gated.gate.clear()
    Gated.threads.clear()
    name, _ = make_peer(Gated)
    assert Raft.set_configuration(name, [name])[0] == "ok"
    yield name
    Gated.gate.set()


# Your machine.


def test_all_methods_of_a_machine_run_on_its_peers_thread(gated, make_peer):
    other, _ = make_peer(Gated)
    Raft.set_configuration(other, [other])
    for name in (gated, other):
        for _ in range(5):
            Raft.write(name, 0)
            Raft.read(name, "any")
    (one,), (two,) = Gated.threads[gated], Gated.threads[other]
    assert len({one, two, threading.current_thread()}) == 3


def test_while_a_method_runs_other_peers_go_on(gated, make_peer):
    other, _ = make_peer(Counter)
    Raft.set_configuration(other, [other])
    assert Raft.write(gated, 1, timeout=0.05) == ("error", "timeout")
    assert Raft.write(other, 1) == 1
    assert Raft.read(gated, "any", timeout=0.05) == ("error", "timeout")


def test_a_machine_that_waits_for_its_own_group_loses_that_time_and_no_more(make_peer):
    class Selfish(Counter):
        def handle_read(self, query, state):
            return Cluster(query).write(1, timeout=0.2)

    name, _ = make_peer(Selfish)
    Raft.set_configuration(name, [name])
    answer = Raft.read(name, name)
    assert answer[0] == "error"
    assert answer[1][:2] == ("exception", "Unavailable")
    assert type(Raft.write(name, 1)) is int


# Callbacks.


def test_watchers_of_events_run_on_the_peers_thread(make_peer):
    seen = []
    unsubscribe = subscribe(lambda event: seen.append((event, threading.current_thread())))
    try:
        Gated.threads.clear()
        name, _ = make_peer(Gated)
        Raft.set_configuration(name, [name])
        eventually(lambda: any(event.peer[0] == name for event, _thread in seen))
    finally:
        unsubscribe()
    (thread,) = Gated.threads[name]
    assert {where for event, where in seen if event.peer[0] == name} == {thread}


# Handles.


def test_a_call_blocks_its_own_thread_and_no_longer_than_its_timeout(gated):
    cluster = Cluster(gated)
    cluster.write(0)
    began = time.monotonic()

    def write():
        with pytest.raises(OutcomeUnknown):
            cluster.write(1, timeout=0.3)

    stuck = threading.Thread(target=write)
    stuck.start()
    assert stuck.is_alive()
    assert cluster.status() is not None
    stuck.join(10)
    assert not stuck.is_alive()
    assert time.monotonic() - began >= 0.3


def test_a_handle_starts_no_thread_and_can_be_left_without_closing(counters):
    before = set(threading.enumerate())
    cluster = Cluster(counters[0])
    cluster.write(1)
    cluster.read("any", consistency="follower")
    with cluster.pipeline() as pipeline:
        pipeline.write(1)
    with cluster.watch_leader() as watch:
        watch.get(5)
    cluster.cast(1)
    assert set(threading.enumerate()) <= before
    cluster.close()
    with pytest.raises(NotApplied, match="closed"):
        cluster.read("any")


# Ctrl-C.


@pytest.fixture
def interrupt_soon():
    """Sends this process SIGINT as a terminal does, while the main thread waits."""
    return lambda: threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()


def test_ctrl_c_ends_the_wait_and_the_handle_can_be_used_again(gated, interrupt_soon):
    cluster = Cluster(gated, timeout=30)
    cluster.write(0)
    began = time.monotonic()
    interrupt_soon()
    with pytest.raises(KeyboardInterrupt):
        cluster.write(1)
    assert time.monotonic() - began < 20
    assert cluster._client.session.under_way == {}
    Gated.gate.set()
    assert cluster.write(1) == 2, "what was sent has happened all the same"


def test_ctrl_c_in_a_pipeline_waits_for_what_is_under_way(gated, interrupt_soon):
    cluster = Cluster(gated, timeout=30)
    cluster.write(0)
    pending = []
    threading.Timer(0.4, Gated.gate.set).start()
    interrupt_soon()

    def write_for_ever():
        with cluster.pipeline(outstanding_max=5) as pipeline:
            while True:
                pending.append(pipeline.write(1))

    with pytest.raises(KeyboardInterrupt):
        write_for_ever()
    assert 5 <= len(pending) < 100
    assert [each.result() for each in pending] == list(range(1, len(pending) + 1))


# Futures.


def test_a_pending_gives_the_same_again_and_nothing_else(counters):
    cluster = Cluster(counters[0])
    with cluster.pipeline() as pipeline:
        pending = pipeline.write(1)
    assert pending.result() == pending.result() == 1
    for kind in (Pending, AsyncPending):
        assert not hasattr(kind, "cancel")
        assert not hasattr(kind, "add_done_callback")
    assert not hasattr(Pending, "__await__")


def test_a_pending_that_failed_raises_the_same_again_and_it_does_not_grow(make_peer):
    name, _ = make_peer(Counter)

    async def lengths_of_async():
        async with AsyncCluster(name, timeout=0.05) as cluster, cluster.pipeline() as pipeline:
            read = cluster._calls.begin_read("any", None)
            pipeline._under_way.append(pending := AsyncPending(cluster._client, read))
            lengths = []
            for _ in range(3):
                with pytest.raises(NotApplied) as raised:
                    await pending
                lengths.append(len(raised.traceback))
            return lengths

    pending = Cluster(name, timeout=0.05).pipeline().read("any")
    lengths = []
    for _ in range(3):
        with pytest.raises(NotApplied) as raised:
            pending.result()
        lengths.append(len(raised.traceback))
    assert len(set(lengths)) == 1
    assert len(set(asyncio.run(lengths_of_async()))) == 1


def test_an_async_pending_is_awaited_any_number_of_times(counters):
    async def main():
        async with AsyncCluster(counters[0]) as cluster:
            async with cluster.pipeline(outstanding_max=50) as pipeline:
                pending = []
                for _ in range(200):
                    pending.append(await pipeline.write(1))
                    assert len(pipeline._under_way) <= 50
            assert [await each for each in pending] == list(range(1, 201))
            assert [await each for each in pending] == list(range(1, 201))

    asyncio.run(main())


# asyncio and anyio.


def test_it_works_under_anyio_and_a_ticking_coroutine_goes_on(gated):
    """The other claims of asyncio are tested in test_async_cluster.py."""

    async def main():
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                await anyio.sleep(0.001)
                ticks += 1

        replies = []

        async def write(cluster):
            replies.append(await cluster.write(1))

        async with AsyncCluster(gated, timeout=30) as cluster, anyio.create_task_group() as group:
            group.start_soon(tick)
            await cluster.write(0)
            with anyio.move_on_after(0.1) as scope:
                await cluster.write(1)
            assert scope.cancelled_caught
            assert cluster._calls.session.under_way == {}
            async with anyio.create_task_group() as writers:
                for _ in range(100):
                    writers.start_soon(write, cluster)
                before = ticks
                while ticks < before + 50:
                    await anyio.sleep(0.001)
                assert replies == []
                Gated.gate.set()
            assert sorted(replies) == list(range(2, 102)), "the cancelled one has happened too"
            assert await cluster.read("any", consistency="follower") == 101
            with anyio.fail_after(10):
                async with cluster.watch_leader() as watch:
                    async for leadership in watch:
                        if leadership.ready:
                            break
            workers = [t for t in threading.enumerate() if t.name.startswith("async-cluster")]
            assert len(workers) <= 16
            group.cancel_scope.cancel()

    anyio.run(main, backend="asyncio")
