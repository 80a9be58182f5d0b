"""A state machine that is a class with methods: what it may be, and what its callers see."""

import asyncio
import inspect
import logging
from dataclasses import dataclass

import pytest

from raft_actors import (
    AsyncCluster,
    Awaited,
    Cluster,
    Meta,
    Raft,
    RaftError,
    Replicated,
    StateMachine,
    Supervisor,
    query,
    update,
)
from raft_actors.errors import CommandTooNew, MethodRaised, MethodRefused, NotApplied
from raft_actors.machine.containers import StateList
from supervision import stop
from tests.helpers import eventually
from tests.peer_fixtures import peer_of


class Counter(Replicated):
    """The example of the README."""

    def __init__(self) -> None:
        self.value = 0
        self.by: dict[str, list[int]] = {}

    @update
    def add(self, n: int, who: str = "nobody") -> int:
        """Add n."""
        self.value += n
        self.by.setdefault(who, []).append(n)
        if self.value > 100:
            raise ValueError("too much")
        return self.value

    @query
    def get(self) -> int:
        return self.value

    @query
    def parts(self, who: str) -> list[int]:
        return self.by[who]

    @property
    def double(self) -> int:
        return 2 * self.value

    def helper(self) -> int:
        return self.double


class AsyncCounter(Awaited, Counter):
    pass


@pytest.fixture
def at(make_peer):
    """Start a peer of a class as a group of its own, and return a handle of it."""
    clusters = []

    def make(kind, **options):
        name, answer = make_peer(kind, **options)
        assert answer[0] == "ok", answer
        assert Raft.set_configuration(name, [name])[0] == "ok"
        clusters.append(Cluster(name, timeout=30))
        return kind.at(clusters[-1])

    yield make
    for cluster in clusters:
        cluster.close()


# A handle.


def test_updates_and_queries_run_in_the_group_and_return_what_they_return(at):
    counter = at(Counter)
    assert counter.add(2) == 2
    assert counter.add(n=3, who="ann") == 5
    assert counter.get() == 5
    assert counter.parts("ann") == [3]
    assert type(counter.parts("ann")) is list


def test_every_replica_has_the_same_attributes_also_from_a_snapshot(trio):
    names = trio(Counter, snapshot_trailing=1)
    with Cluster(names, timeout=30) as cluster:
        counter = Counter.at(cluster)
        for n in range(5):
            counter.add(n, "ann")
        cluster.await_applied(cluster.barrier())
        for name in names:
            assert Raft.snapshot(name)[0] == "ok"
        counter.add(50, "bob")
        cluster.await_applied(cluster.barrier())
    for name in names:
        state = peer_of(name).replica.applier.applied.state
        assert dict(state) == {"value": 60, "by": {"ann": [0, 1, 2, 3, 4], "bob": [50]}}


def test_a_restarted_peer_goes_on_from_its_snapshot_and_its_log(make_peer):
    name, _ = make_peer(Counter, snapshot_trailing=1)
    assert Raft.set_configuration(name, [name])[0] == "ok"
    with Cluster(name, timeout=30) as cluster:
        counter = Counter.at(cluster)
        counter.add(1, "ann")
        assert Raft.snapshot(name)[0] == "ok"
        counter.add(2, "ann")
        Raft.stop(name)
        make_peer(Counter, name=name, snapshot_trailing=1)
        assert counter.parts("ann") == [1, 2]
        assert counter.add(4, "ann") == 7


def test_an_update_that_raises_leaves_every_attribute_as_it_was(at):
    """Also what is inside of lists and dicts. Planted: only the attributes are put back."""
    counter = at(Counter)
    counter.add(60, "ann")
    with pytest.raises(MethodRaised, match=r"^Counter\.add raised ValueError: too much$") as raised:
        counter.add(50, "ann")
    assert (raised.value.type_name, raised.value.text) == ("ValueError", "too much")
    assert counter.get() == 60
    assert counter.parts("ann") == [60]
    with pytest.raises(MethodRaised, match="raised KeyError"):
        counter.parts("bob")


@pytest.mark.parametrize(
    ("arguments", "named", "complaint"),
    [
        ((), {}, r"Counter\.add\(n: int, who: str = 'nobody'\) -> int: missing a required"),
        ((1, 2, 3), {}, "too many positional arguments"),
        ((1,), {"whom": 1}, "unexpected keyword argument 'whom'"),
        ((object(),), {}, r"command\[1\]\[0\]: an object can't be encoded"),
        ((1,), {"who": object()}, r"command\[2\]\['who'\]: an object can't be encoded"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_before_they_are_in_the_log(
    at, arguments, named, complaint
):
    counter = at(Counter)
    last = Raft.status(peer_name(counter))[1]["last_index"]
    with pytest.raises(TypeError, match=complaint):
        counter.add(*arguments, **named)
    assert Raft.status(peer_name(counter))[1]["last_index"] == last


def peer_name(handle):
    return handle.add.__self__.members[0]


def test_a_handle_has_methods_and_nothing_else(at):
    counter = at(Counter)
    assert sorted(dir(counter)) == ["add", "get", "parts"]
    for name, complaint in (
        ("value", "has no update or query 'value'; an attribute is read by a query"),
        ("nonsense", "It has add, get, parts"),
        ("double", "double is neither an update nor a query.* decorate it"),
        ("helper", "helper is neither an update nor a query"),
    ):
        with pytest.raises(AttributeError, match=complaint):
            getattr(counter, name)
    with pytest.raises(AttributeError, match="value is set by an update, at every replica"):
        counter.value = 3
    assert repr(counter).startswith("<Counter at <Cluster of peer")
    assert repr(counter.add).startswith("<<update add(n: int, who: str = 'nobody') -> int> at <C")
    assert inspect.getdoc(counter.add) == "Add n."
    assert str(inspect.signature(counter.add)) == "(n: int, who: str = 'nobody') -> int"
    assert counter.add.__name__ == "add"


def test_an_async_cluster_gives_a_handle_whose_methods_are_awaited(at):
    sync = at(Counter)
    sync.add(1)

    async def main():
        async with AsyncCluster([peer_name(sync)], timeout=30) as cluster:
            counter = AsyncCounter.at(cluster)
            assert await counter.add(2) == 3
            assert await Counter.at(cluster).get() == 3
            with pytest.raises(MethodRaised, match="too much"):
                await counter.add(200)
            with pytest.raises(TypeError, match="missing a required argument"):
                await counter.add()

    asyncio.run(main())
    with pytest.raises(TypeError, match="AsyncCounter is Awaited: give it an AsyncCluster"):
        AsyncCounter.at(sync.add.__self__)
    with pytest.raises(TypeError, match="takes a Cluster or an AsyncCluster, not 'peer1'"):
        Counter.at("peer1")


def test_queries_are_read_as_the_handle_was_asked_to(trio):
    names = trio(Counter)
    with Cluster(names, timeout=30) as cluster:
        Counter.at(cluster).add(7)
        cluster.await_applied(cluster.barrier())
        stale = Counter.at(cluster, consistency="stale", max_staleness_s=60.0, timeout=20.0)
        assert stale.get() == 7
        assert stale.add(1) == 8
        assert Counter.at(cluster, consistency="follower").get() == 8
        with pytest.raises(ValueError, match="consistency is one of"):
            Counter.at(cluster, consistency="fresh").get()


def test_the_tuples_are_what_the_calls_become(at):
    counter = at(Counter)
    cluster = counter.add.__self__
    assert Counter.add.command(2, who="ann") == ("add", (2,), {"who": "ann"})
    assert cluster.write(Counter.add.command(2)) == ("ok", 2)
    assert cluster.write(("add", (2,), {})) == ("ok", 4)
    assert Raft.write(cluster.leader, ("add", (200,), {})) == (
        "error", ("exception", "ValueError", "too much"),
    )  # fmt: skip
    assert cluster.read(("get", (), {})) == ("ok", 4)
    with cluster.pipeline() as pipeline:
        pending = [pipeline.write(Counter.add.command(1)) for _ in range(5)]
    assert [each.result() for each in pending] == [("ok", n) for n in range(5, 10)]


@pytest.mark.parametrize(
    "command",
    [
        ("get", (), {}), ("helper", (), {}), ("__init__", (), {}), ("value", (), {}), (),
        ("add",), "add", ("add", [], {}), ("add", (), ()), (["add"], (), {}), None,
        ("meta", (), {}), ("add", (1,), {}, 1),
    ],
)  # fmt: skip
def test_what_is_no_call_of_an_update_changes_nothing(command, at):
    counter = at(Counter)
    cluster = counter.add.__self__
    assert cluster.write(command)[:1] == ("error",)
    assert cluster.write(command)[1][0] == "no_such_method"
    assert cluster.read(("add", (1,), {}))[1][0] == "no_such_method"
    assert counter.get() == 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [((), {}), ((1, 2, 3), {}), ((1,), {"whom": 2}), ((1,), {"n": 2}), ((1,), {3: 4})],
)
def test_arguments_that_do_not_fit_are_refused_by_every_replica_too(arguments, named, at):
    counter = at(Counter)
    answer = counter.add.__self__.write(("add", arguments, named))
    assert answer == ("error", ("wrong_arguments", "it takes (n, who)"))
    assert counter.get() == 0


def test_a_handle_of_another_class_than_the_groups_says_so(at):
    class Other(Replicated):
        @update
        def put(self, x: int) -> None: ...

        @update
        def add(self) -> None: ...

    cluster = at(Counter).add.__self__
    with pytest.raises(MethodRefused, match=r"has no method .*Other\.put: is this program newer"):
        Other.at(cluster).put(1)
    with pytest.raises(NotApplied, match=r"does not take these arguments: it takes \(n, who\)"):
        Other.at(cluster).add()


def test_a_handle_of_a_group_of_another_kind_says_so(make_peer):
    class Other(StateMachine):
        def init(self, name):
            return 0

        def handle_write(self, command, state):
            return "written", state

    name, _ = make_peer(Other)
    assert Raft.set_configuration(name, [name])[0] == "ok"
    with Cluster(name) as cluster, pytest.raises(RaftError, match="another state machine"):
        Counter.at(cluster).add(1)


# Queries.


class Nosy(Replicated):
    def __init__(self) -> None:
        self.items = [1]
        self.seen: dict[str, int] = {}

    @query
    def assigns(self) -> None:
        self.last = 1

    @query
    def deletes(self) -> None:
        del self.items

    @query
    def appends(self) -> None:
        self.items.append(1)

    @query
    def updates(self) -> None:
        self.put()

    @update
    def put(self) -> None:
        self.seen["x"] = 1

    @query
    def copies(self) -> list[int]:
        mine = [*self.items]
        mine.append(2)
        return mine


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("assigns", r"a query has assigned Nosy\.last; it runs on one replica only"),
        ("deletes", r"a query has assigned Nosy\.items"),
        ("appends", "must not change the state of Nosy: make it an update"),
        ("updates", "must not change the state of Nosy: make it an update"),
    ],
)
def test_a_query_that_changes_something_raises_and_changes_nothing(at, name, complaint):
    nosy = at(Nosy)
    with pytest.raises(MethodRaised, match=complaint):
        getattr(nosy, name)()
    assert nosy.copies() == [1, 2]
    state = peer_of(nosy.put.__self__.members[0][0]).replica.applier.applied.state
    assert dict(state) == {"items": [1], "seen": {}}


# What an attribute may be.


class Attributes(Replicated):
    limit = 3
    PRICES = {"apple": 2}  # noqa: RUF012 - a constant of the class

    def __init__(self) -> None:
        self._hidden = 1
        self.__very = 2

    @update
    def assign(self, name: str, value: object) -> None:
        setattr(self, name, value)

    @update
    def assign_object(self) -> None:
        self._hidden = 2
        self.socket = object()

    @update
    def drop(self, name: str) -> None:
        delattr(self, name)

    @update
    def reply_object(self) -> object:
        self._hidden = 5
        return object()

    @query
    def all(self) -> list[object]:
        return [self.limit, self._hidden, self.__very, self.PRICES["apple"]]


def test_private_attributes_and_those_of_the_class_are_what_they_are_in_python(at):
    attributes = at(Attributes)
    assert attributes.all() == [3, 1, 2, 2]
    attributes.assign("limit", 7)
    assert attributes.all() == [7, 1, 2, 2]
    attributes.drop("limit")
    assert attributes.all() == [3, 1, 2, 2]


@pytest.mark.parametrize("name", ["meta", "at", "version", "current_version", "upgrade", ""])
def test_a_name_of_the_librarys_is_no_attribute(name, at):
    with pytest.raises(
        MethodRaised, match=r"raft_actors uses this name itself|no setter|the peer sets meta"
    ):
        at(Attributes).assign(name, 1)


def test_a_value_that_cannot_be_encoded_is_refused_by_name(at):
    attributes = at(Attributes)
    with pytest.raises(MethodRaised, match=r"TypeError: Attributes\.socket: an object can't be"):
        attributes.assign_object()
    with pytest.raises(MethodRaised, match=r"TypeError: reply.*: an object can't be encoded"):
        attributes.reply_object()
    assert attributes.all() == [3, 1, 2, 2]


# What a class may be.


def test_a_class_that_would_not_be_what_its_author_means_is_refused():
    """Each with words that say what to do."""
    for make, complaint in BAD_CLASSES:
        with pytest.raises(TypeError, match=complaint):
            make()


def bad_async():
    class Bad(Replicated):
        @update
        async def add(self): ...


def bad_generator():
    class Bad(Replicated):
        @query
        def each(self):
            yield 1


def bad_async_generator():
    class Bad(Replicated):
        @query
        async def each(self):
            yield 1


def bad_private():
    class Bad(Replicated):
        @update
        def _add(self): ...


def bad_name():
    class Bad(Replicated):
        @update
        def meta(self): ...


def bad_static():
    class Bad(Replicated):
        @update
        @staticmethod
        def add(): ...


def bad_property():
    class Bad(Replicated):
        @query
        @property
        def value(self): ...


def bad_self():
    class Bad(Replicated):
        @update
        def add(): ...


def bad_alias():
    class Bad(Replicated):
        @update
        def add(self): ...

        plus = add


def bad_slots():
    class Bad(Replicated):
        __slots__ = ("value",)


def bad_default():
    class Bad(Replicated):
        items = []  # noqa: RUF012


def bad_override():
    class Bad(Counter):
        def add(self, n): ...


def bad_override_by_none():
    class Bad(Counter):
        add = None


def bad_version():
    class Bad(Replicated):
        version = 2

        @update(version=3)
        def add(self): ...


def bad_version_number():
    class Bad(Replicated):
        @update(version="2")
        def add(self): ...


def bad_slots_of_a_mixin():
    class Slotted:
        __slots__ = ("x",)

    class Bad(Slotted, Replicated):
        pass


BAD_CLASSES = [
    (bad_async, "async def add: an update runs to its end.* Write `def`, and await in the client"),
    (bad_generator, "each is a generator, which can't be a reply: return a list"),
    (bad_async_generator, "async def each"),
    (bad_private, "_add is a private name.* give it another name"),
    (bad_name, r"Bad\.meta: raft_actors uses this name itself: take another"),
    (bad_static, "an update is a method of a class, a function, not"),
    (bad_property, "a query is a method of a class, a function, not"),
    (bad_self, r"def add\(\) needs `self`"),
    (bad_alias, r"Bad\.plus is the method add under another name"),
    (bad_slots, "Bad has __slots__, and the state is what is in __dict__"),
    (bad_slots_of_a_mixin, "Slotted has __slots__|multiple bases have instance lay-out conflict"),
    (bad_default, r"Bad\.items is an attribute of the class.* assign it in __init__"),
    (bad_override, r"Bad\.add replaces an update, and is neither .* decorate it"),
    (bad_override_by_none, r"Bad\.add replaces an update"),
    (bad_version, r"Bad\.version is 2, and it has a method of version 3: raise it"),
    (bad_version_number, "add: version must be a whole number from 1 on, not '2'"),
]


def test_a_class_whose_init_needs_arguments_is_not_started():
    class Bad(Replicated):
        def __init__(self, start: int) -> None:
            self.value = start

    with pytest.raises(TypeError, match=r"Bad\(\) must need no arguments \(missing .*'start'"):
        Raft.start_peer(Bad, name="bad")

    class Good(Bad):
        def __init__(self) -> None:
            super().__init__(5)

    assert Good.child_spec(name="good").start is not None


class Resettable:
    """A mixin that is not replicated itself."""

    __slots__ = ()

    @update
    def reset(self) -> None:
        self.value = 0


class Loud(Resettable, Counter):
    @update
    def add(self, n: int, who: str = "loud") -> int:
        return 10 * super().add(n, who)


def test_methods_are_inherited_overridden_and_mixed_in(at):
    loud = at(Loud)
    assert loud.add(2) == 20
    assert loud.get() == 2
    assert loud.parts("loud") == [2]
    loud.reset()
    assert loud.get() == 0


def test_a_dataclass_is_a_class_too(at):
    from dataclasses import field

    @dataclass
    class Point(Replicated):
        x: int = 0
        path: list = field(default_factory=list)

        @update
        def move(self, by: int) -> int:
            self.path.append(by)
            self.x += by
            return self.x

    point = at(Point)
    assert (point.move(2), point.move(3)) == (2, 5)


def test_outside_of_a_group_the_methods_are_ordinary_methods():
    counter = Counter()
    assert counter.add(2) == 2
    assert counter.by == {"nobody": [2]}
    assert counter.meta == Meta(0, 0, 0)
    counter.meta = Meta(3, 1, 5_000)
    assert counter.meta.time_ms == 5_000
    assert counter.current_version == Counter.version == 1
    assert Counter.add(counter, 1) == 3 if callable(Counter.add) else True


def test_a_method_sees_its_place_in_the_log(at):
    class Stamps(Replicated):
        def __init__(self) -> None:
            self.stamps: list[int] = []

        @update
        def stamp(self) -> tuple[int, int]:
            self.stamps.append(self.meta.index)
            return self.meta.index, self.current_version

        @query
        def all(self) -> list[int]:
            return self.stamps

    stamps = at(Stamps)
    first, second = stamps.stamp(), stamps.stamp()
    assert first[0] < second[0]
    assert first[1] == 1
    assert stamps.all() == [first[0], second[0]]


# Where it runs.


def test_it_is_a_child_of_a_supervisor():
    ok, tree = Supervisor.start_link([(Counter, {"name": "child", "log_store": "memory"})])
    try:
        assert ok == "ok"
        assert Raft.set_configuration("child", ["child"])[0] == "ok"
        with Cluster("child", timeout=30) as cluster:
            assert Counter.at(cluster).add(1) == 1
    finally:
        stop(tree)


def test_both_fixtures_take_it(raft_cluster, raft_simulation):
    counter = Counter.at(raft_cluster(Counter, peers=1, log_store="memory"))
    assert (counter.add(2), counter.get()) == (2, 2)
    commands = [Counter.add.command(n, who) for n in (1, 30) for who in ("ann", "bob")]
    report = raft_simulation.run(
        Counter, commands, [Counter.get.command(), Counter.parts.command("ann")], seeds=3
    )
    assert report.acknowledged > 5
    assert report.raised > 0


def test_its_class_is_told_that_its_replica_leads(make_peer, caplog):
    told = []

    class Led(Counter):
        def on_leader(self) -> None:
            told.append(("leads", self.value))
            self.value = 99

        def on_follower(self) -> None:
            told.append("follows")

    caplog.set_level(logging.INFO, "raft_actors.state_machine")
    name, _ = make_peer(Led)
    assert Raft.set_configuration(name, [name])[0] == "ok"
    with Cluster(name, timeout=30) as cluster:
        assert Led.at(cluster).add(1) == 1
    Raft.stop(name)
    assert told == [("leads", 0), "follows"]
    assert "a query has assigned Led.value" in caplog.text


def test_the_log_names_the_line_that_raised(at, caplog):
    caplog.set_level(logging.INFO, "raft_actors.state_machine")
    with pytest.raises(MethodRaised):
        at(Counter).add(200)
    assert "Counter.handle_write raised ValueError: too much" in caplog.text
    assert "test_replicated.py" in caplog.text
    assert ", in add" in caplog.text


def test_a_class_without_such_methods_is_not_looked_at(at):
    counter = at(Counter)
    assert not peer_of(counter.add.__self__.members[0][0]).replica.leadership.wanted


def test_a_list_that_is_returned_is_a_list_and_shares_nothing(at):
    counter = at(Counter)
    counter.add(1, "ann")
    state = peer_of(counter.add.__self__.members[0][0]).replica.applier.applied.state
    assert type(state.fields["by"]["ann"]) is StateList
    counter.parts("ann").append(2)
    assert eventually(lambda: counter.parts("ann")) == [1]


# Versions.


class First(Replicated):
    def __init__(self) -> None:
        self.names: list[str] = []

    @update
    def put(self, name: str) -> int:
        self.names.append(name)
        return len(self.names)


class Second(First):
    """The next release of the same class."""

    total = 0

    def upgrade(self, from_version: int) -> None:
        self.names = dict.fromkeys(self.names, 1)

    @update
    def put(self, name: str) -> int:
        if self.current_version < 2:
            return First.put.function(self, name)
        self.names[name] = self.names.get(name, 0) + 1
        return len(self.names)

    @update(version=2)
    def clear(self) -> None:
        self.names.clear()

    @query(version=2)
    def count(self, name: str) -> int:
        return self.names[name] + self.total


def test_a_method_of_a_newer_version_waits_until_the_group_runs_it(make_peer):
    old, _ = make_peer(First, snapshot_trailing=1)
    new, _ = make_peer(Second, snapshot_trailing=1)
    assert Second.version == 2
    assert Raft.set_configuration(old, [old, new])[0] == "ok"
    with Cluster([old, new], timeout=30) as cluster:
        second = Second.at(cluster)
        assert (second.put("a"), second.put("b")) == (1, 2)
        leader = cluster.await_leader()
        if leader[0] != new:
            assert Raft.transfer_leadership(leader, new)[0] == "ok"
        cluster.await_leader()
        complaint = r"clear is there from version 2 on, and the group runs version 1"
        with pytest.raises(CommandTooNew, match=complaint):
            eventually(lambda: tried(second.clear))
        with pytest.raises(CommandTooNew, match="count is there from version 2 on"):
            eventually(lambda: tried(second.count, "a"))
        assert cluster.write(("clear", (), {})) == ("error", ("method_too_new", 2, 1))
        assert Raft.snapshot(new)[0] == "ok"
        Raft.stop(old)
        make_peer(Second, name=old, snapshot_trailing=1)
        eventually(lambda: Raft.status(new)[1]["machine_version"] == 2)
        assert second.put("a") == 2
        assert second.count("a") == 2
        second.clear()
        with pytest.raises(MethodRaised, match="KeyError"):
            second.count("a")


def tried(call, *arguments):
    try:
        return call(*arguments) or "done"
    except CommandTooNew:
        raise
    except RaftError:
        return None


def test_an_attribute_that_an_old_snapshot_lacks_is_the_one_of_init(make_peer):
    class Grown(First):
        def __init__(self) -> None:
            super().__init__()
            self.notes: list[str] = ["new"]

        @query(version=2)
        def note(self) -> list[str]:
            return self.notes

    name, _ = make_peer(First, snapshot_trailing=1)
    assert Raft.set_configuration(name, [name])[0] == "ok"
    with Cluster(name, timeout=30) as cluster:
        First.at(cluster).put("a")
        assert Raft.snapshot(name)[0] == "ok"
        Raft.stop(name)
        make_peer(Grown, name=name, snapshot_trailing=1)
        grown = Grown.at(cluster)
        eventually(lambda: Raft.status(name)[1].get("machine_version") == 2)
        assert grown.put("b") == 2
        assert grown.note() == ["new"]
