"""Effects of commands in real peers: actors are told, timers fire, the outbox is emptied."""

import asyncio
import threading
import time

import pytest

from raft_actors import AsyncCluster, Cluster, Raft, Replicated, StateMachine, query, update
from raft_actors.effects import CancelTimer, Notify, Outbox, Tell, Timer, TimerFired
from raft_actors.errors import MethodRaised
from supervision import Process, names
from tests.helpers import eventually
from tests.peer_fixtures import peer_of

KINDS = {"tell": Tell, "outbox": Outbox, "timer": Timer, "cancel": CancelTimer, "notify": Notify}


class Effecting(StateMachine):
    """A command is a list of effects, in words."""

    def init(self, name):
        return ()

    def handle_write(self, command, state):
        if isinstance(command, TimerFired):
            return None, (*state, command.name), [Notify(command.name)]
        return "ok", state, [KINDS[kind](*rest) for kind, *rest in command]

    def handle_read(self, query, state):
        return state

    def on_leader(self, state):
        return [Tell("herald", "a leader")]


class Actor(Process):
    """Notes what it receives. Raises for what `refuses` has, and lives on."""

    reply_errors = (ValueError,)

    def init(self, received, refuses):
        self.received = received
        self.refuses = refuses

    def on_receive(self, message):
        self.received.append(message)
        if message[-1] in self.refuses:
            self.refuses.remove(message[-1])
            raise ValueError("not yet")


@pytest.fixture
def actor():
    started = []

    def start(name, *, refuses=()):
        received = []
        ref = Actor.start(received, list(refuses))
        assert names.register(name, ref)[0] == "ok"
        started.append(ref)
        return received

    yield start
    for ref in started:
        ref.stop()


def lone(make_peer, **options):
    name, _ = make_peer(Effecting, **options)
    assert Raft.set_configuration(name, [name])[0] == "ok"
    return name


def test_an_actor_is_told_once_by_the_leader_alone_and_not_again_after_a_restart(
    trio, make_peer, actor
):
    """Planted: each replica that applies the command tells."""
    told = actor("mailer")
    peers = trio(Effecting)
    with Cluster(peers, timeout=30) as cluster:
        for number in range(5):
            assert cluster.write([("tell", "mailer", ("order", number))]) == "ok"
        cluster.await_applied(cluster.barrier())
        leader = cluster.leader
        Raft.stop(leader)
        make_peer(Effecting, name=leader[0])
        cluster.await_applied(cluster.barrier())
        cluster.write([("tell", "mailer", "last")])
        eventually(lambda: told[-1:] == ["last"])
    assert told == [*(("order", number) for number in range(5)), "last"]


def test_a_message_for_nobody_is_lost_and_the_peer_goes_on(make_peer):
    name = lone(make_peer)
    assert Raft.write(name, [("tell", "nobody", 1), ("tell", ("x", "far@away"), 2)]) == "ok"
    assert Raft.write(name, []) == "ok"


def test_a_leader_may_tell_as_it_begins(make_peer, actor):
    told = actor("herald")
    name = lone(make_peer)
    eventually(lambda: told == ["a leader"])
    Raft.stop(name)
    make_peer(Effecting, name=name)
    eventually(lambda: told == ["a leader"] * 2)


def test_a_timer_fires_once_at_all_replicas_and_a_cancelled_one_does_not(trio):
    peers = trio(Effecting)
    with Cluster(peers, timeout=30) as cluster:
        began = time.monotonic()
        cluster.write([("timer", "a", 0.2), ("timer", "b", 0.05), ("timer", "c", 0.05)])
        cluster.write([("cancel", "c")])
        assert eventually(lambda: cluster.read(None)[1:]) == ("a",)
        assert time.monotonic() - began >= 0.2
        cluster.await_applied(cluster.barrier())
        assert [cluster.read(None, consistency="stale", at=peer) for peer in peers] == [
            ("b", "a")
        ] * 3


def test_a_new_leader_fires_the_timer_of_the_leader_before(trio):
    peers = trio(Effecting)
    with Cluster(peers, timeout=30) as cluster:
        cluster.write([("timer", "a", 0.3)])
        Raft.stop(cluster.await_leader())
        assert eventually(lambda: cluster.read(None)) == ("a",)


def test_a_message_of_the_outbox_arrives_when_its_actor_is_there_also_after_a_restart(
    make_peer, actor
):
    name = lone(make_peer, snapshot_trailing=1)
    assert Raft.write(name, [("outbox", "late", ("paid", 1), "m1")]) == "ok"
    assert Raft.snapshot(name)[0] == "ok"
    Raft.stop(name)
    received = actor("late")
    make_peer(Effecting, name=name, snapshot_trailing=1)
    eventually(lambda: received == [("outbox", "m1", ("paid", 1))])
    applied = peer_of(name).replica.applier.applied
    eventually(lambda: not applied.duties.outbox)


def test_an_actor_that_raises_gets_the_message_again(make_peer, actor, monkeypatch):
    monkeypatch.setattr("raft_actors.replica.carrier.ASK_S", 0.05)
    received = actor("shaky", refuses=["a", "b"])
    name = lone(make_peer)
    Raft.write(name, [("outbox", "shaky", "a", "m1"), ("outbox", "shaky", "b", "m2")])
    applied = peer_of(name).replica.applier.applied
    eventually(lambda: not applied.duties.outbox)
    assert sorted(received) == [("outbox", "m1", "a")] * 2 + [("outbox", "m2", "b")] * 2


def test_clients_are_told_of_a_topic_by_any_member(trio):
    peers = trio(Effecting)
    with Cluster(peers, timeout=30) as cluster:
        index = cluster.barrier()
        with (
            cluster.watch_topics("a", prefixes=["k/"], after=index) as watch,
            cluster.watch_topics("other", after=index) as quiet,
        ):
            cluster.write([("notify", "a"), ("notify", "z"), ("notify", "k/1")])
            changes = watch.get(timeout=30)
            assert (changes.topics, changes.index > index) == (("a", "k/1"), True)
            cluster.write([("timer", "k/2", 0.0)])
            assert watch.get(timeout=30).topics == ("k/2",)
            with pytest.raises(TimeoutError):
                quiet.get(timeout=0.0)
        with pytest.raises(TypeError, match="a topic is a text"):
            cluster.watch_topics(5)

    async def main():
        async with AsyncCluster(peers, timeout=30) as cluster:
            watch = cluster.watch_topics("a", after=index)
            async for changes in watch:
                watch.close()
                break
            return changes.topics

    assert asyncio.run(main()) == ("a",)


class Orders(Replicated):
    """The same by methods."""

    def __init__(self) -> None:
        self.open: dict[str, int] = {}
        self.late: list[str] = []

    @update
    def order(self, name: str, count: int) -> None:
        self.open[name] = count
        self.effect(Tell("kitchen", (name, count)))
        self.effect(Timer(name, 0.05))
        if count < 0:
            raise ValueError("a negative order")

    @update
    def serve(self, name: str) -> int:
        self.effect(CancelTimer(name))
        return self.open.pop(name)

    @query
    def who_waits(self) -> list[str]:
        return self.late

    @query
    def asks(self) -> None:
        self.effect(Tell("kitchen", "a query"))

    def on_timer(self, name: str) -> None:
        self.late.append(name)

    def on_leader(self) -> None:
        self.effect(Tell("kitchen", ("open", len(self.open))))


def test_a_class_has_effects_and_timers_too(make_peer, actor):
    told = actor("kitchen")
    name, _ = make_peer(Orders)
    assert Raft.set_configuration(name, [name])[0] == "ok"
    with Cluster(name, timeout=30) as cluster:
        orders = Orders.at(cluster)
        orders.order("soup", 1)
        with pytest.raises(MethodRaised, match="a negative order"):
            orders.order("nothing", -1)
        with pytest.raises(MethodRaised, match="a query has asked for Tell"):
            orders.asks()
        assert eventually(orders.who_waits) == ["soup"]
        orders.order("bread", 2)
        assert orders.serve("bread") == 2
    eventually(lambda: told == [("open", 0), ("soup", 1), ("bread", 2)])
    plain = Orders()
    plain.order("pie", 3)
    assert plain.effects == [Tell("kitchen", ("pie", 3)), Timer("pie", 0.05)]


class Simple(Replicated):
    @update
    def begin(self) -> None:
        self.effect(Timer("t", 0.0))

    @query
    def is_there(self) -> bool:
        return True


def test_a_class_that_forgets_to_handle_its_timers_is_told_so_in_the_log(make_peer, caplog):
    name, _ = make_peer(Simple)
    assert Raft.set_configuration(name, [name])[0] == "ok"
    with Cluster(name, timeout=30) as cluster:
        Simple.at(cluster).begin()
        eventually(lambda: not peer_of(name).replica.applier.applied.duties.timers)
        assert Simple.at(cluster).is_there()


def test_nothing_of_an_effect_holds_up_the_thread_of_a_peer(make_peer, actor):
    """An actor that does not answer is not waited for."""
    gate = threading.Event()

    class Slow(Process):
        def on_receive(self, _message):
            gate.wait(30)

    ref = Slow.start()
    names.register("slow", ref)
    try:
        name = lone(make_peer)
        for number in range(20):
            assert Raft.write(name, [("outbox", "slow", number, str(number))]) == "ok"
        assert Raft.read(name, None) == ()
    finally:
        gate.set()
        ref.stop()
