"""Watches of who leads: the latest value, ready only when it is, on the reader's own thread."""

import asyncio
import threading

import pytest

from raft_actors import AsyncCluster, Cluster, Raft, encoding
from raft_actors.client.leader_finder import LeaderFinder
from raft_actors.client.leader_watch import Leadership, Observer
from raft_actors.core.server import Server
from raft_actors.errors import RaftError
from raft_actors.future import Future


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


def status(term, leader, ready=True):
    future = Future()
    view = {"index": 0, "members": []}
    said = {"current_term": term, "leader": leader, "ready": ready, "configuration": view}
    future.set(encoding.dumps(("ok", said)))
    return future


def test_the_newest_term_counts_and_never_falls():
    a, b = ("kv", "a@one"), ("kv", "b@one")
    observer = Observer(LeaderFinder(None, (a, b)))
    assert observer.news([status(3, a), status(2, b)]) == Leadership(a, 3, True)
    assert observer.news([status(3, a)]) is None
    assert observer.news([status(3, a), status(4, None)]) == Leadership(None, 4, False)
    assert observer.news([status(3, a)]) is None, "a deposed leader is no news"
    assert observer.news([status(4, b, ready=False)]) == Leadership(b, 4, False)
    assert observer.news([status(4, b), status(4, b, ready=False)]) == Leadership(b, 4, True)
    assert observer.news([]) == Leadership(None, 4, False), "nobody answers"


def test_the_handle_for_asyncio_has_an_asynchronous_iterator(counters, monkeypatch):
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
            before, looks = ticks, 0
            ask = watch._observer.ask

            def counted():
                nonlocal looks
                looks += 1
                return ask()

            monkeypatch.setattr(watch._observer, "ask", counted)
            waiting = asyncio.ensure_future(anext(watch, None))
            while looks < 3:
                await asyncio.sleep(0.01)
            assert not waiting.done()
            assert ticks > before + 2 * looks, "it keeps the loop between two looks"
            watch.close()
            assert await waiting is None
        ticking.cancel()
        assert seen[-1].leader != leader

    asyncio.run(main())


class Group:
    """Members that answer at once with the status that each has, and count who was asked."""

    def __init__(self, **status):
        self.members = tuple((name, f"{name}@one") for name in "abc")
        self.statuses = dict.fromkeys(self.members, status)
        self.asked = []

    def whom(self):
        return self.members

    def ask(self, address):
        self.asked.append(address)
        answer = Future()
        answer.set(encoding.dumps(("ok", self.statuses[address])))
        return answer

    def learn(self, _status):
        pass


def told(leader, term, *, ready):
    return {"leader": leader, "current_term": term, "ready": ready}


def test_a_watch_without_news_asks_one_member_in_turn():
    """Planted: ask all of them each time."""
    a, b, _c = members = tuple((name, f"{name}@one") for name in "abc")
    group = Group(**told(a, 1, ready=True))
    observer = Observer(group)
    assert observer.news(observer.ask()) == Leadership(a, 1, True)
    assert observer.news(observer.ask()) is None
    assert observer.pause_s > 0.2
    group.asked.clear()
    for _ in range(3):
        assert observer.news(observer.ask()) is None
    assert sorted(group.asked) == sorted(members)
    group.statuses[b] = told(b, 2, ready=True)
    looks = 0
    while (news := observer.news(observer.ask())) is None:
        looks += 1
    assert news == Leadership(b, 2, True)
    assert looks <= 3
    assert observer.pause_s < 0.1


def test_a_watch_of_a_group_without_a_leader_becomes_quiet_too():
    group = Group(**told(None, 1, ready=False))
    observer = Observer(group)
    while observer.pause_s < 0.2:
        observer.news(observer.ask())
        assert len(group.asked) < 100
    group.statuses = dict.fromkeys(group.members, told(group.members[0], 2, ready=False))
    assert observer.news(observer.ask()) is None
    assert observer.news(observer.ask()) == Leadership(group.members[0], 2, False)
    for _ in range(3):
        observer.news(observer.ask())
    assert observer.pause_s < 0.1, "until that one is ready"
