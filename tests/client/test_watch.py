"""Watches of who leads: the latest value, ready only when it is, on the reader's own thread."""

import asyncio
import threading
import time

import pytest

from raft_actors import AsyncCluster, Cluster, Raft
from raft_actors.client.leader_watch import Leadership, Observer
from raft_actors.client.parking import Parking
from raft_actors.core.server import Server
from raft_actors.errors import NoConnection, RaftError
from raft_actors.peer.router import Router
from raft_actors.replica.parked_calls import PARKED_S
from raft_actors.replica.questions import Leading
from tests.client.pretend_members import A, B, C, Group
from tests.helpers import eventually


def test_a_watch_tells_of_each_leader_and_its_term(counters):
    names, leader = counters
    with Cluster(names) as cluster, cluster.watch_leader() as watch:
        first = watch.get(10)
        while not first.ready:
            first = watch.get(10)
        assert first == Leadership(leader, first.term, True)
        with pytest.raises(TimeoutError):
            watch.get(0.1)
        Raft.stop(leader)
        seen = [watch.get(10)]
        while not seen[-1].ready:
            seen.append(watch.get(10))
        assert seen[-1].leader != leader
        assert seen[-1].term > first.term
        told = [each.term for each in seen]
        assert told == sorted(told)


def test_a_slow_reader_hears_the_latest_and_not_what_has_passed(counters):
    names, leader = counters
    with Cluster(names) as cluster, cluster.watch_leader() as watch:
        watch.get(10)
        others = [name for name in names if name != leader[0]]
        for target in (*others, leader[0], *others):
            current = cluster.await_leader()
            answer = Raft.transfer_leadership(current, target)
            assert answer[0] == "ok", answer
        new = cluster.await_leader()
        latest = watch.get(10)
        while not latest.ready:
            latest = watch.get(10)
        assert latest.leader == new
        with pytest.raises(TimeoutError):
            watch.get(0.15)


def test_the_reader_runs_on_its_own_thread_and_close_lets_it_go(counters):
    names, _leader = counters
    cluster = Cluster(names)
    watch = cluster.watch_leader()
    seen = []

    def read():
        seen.extend((leadership, threading.current_thread().name) for leadership in watch)

    reader = threading.Thread(target=read, name="reader")
    reader.start()
    while not seen:
        assert reader.is_alive()
    watch.close()
    reader.join(5)
    assert not reader.is_alive()
    assert {thread for _leadership, thread in seen} == {"reader"}
    with pytest.raises(RaftError, match="closed"):
        watch.get()


def test_a_leader_is_ready_only_once_its_terms_first_entry_has_committed(counters, monkeypatch):
    """What the members say is pretended: a real leader is unready for a millisecond."""
    names, leader = counters
    with Cluster(names) as cluster, cluster.watch_leader() as watch:
        monkeypatch.setattr(Server, "knows_a_ready_leader", lambda _server: False)
        seen = watch.get(10)
        assert (seen.leader, seen.ready) == (leader, False)
        monkeypatch.undo()
        assert watch.get(10).ready


def test_the_handle_for_asyncio_has_an_asynchronous_iterator(counters):
    names, leader = counters

    async def main():
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                await asyncio.sleep(0.001)
                ticks += 1

        ticking = asyncio.ensure_future(tick())
        async with AsyncCluster(names) as cluster, cluster.watch_leader() as watch:
            seen = []
            async for leadership in watch:
                seen.append(leadership)
                if leadership.ready and leadership.leader == leader:
                    await asyncio.to_thread(Raft.stop, leader)
                elif leadership.ready:
                    break
            before = ticks
            waiting = asyncio.ensure_future(anext(watch, None))
            while ticks < before + 20:
                await asyncio.sleep(0.01)
            assert not waiting.done(), "it keeps the loop while it waits"
            watch.close()
            assert await waiting is None
        ticking.cancel()
        assert seen[-1].leader != leader

    asyncio.run(main())


# What the members say is put together.


def view(term, leader, ready=True, index=0):
    configuration = {"index": index, "members": []}
    return {
        "current_term": term, "leader": leader, "ready": ready, "configuration": configuration,
        "current_state": "follower",
    }  # fmt: skip


class Watching:
    """An observer of members, on a clock of its own."""

    def __init__(self, *members):
        self.group = Group(*members)
        self.observer = Observer(self.group, Parking(self.group))
        self.now = time.monotonic()
        self.observer.begin(self.now)
        self.look()

    def look(self):
        parking = self.observer.parking
        while (parked := parking.next_now()) is not None:
            parked.owner.take(parked, self.now)
        self.look_at = self.observer.work(self.now)
        return self.observer.result(self.now)

    def hears(self, **views):
        """Have members answer, each by its letter; return the news for the reader."""
        for name, answer in views.items():
            member = (name, f"{name}@one")
            self.group.answer(member, ("ok", answer) if type(answer) is dict else answer)
        return self.look()


def test_the_newest_term_counts_and_never_falls():
    watching = Watching(A, B)
    assert watching.hears(a=view(3, A)) is None, "b may answer too"
    assert watching.hears(b=view(2, B)) == Leadership(A, 3, True)
    assert watching.hears(b=view(3, A)) is None
    assert watching.hears(b=view(4, None)) == Leadership(None, 4, False)
    assert watching.hears(a=view(3, A, ready=False)) is None, "a deposed leader is no news"
    assert watching.hears(b=view(4, B, ready=False)) == Leadership(B, 4, False)
    assert watching.hears(a=view(4, B)) == Leadership(B, 4, True)
    lost = NoConnection("gone", was_sent=True)
    assert watching.hears(a=lost, b=lost) == Leadership(None, 4, False), "nobody answers"


def test_a_member_that_does_not_answer_is_waited_for_but_not_for_long():
    watching = Watching(A, B, C)
    assert watching.hears(a=view(3, A), c=view(3, A)) is None
    assert watching.look_at < watching.now + 1
    watching.now = watching.look_at
    assert watching.look() == Leadership(A, 3, True)
    assert watching.look_at > watching.now + 10
    assert watching.hears(b=view(4, B)) == Leadership(B, 4, True)


def test_each_member_is_asked_what_it_has_not_said_yet_and_nothing_else():
    """Planted: ask with what the group knows."""
    watching = Watching(A, B)
    watching.hears(a=view(3, A), b=view(3, None, ready=False))
    asked = dict(watching.group.asked[2:])
    assert asked == {A: Leading((3, A, True, 0)), B: Leading((3, None, False, 0))}
    for _ in range(5):
        assert watching.look() is None
    assert len(watching.group.asked) == 4, "nothing is sent while nothing changes"
    assert watching.look_at > watching.now + 30


def test_a_member_that_has_failed_is_asked_again_less_and_less_often():
    watching = Watching(A, B)
    watching.hears(a=view(3, A), b=view(3, A))
    pauses = []
    for _ in range(12):
        began = watching.now
        assert watching.hears(b=("error", "no_peer")) is None
        while B not in watching.group.open:
            watching.now = watching.look_at
            watching.look()
        pauses.append(watching.now - began)
    assert pauses[0] < 0.06
    assert 1 < pauses[-1] < 2.1
    assert watching.group.asked[-1] == (B, Leading()), "what it says now"


def test_a_member_that_is_full_keeps_its_view_and_is_left_alone_for_longer():
    watching = Watching(A)
    watching.hears(a=view(3, A))
    assert watching.hears(a=("error", "overloaded")) is None
    assert watching.look_at > watching.now + 0.7
    watching.now = watching.look_at
    assert watching.look() is None
    assert watching.group.asked[-1] == (A, Leading((3, A, True, 0)))


def test_a_member_that_hangs_is_asked_again_and_its_view_counts_no_more():
    """Planted: wait for ever for a member that answers neither news nor after a minute."""
    watching = Watching(A, B)
    watching.hears(a=view(3, A), b=view(3, A))
    watching.now += PARKED_S + 1
    watching.hears(a=view(3, A), b=view(3, A))
    watching.now += PARKED_S + 1
    watching.hears(a=view(3, None, ready=False))
    watching.now = watching.look_at
    assert watching.look() == Leadership(None, 3, False)
    assert watching.group.taken_back == [B]


def test_members_that_come_are_asked_and_those_that_go_are_left():
    watching = Watching(A, B)
    watching.hears(a=view(3, A), b=view(3, A))
    watching.group.members = (A, C)
    assert watching.look() is None
    assert watching.group.taken_back == [B]
    assert watching.group.asked[-1] == (C, Leading())
    assert watching.hears(a=view(3, None, ready=False)) == Leadership(None, 3, False)


def test_a_reader_that_comes_back_is_told_of_now_and_not_of_what_has_passed():
    """Planted: use the answers that came while nobody looked."""
    watching = Watching(A, B)
    watching.hears(a=view(3, A), b=view(3, A))
    for member in A, B:
        watching.group.answer(member, ("ok", view(4, B)))
    watching.observer.begin(watching.now)
    assert watching.look() is None
    assert dict(watching.group.asked[-2:]) == {A: Leading(), B: Leading()}
    assert watching.hears(a=view(7, A), b=view(7, A)) == Leadership(A, 7, True)


def test_closing_takes_back_what_is_open():
    watching = Watching(A, B)
    watching.hears(a=view(3, A))
    watching.observer.parking.close()
    assert watching.group.taken_back == [A], "what is answered at once is not taken back"
    assert watching.observer.parking.opened == {}


# Real members.


def parked(*names):
    return sum(Raft.status(name)[1]["parked"] for name in names)


def test_an_idle_watch_asks_nobody_and_its_end_takes_its_calls_out(counters, monkeypatch):
    names, _leader = counters
    with Cluster(names) as cluster, cluster.watch_leader() as watch:
        while not watch.get(10).ready:
            pass
        with pytest.raises(TimeoutError):
            watch.get(0.1)  # the views of those that were later than the first that was ready
        eventually(lambda: parked(*names) == 3)
        asked = []
        request = Router.request
        monkeypatch.setattr(
            Router, "request", lambda *args, **more: asked.append(1) or request(*args, **more)
        )
        with pytest.raises(TimeoutError):
            watch.get(1.0)
        assert asked == []
        monkeypatch.undo()
    eventually(lambda: parked(*names) == 0)
    cluster = Cluster(names)
    watch = cluster.watch_leader()
    watch.get(10)
    eventually(lambda: parked(*names) == 3)
    cluster.close()
    eventually(lambda: parked(*names) == 0)
    with pytest.raises(RaftError, match="closed"):
        watch.get()
    with pytest.raises(RaftError, match="closed"):
        cluster.watch_leader().get()
