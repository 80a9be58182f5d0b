"""Dicts: their commands on one replica against a model, and a real group."""

import asyncio
import threading
import time

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from raft_actors import Raft, encoding
from raft_actors.errors import NotApplied
from raft_actors.kit import AsyncKit, Conflict, Forgotten, LeaseLost
from raft_actors.kit.machine import dicts, history
from raft_actors.kit.machine.leases import timer_name
from tests.helpers import eventually
from tests.kit.replica import Replica

KEYS = ["", "a", "a/1", "a/2", "b", "ä", "z" * 600]


def put(replica, key, value, *, if_version=None, lease=0, ttl_s=0.0, name="d"):
    encoded = encoding.dumps(value)
    return replica.ok("dict", "put", name, key, encoded, if_version, lease, ttl_s)


class Model(RuleBasedStateMachine):
    """Any commands in any order, beside a plain dict and a list of its changes."""

    @initialize()
    def begin(self):
        self.replica = Replica()
        self.model = {}  # (value, version, lease)
        self.changes = []  # (index, key, new value, old value)
        self.moments = {0: {}}  # what was there at an entry
        self.leases = []

    keys = st.sampled_from(KEYS)
    values = st.integers(-3, 3)

    def changed(self, key, value, lease=0):
        index = self.replica.index
        old = self.model.pop(key, (None, 0, 0))
        if value is not None:
            self.model[key] = (value, index, lease)
        self.changes.append((index, key, value, old[0]))

    @rule(key=keys, value=values)
    def put(self, key, value):
        assert put(self.replica, key, value) == (True, self.replica.index)
        self.changed(key, value)

    @rule(key=keys, value=values, right=st.booleans())
    def put_if(self, key, value, right):
        now = self.model.get(key, (None, 0, 0))[1]
        done, found = put(self.replica, key, value, if_version=now if right else now + 1)
        assert done == right
        if right:
            self.changed(key, value)
        else:
            assert (found[1] if found else 0) == now

    @rule(pairs=st.lists(st.tuples(keys, values), max_size=4))
    def put_many(self, pairs):
        self.replica.ok("dict", "put_many", "d", *((k, encoding.dumps(v)) for k, v in pairs))
        for key, value in pairs:
            self.changed(key, value)

    @rule(key=keys)
    def remove(self, key):
        done, found = self.replica.ok("dict", "remove", "d", key, None)
        assert done
        assert (found is None) == (key not in self.model)
        if key in self.model:
            self.changed(key, None)

    @rule(prefix=st.sampled_from(["", "a", "a/", "zz", "nothing"]))
    def remove_prefix(self, prefix):
        keys = sorted(key for key in self.model if key.startswith(prefix))
        assert self.replica.ok("dict", "remove_prefix", "d", prefix) == len(keys)
        for key in keys:
            self.changed(key, None)

    @rule(key=keys, by=values)
    def increment(self, key, by):
        value, _version, lease = self.model.get(key, (0, 0, 0))
        assert self.replica.ok("dict", "increment", "d", key, by) == value + by
        self.changed(key, value + by, lease)

    @rule(key=keys, value=values, has_ttl=st.booleans())
    def put_with_a_lease(self, key, value, has_ttl):
        lease = 0 if has_ttl else self.replica.ok("lease", "grant", "", 9.0)
        done, version = put(self.replica, key, value, lease=lease, ttl_s=9.0 if has_ttl else 0.0)
        assert done
        self.changed(key, value, lease or version)

    @rule(data=st.data())
    def end_a_lease(self, data):
        timers = sorted(self.replica.timers)
        if timers:
            name = data.draw(st.sampled_from(timers))
            self.replica.fire(name)
            for key in [k for k, each in self.model.items() if timer_name(each[2]) == name]:
                self.changed(key, None)

    @rule(key=keys, other=keys, value=values, right=st.booleans())
    def transact(self, key, other, value, right):
        version = self.model.get(other, (None, 0, 0))[1] + (not right)
        writes = (("d", key, encoding.dumps(value)), ("d", other, None))
        found = self.replica.ok("dict", "transact", "", (("d", other, version),), writes)
        assert (found is None) == right
        if right:
            self.changed(key, value)
            if other in self.model:
                self.changed(other, None)

    @rule()
    def restart_from_a_snapshot(self):
        other = self.replica.restored()
        assert other.items() == self.replica.items()
        self.replica = other

    @invariant()
    def what_is_read_is_in_the_model(self):
        self.moments[self.replica.index] = dict(self.model)
        for key in KEYS:
            item = self.replica.read("dict", "get", "d", key)
            assert (None if item is None else (encoding.loads(item[0]), *item[1:])) == (
                self.model.get(key)
            )
        assert self.replica.read("dict", "count", "d") == len(self.model)

    @invariant()
    def a_scan_sees_one_moment(self):
        for at in [*self.moments][-5:]:
            found, more, _at = self.replica.read("dict", "page", "d", "", None, at)
            assert not more
            then = self.moments[at] if at else self.model
            assert {key: encoding.loads(item[0]) for key, item in found} == {
                key: each[0] for key, each in then.items()
            }
            assert [key for key, _item in found] == sorted(then)

    @invariant()
    def the_history_has_every_change_in_its_order(self):
        for prefix in ("", "a/"):
            found, upto = self.replica.read("dict", "events", "d", prefix, 0)
            assert upto == self.replica.index
            told = [
                (index, key, *(None if each is None else encoding.loads(each[0]) for each in both))
                for index, key, *both in found
            ]
            assert told == [each for each in self.changes if each[1].startswith(prefix)]


TestModel = Model.TestCase


def test_pages_follow_each_other_and_see_what_was_there_at_the_first(monkeypatch):
    monkeypatch.setattr(dicts, "PAGE_MAX", 3)
    replica = Replica()
    for number in range(8):
        put(replica, f"k{number}", number)
    found, more, at = replica.read("dict", "page", "d", "", None, 0)
    assert [key for key, _item in found] == ["k0", "k1", "k2"]
    assert more
    put(replica, "k15", "new")
    put(replica, "k4", "changed")
    replica.ok("dict", "remove", "d", "k5", None)
    found, more, at = replica.read("dict", "page", "d", "", "k2", at)
    assert [(key, encoding.loads(item[0])) for key, item in found] == [
        ("k3", 3), ("k4", 4), ("k5", 5),
    ]  # fmt: skip
    found, more, _at = replica.read("dict", "page", "d", "", "k5", at)
    assert ([key for key, _item in found], more) == (["k6", "k7"], False)


def test_changes_are_forgotten_one_by_one_and_who_asks_for_one_is_told(monkeypatch):
    monkeypatch.setattr(history, "EVENTS_MAX", 3)
    replica = Replica()
    for number in range(5):
        put(replica, "k", number)
    refused = replica.machine.handle_read(("dict", "events", "d", "", 1), replica.state)
    assert refused == ("refused", ("forgotten", 2))
    found, _upto = replica.read("dict", "events", "d", "", 2)
    assert [encoding.loads(new[0]) for _index, _key, new, _old in found] == [2, 3, 4]


@pytest.mark.parametrize(
    "command",
    [("put", "d", 7, b"", None, 0, 0.0), ("put", "d", "k", "text", None, 0, 0.0),
     ("put", "d", "k", b"", None, 0, 5), ("put", "d", "k" * 5000, b"", None, 0, 0.0),
     ("put", "d", "k", b"", None, 99, 0.0), ("put_many", "d", ("k", b""), ("l", 5)),
     ("increment", "d", "text", 1), ("increment", "d", "n", 1.5),
     ("transact", "", (), (("d", "k", b""), ("d", 5, b"")))],
    ids=repr,
)  # fmt: skip
def test_a_command_that_can_not_be_done_changes_nothing(command):
    replica = Replica()
    put(replica, "text", "no number")
    before = replica.items()
    assert replica.write("dict", *command)[0] == "refused"
    assert replica.items() == before


def test_a_dict_of_a_group_is_a_mapping(kits):
    d = kits().dict("d", value=int)
    d["b"], d["a"] = 2, 1
    assert dict(d) == {"a": 1, "b": 2}
    assert (len(d), "a" in d, 5 in d, d.get("c"), d.get("c", 7)) == (2, True, False, None, 7)
    assert list(d.items()) == [("a", 1), ("b", 2)]
    assert (d.pop("a"), d.pop("a", 5), d.setdefault("b", 9), d.setdefault("c", 3)) == (1, 5, 2, 3)
    for missing in (lambda: d["a"], lambda: d.pop("a"), lambda: d.entry("a")):
        with pytest.raises(KeyError, match="a"):
            missing()
    with pytest.raises(KeyError):
        del d["a"]
    d.update({"x": 1}, y=2)
    assert d.entry("x").version == d.entry("y").version, "one entry of the log"
    assert d.remove("x")
    assert not d.remove("x")
    d.clear()
    assert d == {}
    with pytest.raises(TypeError, match="a key of a dict is a text"):
        d[1] = 1
    with pytest.raises(TypeError, match="value"):
        d["k"] = object()


def test_a_key_is_changed_only_if_nobody_else_has_changed_it(kits):
    d = kits().dict("d")
    version = d.put("k", 1, if_absent=True)
    with pytest.raises(Conflict, match="read it again") as conflict:
        d.put("k", 2, if_absent=True)
    assert (conflict.value.entry.value, conflict.value.entry.version) == (1, version)
    with pytest.raises(Conflict, match="is not there"):
        d.put("other", 2, if_version=version)
    assert d.put("k", 2, if_version=version) > version
    with pytest.raises(Conflict):
        d.remove("k", if_version=version)
    with pytest.raises(ValueError, match="leave out one"):
        d.put("k", 1, if_version=5, if_absent=True)
    with pytest.raises(ValueError, match="leave out one"), kits().lease() as lease:
        d.put("k", 1, lease=lease, ttl=1.0)


def test_keys_end_with_their_lease_and_after_their_time(kits):
    kit = kits()
    d = kit.dict("d")
    with kit.lease(ttl=1.0) as lease:
        d.put("mine", 1, lease=lease)
        d.put("short", 1, ttl=0.3)
        d.put("kept", 1, ttl=0.3)
        d.put("kept", 2)  # has no time any more
        assert d.entry("mine").lease == lease.id
        eventually(lambda: "short" not in d)
        assert d["mine"] == 1
    assert dict(d) == {"kept": 2}
    with pytest.raises(LeaseLost, match="has ended"):
        d.put("late", 1, lease=lease)


def test_increments_of_many_threads_are_all_there_though_the_leader_dies(kits, members):
    kit = kits()
    d = kit.dict("d")
    threads, each = 8, 25

    def work():
        for _ in range(each):
            d.increment("sum")
            d.change("also", lambda value: (value or 0) + 1, tries=10_000)
            kit.transaction(lambda t: t.put(d, "too", t.get("d", "too", 0) + 1), tries=10_000)

    running = [threading.Thread(target=work) for _ in range(threads)]
    for thread in running:
        thread.start()
    for _ in range(3):
        time.sleep(0.1)
        leader = eventually(lambda: Raft.leader(members[0]))
        assert Raft.transfer_leadership(leader)[0] in {"ok", "error"}
    for thread in running:
        thread.join()
    assert dict(d) == dict.fromkeys(("sum", "also", "too"), threads * each)


def test_a_transaction_that_raises_writes_nothing_and_one_that_never_wins_says_so(kits):
    kit = kits()
    d = kit.dict("d")
    d["k"] = 1

    def breaks(transaction):
        transaction.put(d, "k", 2)
        transaction.delete(d, "k")
        assert transaction.get(d, "k", "gone") == "gone"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        kit.transaction(breaks)
    assert d["k"] == 1
    with pytest.raises(Conflict, match="3 times"):
        kit.transaction(lambda t: (t.get(d, "k"), d.increment("k"), t.put(d, "k", 0)), tries=3)
    with pytest.raises(Conflict):
        d.change("k", lambda _value: d.increment("k"), tries=2)


def test_a_watch_misses_nothing_while_leaders_change(kits, members):
    d = kits().dict("d")
    d["before"] = 1
    watch = kits().dict("d").watch(prefix="k")
    seen = []

    def read():
        while not seen or seen[-1].value != 199:
            seen.append(watch.get(timeout=60.0))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(200):
        d[f"k{number % 3}"] = number
        if number % 60 == 30:
            Raft.transfer_leadership(eventually(lambda: Raft.leader(members[0])))
    reader.join(60)
    assert [change.value for change in seen] == list(range(200))
    assert [change.index for change in seen] == sorted({change.index for change in seen})
    assert [change.old for change in seen[:4]] == [None, None, None, 0]
    with pytest.raises(TimeoutError):
        watch.get(timeout=0.05)
    del d["k0"]
    (change,) = [watch.get(timeout=30.0)]
    assert (change.kind, change.key, change.value, change.old) == ("delete", "k0", None, 198)


def test_a_state_and_a_watch_behind_it_leave_no_gap(kits):
    d = kits().dict("d")
    d.update(a=1, b=2)
    whole, index = d.read_at()
    d["a"] = 5
    d.update(b=6, c=7)
    watch = d.watch(after=index)
    assert whole == {"a": 1, "b": 2}
    first, second = watch.get(timeout=30.0), watch.get(timeout=30.0)
    assert [(each.key, each.value) for each in (first, second)] == [("a", 5), ("b", 6)]
    again = d.watch(after=watch.index).get(timeout=30.0)
    assert (again.key, again.value) == ("b", 6), "the other key of that command was not read yet"
    one = d.watch("c", after=index).get(timeout=30.0)
    assert (one.key, one.value) == ("c", 7)


def test_a_watch_that_comes_too_late_gets_the_state_once(kits, monkeypatch):
    monkeypatch.setattr(history, "EVENTS_MAX", 5)
    d = kits().dict("d")
    watch = d.watch()
    for number in range(20):
        d[f"k{number % 2}"] = number
    change = watch.get(timeout=30.0)
    assert (change.kind, change.state) == ("resync", {"k0": 18, "k1": 19})
    d["k0"] = 100
    change = watch.get(timeout=30.0)
    assert (change.kind, change.key, change.value) == ("put", "k0", 100)
    scan = d.entries()
    monkeypatch.setattr(dicts, "PAGE_MAX", 1)
    next(scan)
    for number in range(20):
        d["k0"] = number
    with pytest.raises(Forgotten, match="read the whole"):
        list(scan)


def test_dicts_are_awaited_too(members):
    async def main():
        async with AsyncKit(members, timeout=30.0) as kit:
            d = kit.dict("d", value=int)
            async with d.watch(prefix="a") as watch:
                await d.update({"a": 1}, b=2)
                assert (await watch.get(timeout=30.0)).value == 1
                await d.put("ab", 5)
                assert (await anext(watch)).key == "ab"
            assert await d.contains("a")
            assert [key async for key, _entry in d.entries()] == ["a", "ab", "b"]
            assert await d.increment("a") == 2
            assert await d.change("a", lambda value: value * 10) == 20
            assert (await d.entry("a")).value == 20
            assert await d.setdefault("a", 5) == 20
            assert await d.pop("ab") == 5
            assert await d.count() == 2
            assert (await d.read_at())[0] == {"a": 20, "b": 2}
            assert await kit.transaction(lambda t: t.get(d, "a")) == 20
            assert await d.remove("a")
            assert await d.get("a") is None
            await d.clear()
            with pytest.raises(KeyError):
                await d.pop("a")

    asyncio.run(main())


def test_a_dict_of_a_group_that_is_gone_says_so(kits, members):
    kit = kits()
    kit.cluster.timeout = 0.5
    d = kit.dict("d")
    d["k"] = 1
    for name in members:
        Raft.stop(name)
    with pytest.raises(NotApplied):
        _ = d["k"]
