"""Watches of topics: nothing is missed, whichever members end, hang, or are cut off."""

import asyncio
import signal
import threading
import time
from random import Random

import pytest

from raft_actors import Cluster, Config
from raft_actors.client.async_topic_watch import AsyncTopicWatch
from raft_actors.client.leader_finder import LeaderFinder
from raft_actors.client.leader_watch import LeaderWatch, Observer
from raft_actors.client.parking import Parking
from raft_actors.client.retrying_client import RetryingClient
from raft_actors.client.topic_watch import Changes, TopicWatch, topic_wait
from raft_actors.errors import NotApplied, OutcomeUnknown, RaftError
from raft_actors.peer.peers import peers_of
from raft_actors.replica.parked_calls import PARKED_S
from raft_actors.replica.questions import Published
from raft_actors.replica.requests import STATUS, TRANSFER
from supervision import kill
from tests.client.pretend_members import A, B, C, D, Group
from tests.client.publishing import sets_publish
from tests.cluster.conftest import stage  # noqa: F401 - fixture
from tests.cluster.stage import NAMES
from tests.helpers import eventually
from tests.node_fixtures import make_memory_node, network, own_directories  # noqa: F401 - fixtures
from tests.peer.test_between_nodes import Group as RealGroup

SEEDS, FATES = range(2), 15
"""Set by hand to `range(40), 60`, and seen to pass, when parked calls were built."""


# What the members answer is put together.


class Watching:
    """A watch of members that answer when a test has them answer, on a clock of its own."""

    def __init__(self, *members, after=5):
        self.group = Group(*members)
        self.wait = topic_wait(self.group, Parking(self.group), ["a"], ["k/"], after)
        self.now = time.monotonic()
        self.look()

    @property
    def served_by(self):
        (member,) = self.group.open
        return member

    def asked(self):
        return self.group.asked[-1][1]

    def look(self):
        while (parked := self.wait.parking.next_now()) is not None:
            parked.owner.take(parked, self.now)
        self.look_at = self.wait.work(self.now)
        return self.wait.result(self.now)

    def answers(self, answer):
        self.group.answer(self.served_by, answer)
        return self.look()


def test_one_member_is_asked_and_each_question_says_what_was_seen():
    watching = Watching(A, B, C)
    first = watching.served_by
    assert watching.asked() == Published(5, ("a",), ("k/",))
    assert watching.answers(("ok", (9, ("a",), None))) == Changes(9, ("a",))
    assert watching.look() is None
    assert watching.served_by == first
    assert watching.asked().after == 9
    assert watching.answers(("ok", (12, None, None))) == Changes(12, None)


def test_the_leader_is_asked_when_it_is_known_and_another_one_when_it_fails():
    """Followers apply a command later. Planted: stay where it has begun."""
    watching = Watching(A, B, C)
    others = [member for member in (A, B, C) if member != watching.served_by]
    watching.answers(("ok", (9, (), others[0])))
    assert watching.served_by == others[0]
    watching.answers(("error", "no_peer"))
    assert watching.served_by != others[0]
    watching.answers(("ok", (9, (), D)))
    assert watching.served_by == D, "a member that this handle has not heard of"
    assert watching.answers(("error", "no_peer")) is None
    assert watching.served_by in (A, B, C)


def test_an_answer_without_a_change_moves_on_what_was_seen():
    watching = Watching(A)
    assert watching.answers(("ok", (30, (), None))) is None
    assert watching.asked().after == 30


def test_a_watch_from_now_on_begins_where_the_member_is():
    watching = Watching(A, after=None)
    assert watching.asked().after is None
    assert watching.answers(("ok", (30, (), None))) is None
    assert watching.asked().after == 30


@pytest.mark.parametrize(
    "answer",
    [("error", "no_peer"), ("error", "election_in_progress"), ("error", "overloaded"),
     [("kv", "d@one")]],
    ids=repr,
)  # fmt: skip
def test_another_member_goes_on_where_one_has_stopped(answer):
    watching = Watching(A, B)
    first = watching.served_by
    watching.answers(("ok", (9, ("a",), None)))
    watching.look()
    if type(answer) is list:
        answer = [list(each) for each in answer]
    assert watching.answers(answer) is None
    assert watching.served_by != first
    assert watching.asked() == Published(9, ("a",), ("k/",))
    assert watching.group.added == ([("kv", "d@one")] if type(answer) is list else [])


def test_a_member_that_hangs_is_left_and_its_late_answer_counts_nothing():
    watching = Watching(A, B)
    first = watching.served_by
    watching.now += PARKED_S + 60
    assert watching.look() is None
    assert watching.group.taken_back == [first]
    assert watching.served_by != first


def test_nobody_is_asked_more_and_more_often_where_all_have_failed():
    watching, pauses = Watching(A, B), []
    for _ in range(12):
        while watching.group.open:
            watching.answers(("error", "no_peer"))
        began, watching.now = watching.now, watching.look_at
        watching.look()
        pauses.append(watching.now - began)
    assert pauses[0] < 0.06
    assert max(pauses) > 0.5
    assert len(watching.group.asked) <= 2 * 13


@pytest.mark.parametrize(
    ("topics", "prefixes", "after"),
    [([], [], 1), ([7], [], 1), (["x" * 600], [], 1), (["a"], [], -1), (["a"] * 65, [], 1)],
)
def test_what_can_not_be_watched_is_refused_at_once(topics, prefixes, after):
    with pytest.raises((TypeError, ValueError)):
        topic_wait(Group(A), Parking(Group(A)), topics, prefixes, after)


# Real members.


class Reader:
    """A thread that reads a watch of all that begins with a prefix."""

    def __init__(self, client, prefix):
        finder = client.finder
        self.prefix = prefix
        self.wait = topic_wait(finder, client.parking(), (), [prefix], 0)
        self.watch = TopicWatch(self.wait)
        self.seen = []
        self.thread = threading.Thread(target=lambda: [self.seen.append(c) for c in self.watch])
        self.thread.start()

    @property
    def index(self):
        return self.seen[-1].index if self.seen else 0

    def end(self):
        self.watch.close()
        self.thread.join(10)
        assert not self.thread.is_alive()

    def check(self, published):
        """Each change is in the first answer whose index has reached it, and nothing else is."""
        indexes = [0] + [changes.index for changes in self.seen]
        assert indexes == sorted(set(indexes)), "it goes back, or says something twice"
        for before, changes in zip(indexes, self.seen, strict=False):
            happened = {
                key
                for key, index in published
                if before < index <= changes.index and key.startswith(self.prefix)
            }
            assert changes.topics is None or set(changes.topics) == happened
        late = [index for key, index in published if key.startswith(self.prefix)]
        assert max(late) <= self.index


class Play(RealGroup):
    """Three nodes with a peer each, in a network without sockets, and a node of clients."""

    def __init__(self, network, make_node, directory, seed):  # noqa: F811
        self.network, self.luck = network, Random(seed)
        config = Config(
            min_election_timeout=0.15, max_election_timeout=0.3, heartbeat_timeout=0.03,
            snapshot_entries=30, snapshot_trailing=5,
        )  # fmt: skip
        super().__init__(make_node, directory, config)
        self.asker = make_node("w")
        self.client = RetryingClient(lambda: peers_of(self.asker).router, self.members, 20.0)
        self.keys = [f"{place}/{number}" for place in ("k", "q") for number in range(3)]

    def write(self, key, timeout_s=0.2):
        try:
            self.client.finish(self.client.begin(("set", key, 0), timeout_s))
        except (NotApplied, OutcomeUnknown):
            self.client.session = None

    def happen(self):
        luck, names = self.luck, [node.name for node in self.nodes]
        node = luck.choice(self.nodes)
        match luck.choice(["cut", "cut", "isolate", "heal", "heal", "kill", "transfer", "flap"]):
            case "cut":
                self.network.cut(self.asker.name, node.name)
            case "isolate":
                for other in names:
                    if other != node.name:
                        self.network.cut(node.name, other)
            case "heal":
                self.heal()
            case "kill":
                ref = peers_of(node).running.get("kv")
                if ref is not None:
                    kill(ref)
            case "transfer":
                peers_of(node).router.request(
                    ("kv", node.name), [TRANSFER, "kv", b"\xc0", 0, 1]
                ).abandon()
            case "flap":
                self.asker.disconnect(node.name)

    def heal(self):
        for one in self.nodes:
            for other in (*self.nodes, self.asker):
                if one is not other:
                    self.network.restore(one.name, other.name)

    def parked(self):
        return [self.status(node).get("parked") for node in self.nodes]

    def status(self, node):
        """Return the status of a node's peer; it is empty while the peer is started again."""
        answer = self.ask(node, ("kv", node.name), STATUS)
        return answer[1] if answer[0] == "ok" else {}


@pytest.mark.parametrize("seed", SEEDS)
def test_no_change_is_lost_whatever_happens_to_the_members(
    network,  # noqa: F811
    make_memory_node,  # noqa: F811
    tmp_path,
    seed,
):
    """Planted: an answer names no topic that was published before its call came."""
    with sets_publish() as published:
        play = Play(network, make_memory_node, tmp_path, seed)
        readers = [Reader(play.client, prefix) for prefix in ("k/", "k/1", "q/", "")]
        leaders, seen = LeaderWatch(Observer(play.client.finder, play.client.parking())), []
        watcher = threading.Thread(target=lambda: [seen.append(each) for each in leaders])
        watcher.start()
        for _ in range(FATES):
            play.happen()
            for _ in range(play.luck.randrange(4)):
                play.write(play.luck.choice(play.keys))
        play.heal()
        for key in play.keys:
            play.write(key, 20.0)
        last = max(index for _key, index in published)
        eventually(lambda: readers[-1].index >= last)
        for reader in readers:
            mine = max(i for key, i in published if key.startswith(reader.prefix))
            eventually(lambda reader=reader, mine=mine: reader.index >= mine)
        eventually(
            lambda: seen[-1].ready and seen[-1].leader == play.status(play.nodes[0]).get("leader")
        )
        leaders.close()
        for reader in readers:
            reader.end()
        watcher.join(10)
        for reader in readers:
            reader.check(published)
        terms = [each.term for each in seen]
        assert terms == sorted(terms)
        eventually(lambda: play.parked() == [0, 0, 0])


def test_a_member_that_is_killed_is_replaced_by_another_one(stage):  # noqa: F811
    stage.starter = "tests.client.publishing:start"
    stage.form()
    with Cluster(stage.addresses, timeout=30) as cluster:
        client = cluster._client
        index = cluster.barrier()
        wait = topic_wait(client.finder, client.parking(), ["key"], (), index)
        watch, seen = TopicWatch(wait), []
        for number in range(6):
            cluster.write(("set", "other", number))
            cluster.write(("set", "key", number))
            seen.append(watch.get(30))
            with pytest.raises(TimeoutError):
                watch.get(0.01)
            victim = wait.member[1][0]
            if number % 2:
                stage.kill(victim)
                cluster.write(("set", "key", "meanwhile"))
                seen.append(watch.get(30))
                stage.start(victim)
                eventually(lambda victim=victim: stage.is_up(victim))
            elif number == 2:
                stage.signal(victim, signal.SIGTERM)
                stage.processes[victim].wait(30)
                stage.start(victim)
        indexes = [changes.index for changes in seen]
        assert indexes == sorted(set(indexes))
        assert all(changes.topics in (("key",), None) for changes in seen)
        with pytest.raises(TimeoutError):
            watch.get(0.3)
    eventually(lambda: [stage.status(name)["parked"] for name in NAMES] == [0, 0, 0])
    with pytest.raises(RaftError, match="closed"):
        watch.get()


def test_tasks_of_asyncio_may_watch_too(make_memory_node, network, tmp_path):  # noqa: F811
    with sets_publish():
        play = Play(network, make_memory_node, tmp_path, 0)
        finder = LeaderFinder(lambda: peers_of(play.asker).router, play.members)
        watches = [
            AsyncTopicWatch(topic_wait(finder, Parking(finder), ["k/1"], (), 0)) for _ in range(50)
        ]

        async def main():
            waiting = [asyncio.ensure_future(anext(watch)) for watch in watches]
            await asyncio.sleep(0.05)
            before = threading.active_count()
            assert not any(each.done() for each in waiting)
            await asyncio.to_thread(play.write, "k/1", 20.0)
            assert {changes.topics for changes in await asyncio.gather(*waiting)} == {("k/1",)}
            assert threading.active_count() <= before + 1, "no thread for a watch"
            for watch in watches:
                watch.close()
                assert await anext(watch, None) is None

        asyncio.run(main())
        eventually(lambda: play.parked() == [0, 0, 0])
