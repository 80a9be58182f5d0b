"""The handle for asyncio: 1,000 tasks at once, and a loop that goes on ticking.

Planted once, and seen to go red: a write that waits for its reply on the loop.
"""

import asyncio
import math
import threading
from functools import partial

import pytest

from raft_actors import AsyncCluster, Raft
from raft_actors.client.call import Call
from raft_actors.client.leader_finder import LeaderFinder
from raft_actors.client.retrying_client import RetryingClient
from raft_actors.client.session import SPAN, ClientSession
from raft_actors.errors import NoConnection, NoLeader, NotApplied, Unavailable
from raft_actors.future import Future
from raft_actors.peer.router import Router
from raft_actors.replica.requests import WRITE
from tests.counter import Counter


def test_a_thousand_tasks_write_through_a_leader_change_and_each_command_runs_once(counters):
    names, leader = counters

    async def main():
        async with AsyncCluster(names, timeout=30) as cluster:
            await cluster.write(0)
            writes = [asyncio.ensure_future(cluster.write(1)) for _ in range(1_000)]
            await asyncio.gather(*writes[:100])
            await asyncio.to_thread(Raft.stop, leader)
            replies = [*await asyncio.gather(*writes)]
            replies += await asyncio.gather(*(cluster.write(1) for _ in range(500)))
            assert sorted(replies) == list(range(1, 1_501))
            assert await cluster.read("any") == 1_500
            assert cluster.leader == await cluster.await_leader() != leader
            index = await cluster.barrier()
            await cluster.await_applied(index, at=cluster.leader)
            assert (await cluster.status())[cluster.leader]["last_applied"] >= index

    asyncio.run(main())


def test_a_system_without_a_thread_left_is_told_in_words_and_asked_again(counters, monkeypatch):
    """Planted: what the executor raises comes to the task, and none of it is a RaftError."""

    def refuse(_thread):
        raise RuntimeError("can't start new thread")

    async def main():
        async with AsyncCluster(counters[0], timeout=30) as cluster:
            with monkeypatch.context() as patch:
                patch.setattr(threading.Thread, "start", refuse)
                with pytest.raises(Unavailable, match="can't start new thread"):
                    await cluster.status()
                assert await cluster.write(1) == 1, "only a status needs a thread"
                await cluster.await_applied(1)
            assert await cluster.status()

    asyncio.run(main())


class Gated(Counter):
    gate = threading.Event()

    def handle_write(self, command, state):
        if command:
            self.gate.wait(30)
        return super().handle_write(command, state)


def test_the_loop_ticks_on_while_writes_wait(make_peer):
    name, _ = make_peer(Gated)
    Raft.set_configuration(name, [name])
    Gated.gate.clear()

    async def main():
        async with AsyncCluster(name, timeout=30) as cluster:
            await cluster.write(0)
            writes = [asyncio.ensure_future(cluster.write(1)) for _ in range(1_000)]
            for _ in range(200):  # only these open the gate: a loop that is held up never does
                await asyncio.sleep(0.001)
            assert not any(write.done() for write in writes)
            Gated.gate.set()
            assert sorted(await asyncio.gather(*writes)) == list(range(1, 1_001))

    try:
        asyncio.run(main())
    finally:
        Gated.gate.set()


def test_one_that_is_long_under_way_is_no_reason_to_wait_on_the_loop():
    """Planted: count those under way; or look at the newest of them, and not of all."""
    session = ClientSession(1)
    straggler = Call(WRITE, b"", deadline=0.0)
    assert session.has_free_sequence()
    session.next(straggler)
    for _ in range(SPAN * 3 // 4):
        session.under_way.pop(session.next(straggler)[1])
    assert not session.has_free_sequence()


def test_cancelled_writes_hold_up_nobody(make_peer):
    name, _ = make_peer(Gated)
    Raft.set_configuration(name, [name])
    Gated.gate.clear()

    async def main():
        async with AsyncCluster(name, timeout=30) as cluster:
            await cluster.write(0)
            write = asyncio.ensure_future(cluster.write(1))
            await asyncio.sleep(0)
            write.cancel()
            with pytest.raises(asyncio.CancelledError):
                await write
            assert cluster._calls.session.under_way == {}
            Gated.gate.set()
            assert await cluster.write(1) == 2

    try:
        asyncio.run(main())
    finally:
        Gated.gate.set()


def test_it_raises_as_the_other_handle_does(make_peer):
    name, _ = make_peer(Counter)

    async def main():
        cluster = AsyncCluster(name, timeout=1.0)
        with pytest.raises(NoLeader):
            await cluster.write(1)
        cluster.close()
        for call in (
            cluster.write(1), cluster.read("any"), cluster.cast(1), cluster.barrier(),
            cluster.outcome((1, 1)), cluster.pipeline().write(1),
        ):  # fmt: skip
            with pytest.raises(NotApplied, match="closed"):
                await call

    asyncio.run(main())


def test_what_is_under_way_when_it_is_closed_ends_by_itself(counters, monkeypatch):
    """Also a write whose first attempt was not enough, and one that nobody awaited yet."""
    names, _leader = counters

    async def main():
        cluster = AsyncCluster(names, timeout=30)
        await cluster.write(0)
        pending = await cluster.pipeline().write(1)
        with monkeypatch.context() as patch:
            patch.setattr(Router, "request", lambda *_, **__: lost())
            other = await cluster.pipeline().write(1)
        cluster.close()
        assert sorted([await pending, await other]) == [1, 2]

    asyncio.run(main())


def test_a_leader_or_session_lost_right_after_a_look_is_not_waited_for_on_the_loop(
    counters, monkeypatch
):
    """Planted: begin looks once more, or sent does, and finds the new one by waiting."""
    loop_thread = threading.current_thread()
    ask, deadline = RetryingClient.ask, RetryingClient.deadline
    find, open_session = LeaderFinder.find, RetryingClient.open_session

    def aside(function):
        def checked(*arguments):
            assert threading.current_thread() is not loop_thread
            return function(*arguments)

        return checked

    def lose_the_leader(client, call, target):
        client.finder.leader = None
        return ask(client, call, target)

    def lose_the_session(client, timeout):
        client.session = None
        return deadline(client, timeout)

    async def main():
        async with AsyncCluster(counters[0], timeout=30) as cluster:
            await cluster.write(0)
            monkeypatch.setattr(RetryingClient, "ask", lose_the_leader)
            monkeypatch.setattr(RetryingClient, "deadline", lose_the_session)
            monkeypatch.setattr(LeaderFinder, "find", aside(find))
            monkeypatch.setattr(RetryingClient, "open_session", aside(open_session))
            for number in range(1, 4):
                assert await cluster.write(1) == number
                await cluster.await_leader()
                assert await cluster.read("any") == number

    asyncio.run(main())


def test_a_cancelled_write_that_finds_no_leader_is_given_up(counters, monkeypatch):
    """Whatever its timeout is. Planted: the search goes on, and the sequence stays taken."""

    async def main():
        async with AsyncCluster(counters[0], timeout=math.inf) as cluster:
            await cluster.write(0)
            monkeypatch.setattr(Router, "request", lambda *_, **__: lost())
            searches = asyncio.Event()
            begin = LeaderFinder.begin_search

            def begun(*arguments):
                searches.set()
                return begin(*arguments)

            monkeypatch.setattr(LeaderFinder, "begin_search", begun)
            write = asyncio.ensure_future(cluster.write(1))
            await asyncio.wait_for(searches.wait(), 10)
            write.cancel()
            with pytest.raises(asyncio.CancelledError):
                await write
            while cluster._calls.session.under_way:
                await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(main(), 20))


def test_a_write_of_a_pipeline_can_be_awaited_again_after_a_wait_that_was_cancelled(
    counters, monkeypatch
):
    """Also where its first attempt had failed. Planted: the cancelled wait gives it up."""

    async def main():
        async with AsyncCluster(counters[0], timeout=30) as cluster:
            await cluster.write(0)
            with monkeypatch.context() as patch:
                patch.setattr(Router, "request", lambda *_, **__: lost())
                pending = await cluster.pipeline().write(1)
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(pending, 0.1)
            assert await pending == 1

    asyncio.run(main())


def test_a_write_of_a_pipeline_that_failed_and_was_dropped_holds_up_nobody(counters, monkeypatch):
    async def main():
        async with AsyncCluster(counters[0], timeout=math.inf) as cluster:
            await cluster.write(0)
            monkeypatch.setattr(Router, "request", lambda *_, **__: lost())
            await cluster.pipeline().write(1)
            assert cluster._calls.session.under_way == {}

    asyncio.run(main())


def test_a_thousand_tasks_whose_first_attempt_is_never_answered_are_all_sent_again(
    counters, monkeypatch
):
    """A leader that was cut off answers nobody. Planted: threads wait the attempts out, 16 at once;
    commands that wait for room in the session keep those before them from being sent again.
    """
    request, tried = Router.request, set()

    def unanswered_once(peers, address, body, **how):
        operation, _name, payload, *request_id = body
        if operation == WRITE and payload and tuple(request_id) not in tried:
            tried.add(tuple(request_id))
            return Future()
        return request(peers, address, body, **how)

    async def main():
        async with AsyncCluster(counters[0], timeout=20) as cluster:
            await cluster.write(0)
            with monkeypatch.context() as patch:
                patch.setattr(Router, "request", unanswered_once)
                replies = await asyncio.gather(*(cluster.write(1) for _ in range(2_000)))
            assert sorted(replies) == list(range(1, 2_001))

    asyncio.run(main())


def test_a_call_ends_at_its_own_deadline_however_many_wait_for_longer(make_peer):
    name, _ = make_peer(Counter)

    async def main():
        async with AsyncCluster(name, timeout=60) as cluster:
            waiting = [asyncio.ensure_future(cluster.read("any")) for _ in range(50)]
            waiting += [asyncio.ensure_future(cluster.write(1)) for _ in range(50)]
            for call in cluster.read, cluster.write, cluster.cast:
                with pytest.raises(NotApplied):
                    await call(1, timeout=0.1)
            assert not any(each.done() for each in waiting)
            Raft.set_configuration(name, [name])
            await asyncio.gather(*waiting)

    asyncio.run(main())


def test_calls_that_were_cancelled_keep_no_thread_from_the_others(make_peer):
    """Planted: they wait for a leader on threads, until deadlines that may never come."""
    name, _ = make_peer(Counter)

    async def main():
        async with AsyncCluster(name, timeout=math.inf) as cluster:
            for call in cluster.await_leader, cluster.barrier, partial(cluster.await_applied, 1):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(asyncio.gather(*(call() for _ in range(20))), 0.2)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(cluster.read("any"), 0.2)
            assert [*(await cluster.status()).values()]

    asyncio.run(asyncio.wait_for(main(), 20))


def test_a_handle_goes_on_in_a_second_loop(make_peer):
    """Planted: a search that the first loop has left behind."""
    name, _ = make_peer(Counter)
    cluster = AsyncCluster(name, timeout=30)

    async def cut_off():
        await asyncio.wait_for(asyncio.gather(cluster.barrier(), cluster.read("any")), 0.1)

    with pytest.raises(TimeoutError):
        asyncio.run(cut_off())
    Raft.set_configuration(name, [name])

    async def main():
        return await asyncio.gather(*(cluster.write(1) for _ in range(2)))

    assert sorted(asyncio.run(main())) == [1, 2]
    cluster.close()


def lost():
    """Return the future of a request whose answer can't come any more."""
    future = Future()
    future.set_exception(NoConnection("gone", was_sent=False))
    return future
