"""The commands of Batteries on one replica: leases and locks, against a model of them."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from raft_actors import encoding
from raft_actors.effects import TimerFired
from raft_actors.kit.machine.grants import topic_of
from raft_actors.kit.machine.leases import timer_name
from tests.kit.replica import Replica

TTL_S = 5.0


@pytest.fixture
def replica():
    return Replica()


def acquire(replica, lease, holder, *, waits=True, name="a"):
    reply = replica.ok("lock", "acquire", name, lease, holder, waits)
    return None if reply is None else reply[0]


def test_a_lease_is_named_by_the_index_of_its_entry_and_ends_by_its_timer(replica):
    lease = replica.ok("lease", "grant", "", TTL_S)
    assert lease == replica.index
    assert replica.read("lease", "lasts", "", lease) == TTL_S
    assert replica.ok("lease", "keep", "", lease, 99) == (99,)
    replica.fire(timer_name(lease))
    assert replica.read("lease", "lasts", "", lease) == 0.0
    assert replica.ok("lease", "keep", "", lease) == (lease,)
    assert replica.items() == {}


def test_a_keepalive_replaces_the_timer_that_would_have_ended_the_lease(replica):
    """Planted: a keepalive without a timer."""
    lease = replica.ok("lease", "grant", "", TTL_S)
    first = replica.timers[timer_name(lease)]
    replica.ok("lease", "keep", "", lease)
    assert replica.timers[timer_name(lease)] == replica.index > first


@pytest.mark.parametrize("ttl_s", [0.0, -1.0, float("nan"), float("inf"), 5, "5", None])
def test_a_lease_of_no_sensible_time_is_refused_in_words(replica, ttl_s):
    answer = replica.write("lease", "grant", "", ttl_s)
    assert answer[0] == "refused"
    assert "a lease lasts 0.1 to 86400.0 s" in answer[1][1]


def test_a_lock_goes_to_the_first_and_then_to_the_one_that_has_waited_longest(replica):
    one, two = (replica.ok("lease", "grant", "", TTL_S) for _ in range(2))
    token = acquire(replica, one, "x")
    assert token == replica.index
    assert [acquire(replica, two, holder) for holder in ("y", "z")] == [0, 0]
    assert acquire(replica, two, "w", waits=False) is None
    assert replica.read("lock", "info", "a") == ("x", token, ("y", "z"))
    assert replica.ok("lock", "release", "a", "x") is True
    assert replica.news == [topic_of("lock", "a", "y")]
    assert replica.read("lock", "token_of", "a", "y") == (replica.index, False)
    assert replica.ok("lock", "release", "a", "z") is False
    assert replica.ok("lock", "release", "a", "y") is True
    assert replica.read("lock", "info", "a") == (None, 0, ())


def test_a_command_that_comes_twice_gets_the_same_answer_and_changes_nothing(replica):
    """Planted: a holder that asks again is put into the queue behind itself."""
    lease = replica.ok("lease", "grant", "", TTL_S)
    token = acquire(replica, lease, "x")
    assert acquire(replica, lease, "x") == token
    assert acquire(replica, lease, "y") == 0
    before = replica.items()
    assert acquire(replica, lease, "y") == 0
    assert replica.items() == before
    assert replica.ok("lock", "release", "a", "x") is True
    assert replica.ok("lock", "release", "a", "x") is False


def test_what_hangs_on_a_lease_that_ends_goes_to_the_next_in_the_same_entry(replica):
    one, two = (replica.ok("lease", "grant", "", TTL_S) for _ in range(2))
    for name in ("a", "b"):
        acquire(replica, one, "x", name=name)
        acquire(replica, one, "gone too", name=name)
        acquire(replica, two, "y", name=name)
    replica.fire(timer_name(one))
    for name in ("a", "b"):
        assert replica.read("lock", "info", name) == ("y", replica.index, ())
        assert topic_of("lock", name, "gone too") in replica.news, "it would wait for ever"


def test_who_waits_with_a_lease_that_ends_is_told_that_its_place_is_gone(replica):
    """Planted: nothing is published, and it waits for ever."""
    one, two = (replica.ok("lease", "grant", "", TTL_S) for _ in range(2))
    acquire(replica, one, "x")
    acquire(replica, two, "y")
    replica.fire(timer_name(two))
    assert replica.news == [topic_of("lock", "a", "y")]
    assert replica.read("lock", "token_of", "a", "y") == (0, False)


def test_a_lock_is_not_given_to_a_lease_that_has_ended(replica):
    lease = replica.ok("lease", "grant", "", TTL_S)
    replica.ok("lease", "end", "", lease)
    assert replica.write("lock", "acquire", "a", lease, "x", True) == (
        "refused", ("lease_lost", lease),
    )  # fmt: skip
    assert replica.items() == {}


def test_a_lock_is_taken_away_only_from_the_holder_of_that_token(replica):
    lease = replica.ok("lease", "grant", "", TTL_S)
    token = acquire(replica, lease, "x")
    assert replica.write("lock", "force_release", "a", token - 1)[1] == ("not_held", token)
    assert replica.ok("lock", "force_release", "a", token) == "x"
    assert replica.write("lock", "force_release", "a", token)[1] == ("not_held", 0)


@pytest.mark.parametrize(
    "command",
    [(), ("lock",), ("lock", "acquire"), ("lock", "acquire", 7), "lock", ("lock", "steal", "a"),
     ("chest", "open", "a"), ("lock", "acquire", "a" * 257, 1, "x", True), ("lease", "hang", "")],
    ids=repr,
)  # fmt: skip
def test_a_command_that_is_none_is_refused_in_words(replica, command):
    kind, reason = replica.run(command)
    assert kind == "refused"
    assert reason[0] in {"bad_argument", "unknown"}


def test_a_timer_of_something_else_ends_nothing(replica):
    lease = replica.ok("lease", "grant", "", TTL_S)
    replica.run(TimerFired("another", 1))
    assert replica.read("lease", "lasts", "", lease) == TTL_S


class Model(RuleBasedStateMachine):
    """Any commands in any order, beside a model that does the same in the simplest way."""

    @initialize()
    def begin(self):
        self.replica = Replica()
        self.leases = []
        self.queues = {"a": [], "b": []}  # (holder, lease) each; the first one has the lock
        self.tokens = {"a": [0], "b": [0]}

    names = st.sampled_from("ab")
    holders = st.sampled_from("vwxyz")

    def remove(self, name, holder):
        queue = self.queues[name]
        self.queues[name] = [each for each in queue if each[0] != holder]

    @rule()
    def grant(self):
        self.leases.append(self.replica.ok("lease", "grant", "", TTL_S))

    @precondition(lambda self: self.leases)
    @rule(name=names, holder=holders, waits=st.booleans(), data=st.data())
    def acquire(self, name, holder, waits, data):
        lease = data.draw(st.sampled_from(self.leases))
        token = acquire(self.replica, lease, holder, waits=waits, name=name)
        queue = self.queues[name]
        places = [each[0] for each in queue]
        if holder not in places and (waits or not queue):
            queue.append((holder, lease))
            places.append(holder)
        assert (token is None) == (holder not in places)
        assert bool(token) == (places[:1] == [holder])

    @rule(name=names, holder=holders)
    def release(self, name, holder):
        had = self.replica.ok("lock", "release", name, holder)
        assert had == (self.queues[name][:1] != [] and self.queues[name][0][0] == holder)
        self.remove(name, holder)

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), fires=st.booleans())
    def end(self, data, fires):
        lease = self.leases.pop(data.draw(st.integers(0, len(self.leases) - 1)))
        if fires:
            self.replica.fire(timer_name(lease))
        else:
            assert self.replica.ok("lease", "end", "", lease) is True
        for name, queue in self.queues.items():
            self.queues[name] = [each for each in queue if each[1] != lease]

    @rule()
    def restart_from_a_snapshot(self):
        other = self.replica.restored()
        assert other.items() == self.replica.items()
        assert [*other.state.tables] == [*self.replica.state.tables]
        self.replica = other

    @invariant()
    def the_locks_are_those_of_the_model(self):
        for name, queue in self.queues.items():
            holder, token, waiting = self.replica.read("lock", "info", name)
            places = [each[0] for each in queue]
            assert [each for each in (holder, *waiting) if each] == places
            if token and token != self.tokens[name][-1]:
                assert token > self.tokens[name][-1], "a token that is not newer"
                self.tokens[name].append(token)

    @invariant()
    def each_lease_has_its_timer_and_what_hangs_on_it_is_there(self):
        assert {*self.replica.timers} == {*map(timer_name, self.leases)}
        for lease in self.leases:
            hung = sorted(
                ("lock", name, holder)
                for name, queue in self.queues.items()
                for holder, theirs in queue
                if theirs == lease
            )
            assert sorted(self.replica.items().get(("lease", lease), {})) == hung


TestModel = Model.TestCase


def test_a_snapshot_is_not_changed_by_commands_that_come_after_it(replica):
    """Planted: pieces that are read from the tables themselves."""
    lease = replica.ok("lease", "grant", "", TTL_S)
    acquire(replica, lease, "x")
    pieces = replica.machine.snapshot(replica.state).pieces
    replica.ok("lock", "release", "a", "x")
    replica.ok("lease", "end", "", lease)
    restored = replica.machine.restore(
        encoding.loads_stored(encoding.dumps_stored(piece)) for piece in pieces
    )
    assert dict(restored.look("lock", "a"))["holder"][0] == "x"
