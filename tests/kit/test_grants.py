"""Semaphores, locks for readers and writers, and elections on one replica, against a model."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from raft_actors.kit.machine.grants import ALL, topic_of
from raft_actors.kit.machine.leases import timer_name
from tests.kit.replica import Replica

TTL_S = 5.0
PERMITS = 3


@pytest.fixture
def replica():
    return Replica()


@pytest.fixture
def lease(replica):
    return replica.ok("lease", "grant", "", TTL_S)


def take(replica, lease, holder, wanted=1, *, kind="semaphore", permits=PERMITS, waits=True):
    reply = replica.ok(kind, "acquire", "a", lease, holder, waits, wanted, permits, b"")
    return None if reply is None else reply[0]


def places(replica, kind="semaphore"):
    _permits, _used, held, waiting = replica.read(kind, "info", "a")
    return [each[0] for each in held], [each[0] for each in waiting]


def test_permits_go_to_those_that_came_first_and_nobody_passes(replica, lease):
    """Planted: whoever fits is let in."""
    assert take(replica, lease, "x", 2)
    assert take(replica, lease, "many", 3) == 0
    assert take(replica, lease, "few", 1) == 0, "it would pass the one that waits"
    assert take(replica, lease, "else", 1, waits=False) is None
    assert replica.ok("semaphore", "release", "a", "x") is True
    assert places(replica) == (["many"], ["few"])
    assert replica.news == [topic_of("semaphore", "a", "many")]


def test_who_leaves_the_queue_makes_room_for_those_behind(replica, lease):
    """Planted: only the release of permits passes anything on."""
    take(replica, lease, "x", 2)
    take(replica, lease, "many", 3)
    take(replica, lease, "few", 1)
    assert replica.ok("semaphore", "release", "a", "many") is False
    assert places(replica) == (["x", "few"], [])


def test_a_command_that_comes_twice_takes_nothing_twice(replica, lease):
    token = take(replica, lease, "x")
    assert take(replica, lease, "x") == token
    assert replica.read("semaphore", "info", "a")[1] == 1
    assert replica.ok("semaphore", "release", "a", "x") is True
    assert replica.ok("semaphore", "release", "a", "x") is False
    assert replica.read("semaphore", "info", "a")[1] == 0


def test_the_permits_belong_to_the_name(replica, lease):
    take(replica, lease, "x")
    replica.ok("semaphore", "release", "a", "x")
    answer = replica.write("semaphore", "acquire", "a", lease, "y", True, 1, 5, b"")
    assert answer == ("refused", ("configuration", PERMITS, 5))
    assert replica.ok("semaphore", "resize", "a", 5) == PERMITS
    assert take(replica, lease, "y", 5, permits=5)


def test_more_permits_let_in_those_that_wait_and_fewer_take_nothing_away(replica, lease):
    take(replica, lease, "x", 3)
    take(replica, lease, "y", 2)
    replica.ok("semaphore", "resize", "a", 5)
    assert places(replica) == (["x", "y"], [])
    replica.ok("semaphore", "resize", "a", 1)
    assert places(replica) == (["x", "y"], [])
    assert take(replica, lease, "z", permits=1) == 0
    replica.ok("semaphore", "release", "a", "x")
    assert places(replica) == (["y"], ["z"]), "two of one are still taken"
    replica.ok("semaphore", "release", "a", "y")
    assert places(replica) == (["z"], [])


def test_a_size_for_which_somebody_would_wait_for_ever_is_refused(replica, lease):
    take(replica, lease, "x", 1)
    take(replica, lease, "y", 3)
    assert replica.write("semaphore", "resize", "a", 2)[1][0] == "bad_argument"


@pytest.mark.parametrize(
    ("wanted", "permits", "value"),
    [
        (0, 3, b""),
        (4, 3, b""),
        (True, 3, b""),
        (1, 0, b""),
        (1, 2**40, b""),
        (1, "3", b""),
        (1, 3, ""),
    ],
)
def test_numbers_that_make_no_sense_are_refused(replica, lease, wanted, permits, value):
    answer = replica.write("semaphore", "acquire", "a", lease, "x", True, wanted, permits, value)
    assert (answer[0], answer[1][0]) == ("refused", "bad_argument")


def test_readers_share_and_a_writer_is_alone_and_is_not_passed_by_readers(replica, lease):
    def lock(holder, wanted):
        return take(replica, lease, holder, wanted, kind="rwlock", permits=ALL)

    assert lock("r1", 1)
    assert lock("r2", 1)
    assert lock("w", ALL) == 0
    assert lock("r3", 1) == 0
    replica.ok("rwlock", "release", "a", "r1")
    assert places(replica, "rwlock") == (["r2"], ["w", "r3"])
    replica.ok("rwlock", "release", "a", "r2")
    assert places(replica, "rwlock") == (["w"], ["r3"])
    token = replica.read("rwlock", "token_of", "a", "w")[0]
    replica.ok("rwlock", "release", "a", "w")
    assert replica.read("rwlock", "token_of", "a", "r3")[0] > token
    replica.ok("rwlock", "release", "a", "r3")
    replica.ok("lease", "end", "", lease)
    assert replica.items() == {}


def test_an_election_publishes_each_change_of_its_leader_and_of_the_leaders_value(replica, lease):
    def campaign(holder, value):
        return replica.ok("election", "acquire", "a", lease, holder, True, 1, 1, value)[0]

    term = campaign("x", b"1")
    assert campaign("y", b"2") == 0
    assert replica.read("election", "leader", "a") == (replica.index, "x", term, b"1")
    assert replica.ok("election", "proclaim", "a", "x", b"3") is True
    assert replica.ok("election", "proclaim", "a", "y", b"4") is False
    assert replica.read("election", "leader", "a")[3] == b"3"
    replica.ok("election", "release", "a", "x")
    assert replica.read("election", "leader", "a")[1:] == ("y", replica.index, b"2")
    replica.ok("election", "release", "a", "y")
    assert replica.read("election", "leader", "a")[1:] == (None, 0, b"")
    changes = [topic for topic in replica.news if topic == topic_of("election", "a")]
    assert len(changes) == 5  # x, its value, x goes, y comes, y goes


class Model(RuleBasedStateMachine):
    """Any commands in any order, beside a list of holders and a list of those that wait."""

    @initialize()
    def begin(self):
        self.replica = Replica()
        self.leases = []
        self.held = []  # (holder, lease, permits) each
        self.queue = []
        self.permits = PERMITS

    holders = st.sampled_from("uvwxyz")

    def used(self):
        return sum(each[2] for each in self.held)

    def let_in(self):
        while self.queue and self.used() + self.queue[0][2] <= self.permits:
            self.held.append(self.queue.pop(0))

    @rule()
    def grant(self):
        self.leases.append(self.replica.ok("lease", "grant", "", TTL_S))

    @precondition(lambda self: self.leases)
    @rule(holder=holders, waits=st.booleans(), data=st.data())
    def acquire(self, holder, waits, data):
        lease = data.draw(st.sampled_from(self.leases))
        wanted = data.draw(st.integers(1, self.permits))
        token = take(self.replica, lease, holder, wanted, permits=self.permits, waits=waits)
        if holder not in {each[0] for each in (*self.held, *self.queue)}:
            is_free = not self.queue and self.used() + wanted <= self.permits
            if waits or is_free:
                self.queue.append((holder, lease, wanted))
                self.let_in()
        assert bool(token) == (holder in {each[0] for each in self.held})
        assert (token == 0) == (holder in {each[0] for each in self.queue})

    @rule(holder=holders)
    def release(self, holder):
        had = self.replica.ok("semaphore", "release", "a", holder)
        assert had == (holder in {each[0] for each in self.held})
        self.drop(lambda each: each[0] == holder)

    def drop(self, goes):
        self.held = [each for each in self.held if not goes(each)]
        self.queue = [each for each in self.queue if not goes(each)]
        self.let_in()

    @rule(permits=st.integers(1, 6))
    def resize(self, permits):
        kind, _ = self.replica.write("semaphore", "resize", "a", permits)
        assert (kind == "refused") == any(each[2] > permits for each in self.queue)
        if kind == "ok":
            self.permits = permits
            self.let_in()

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def end(self, data):
        lease = self.leases.pop(data.draw(st.integers(0, len(self.leases) - 1)))
        self.replica.fire(timer_name(lease))
        self.drop(lambda each: each[1] == lease)

    @rule()
    def restart_from_a_snapshot(self):
        self.replica = self.replica.restored()

    @invariant()
    def it_is_as_in_the_model(self):
        held, waiting = places(self.replica)
        assert sorted(held) == sorted(each[0] for each in self.held)
        assert waiting == [each[0] for each in self.queue]
        assert self.replica.read("semaphore", "info", "a")[1] == self.used()


TestModel = Model.TestCase
