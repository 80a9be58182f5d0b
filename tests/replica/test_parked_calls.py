"""Parked calls at one replica: when each is answered, and that none stays that nobody waits for.

The replicas run in a simulated world, where time passes only when a test lets it.
"""

from itertools import count

import pytest

from raft_actors import encoding
from raft_actors.config import Config
from raft_actors.machine.topics import TOPICS_MAX, Topics, check_topic
from raft_actors.replica import parked_calls
from raft_actors.replica.parked_calls import ParkedCalls
from raft_actors.replica.questions import (
    Applied,
    EndCalls,
    Leading,
    ParkedCall,
    Published,
    SourceLost,
    question_of,
)
from raft_actors.replica.requests import PARK, PARK_BYTES_MAX, UNPARK, event_of
from raft_actors.testing.simulation.world import World

NUMBERS = count(1)
LEADER = ("a", "a@pretend")


class Ticket:
    def __init__(self):
        self.answers = []

    def set(self, answer):
        self.answers.append(answer if type(answer) is list else encoding.loads_stored(answer))


class Group(World):
    """Three replicas that have formed a group, and how to park calls there."""

    def __init__(self, **config):
        super().__init__("abc", config=Config(log_store="memory", **config))
        self.configure("a")
        self.ring(0.2)
        self.name = self.leader().name

    def park(self, question, name="", source="x@y", number=0, size=10):
        ticket = Ticket()
        call = ParkedCall(question, ticket, source, number or next(NUMBERS), size)
        self.step(name or self.name, call)
        return ticket

    def replica(self, name=""):
        return self.peers[name or self.name].replica

    def parked(self, name=""):
        """How many calls are parked there; and everything that knows of calls knows of as many."""
        parked = self.replica(name).parked
        kinds = sum(len(waiting.calls) for waiting in parked.kinds.values())
        sources = sum(map(len, parked.by_source.values()))
        sizes = sum(call.size for call in parked.calls)
        assert len(parked.calls) == kinds == sources
        assert sizes == parked.size == sum(parked.sizes.values())
        assert set(parked.sizes) == set(parked.by_source)
        if not parked.topics.calls:
            assert parked.topics.by_topic == parked.topics.by_prefix == {}
        return kinds

    def view(self, name=""):
        ticket = self.park(Leading(), name)
        return key_of(ticket.answers[0][1])


def key_of(view):
    return (
        view["current_term"], view["leader"], view["ready"], view["configuration"]["index"],
    )  # fmt: skip


@pytest.fixture
def group():
    return Group()


@pytest.fixture
def short(monkeypatch):
    """Calls stay open for two seconds, so that a test need not simulate a minute."""
    monkeypatch.setattr(parked_calls, "PARKED_S", 2.0)


@pytest.fixture
def publishes(monkeypatch):
    """Have the next command that a replica applies publish these topics."""
    from raft_actors.machine.replicated_state import ReplicatedState

    run, topics = ReplicatedState.run, []

    def run_and_publish(state, command, *fired):
        for topic in topics:
            state.topics.publish(topic, state.index + 1)
        return run(state, command, *fired)

    monkeypatch.setattr(ReplicatedState, "run", run_and_publish)

    def publish(group, *wanted):
        topics[:] = wanted
        group.write(group.name, 1)
        group.ring(0.2)
        topics.clear()
        return group.replica().applier.applied.index

    return publish


# Who leads.


def test_who_has_seen_nothing_is_answered_at_once_and_who_knows_it_waits(group):
    view = group.view()
    assert view[1] == ("a", "a@pretend")
    assert view[2]
    ticket = group.park(Leading(view))
    group.ring(1)
    assert ticket.answers == []
    assert group.parked() == 1


def test_each_view_of_a_member_is_told_once_and_terms_never_fall(group):
    seen = [group.view("b")]
    ticket = group.park(Leading(seen[0]), "b")
    group.crash("a")
    for _ in range(400):
        group.ring(0.01)
        if ticket.answers:
            seen.append(key_of(ticket.answers[0][1]))
            ticket = group.park(Leading(seen[-1]), "b")
    assert seen[1][1:3] == (None, False)
    assert seen[-1][1] in {("b", "b@pretend"), ("c", "c@pretend")}
    assert seen[-1][2]
    assert len(set(seen)) == len(seen)
    assert [view[0] for view in seen] == sorted(view[0] for view in seen)


def test_a_member_that_is_behind_answers_nothing_of_an_older_term(group):
    """Planted: answer whenever the view differs."""
    term, _leader, _ready, configured = group.view("b")
    ticket = group.park(Leading((term + 1, ("c", "c@pretend"), True, configured)), "b")
    assert ticket.answers == []
    group.crash("a")
    group.ring(3)
    assert all(answer[1]["current_term"] > term for answer in ticket.answers)
    assert len(ticket.answers) == 1


def test_a_change_of_members_is_told_too(group):
    ticket = group.park(Leading(group.view("b")), "b")
    group.configure("a", "ab")
    group.ring(1)
    (answer,) = ticket.answers
    assert answer[1]["configuration"]["members"] == [("a", "a@pretend"), ("b", "b@pretend")]


# What is applied.


def test_who_waits_for_an_entry_is_answered_when_it_is_applied(group):
    index = group.replica("b").applier.applied.index
    assert group.park(Applied(index), "b").answers == [("ok", index)]
    tickets = [group.park(Applied(index + n), "b") for n in (3, 1, 2, 1)]
    group.write("a", 1)
    group.ring(1)
    assert [len(ticket.answers) for ticket in tickets] == [0, 1, 0, 1]
    group.write("a", 1, 1)
    group.ring(1)
    assert [len(ticket.answers) for ticket in tickets] == [1, 1, 1, 1]
    assert group.parked("b") == 0


# What commands have changed.


def test_a_call_waits_for_its_topics_and_prefixes_and_is_told_which_have_changed(group, publishes):
    after = publishes(group, "z")
    one = group.park(Published(after, ("a", "b")))
    some = group.park(Published(after, ("q",), ("a", "k/")))
    every = group.park(Published(after, (), ("",)))
    index = publishes(group, "k/1", "b")
    assert one.answers == [("ok", (index, ("b",), LEADER))]
    assert some.answers == [("ok", (index, ("k/1",), LEADER))]
    assert every.answers == [("ok", (index, ("b", "k/1"), LEADER))]
    again = group.park(Published(index, ("a", "b")))
    publishes(group, "c")
    assert again.answers == []
    late = group.park(Published(after, ("c", "k/1", "a")))
    assert late.answers[0][1][1] == ("c", "k/1")


def test_what_was_published_while_nobody_waited_is_told_at_once(group, publishes):
    first = publishes(group, "a")
    second = publishes(group, "b")
    assert group.park(Published(first, ("a", "b"))).answers == [("ok", (second, ("b",), LEADER))]
    assert group.park(Published(second, ("a", "b"))).answers == []
    assert group.park(Published(None, ("a",))).answers == [("ok", (second, (), LEADER))]


def test_a_member_that_is_behind_answers_nothing_that_was_seen_elsewhere(group, publishes):
    """Planted: an answer has the index of the member, so that the next call goes back in time."""
    group.isolate("c")
    after = publishes(group, "a")
    ticket = group.park(Published(after, ("a",)), "c")
    group.heal()
    group.ring(1)
    assert group.replica("c").applier.applied.index >= after
    assert ticket.answers == []
    index = publishes(group, "a")
    assert ticket.answers == [("ok", (index, ("a",), LEADER))]


def test_after_a_restart_what_was_seen_before_the_state_counts_as_changed(group, publishes):
    """The topics of the entries that a snapshot has replaced are not known."""
    after = publishes(group, "a")
    topics = group.replica("b").applier.applied.topics
    topics.restart(topics.floor + 100)
    (answer,) = group.park(Published(after, ("q",)), "b").answers
    assert answer[1][1] is None
    waiting = group.park(Published(after + 200, ("q",)), "b")
    assert waiting.answers == []


def test_a_state_that_is_restored_answers_who_waits(publishes):
    group = Group(snapshot_entries=20, snapshot_trailing=1)
    after = group.replica("c").applier.applied.index
    tickets = [group.park(Published(after, ("q",)), "c"), group.park(Applied(after + 5), "c")]
    group.isolate("c")
    for _ in range(50):
        publishes(group, "other")
        # It is alone: who waits for commands is sent away, and comes again.
        tickets[0].answers.clear()
    assert group.replica("b").core.log.base > after
    group.heal()
    asked = group.replica("c").parked
    asked.leaderless_s = 1e9
    tickets[0] = group.park(Published(after, ("q",)), "c")
    assert tickets[0].answers == []
    group.ring(3)
    assert tickets[0].answers[0][1][1] is None
    assert tickets[1].answers[0][0] == "ok"


def test_topics_that_are_forgotten_count_as_changed():
    topics = Topics(0)
    for index in range(1, TOPICS_MAX + 11):
        topics.publish(f"topic {index}", index)
    assert topics.floor == 10
    assert len(topics.last) == TOPICS_MAX
    assert topics.changed_after(9, ("q",), ()) is None
    assert topics.changed_after(10, ("q", "topic 11"), ()) == ["topic 11"]
    topics.publish("topic 11", TOPICS_MAX + 11)
    assert topics.changed_after(TOPICS_MAX + 10, (), ("topic",)) == ["topic 11"]


@pytest.mark.parametrize("topic", [7, None, "x" * 513, "é" * 257, "\udcff"])
def test_a_topic_is_a_text_of_bounded_length(topic):
    with pytest.raises((TypeError, ValueError)):
        check_topic(topic)


# Those who had better wait elsewhere.


def test_a_member_without_a_leader_sends_away_who_waits_for_commands(group):
    index = group.replica("b").applier.applied.index
    published = group.park(Published(index, ("a",)), "b")
    leading = group.park(Leading((9, None, False, 9)), "b")
    group.isolate("b")
    group.ring(0.5)
    assert published.answers == []
    group.ring(3)
    assert published.answers == [("error", "election_in_progress")]
    assert leading.answers == []
    assert group.park(Published(index, ("a",)), "b").answers == published.answers


def test_a_peer_that_was_removed_names_the_members(group):
    index = group.replica("c").applier.applied.index
    ticket = group.park(Published(index + 10, ("a",)), "c")
    group.configure("a", "ab")
    group.ring(1)
    assert ticket.answers == [[["a", "a@pretend"], ["b", "b@pretend"]]]
    assert group.parked("c") == 0


def test_a_witness_names_the_members_that_have_a_state():
    world = World("abc", config=Config(log_store="memory"))
    world.configure("a", "abc", "", "c")
    world.ring(3)
    ticket = Ticket()
    world.step("c", ParkedCall(Published(0, ("a",)), ticket, "x@y", 1, 10))
    assert ticket.answers == [[["a", "a@pretend"], ["b", "b@pretend"]]]


# The end of calls.


@pytest.mark.usefixtures("short")
def test_an_idle_call_is_answered_in_the_end_with_what_is_known(group, publishes):
    index = publishes(group, "other")
    view = group.view()
    tickets = [
        group.park(Leading(view)),
        group.park(Applied(index + 5)),
        group.park(Published(index - 1, ("a",))),
        group.park(Published(index + 50, ("a",))),
    ]
    group.ring(1.9)
    assert [ticket.answers for ticket in tickets] == [[], [], [], []]
    group.ring(1)
    (leading,), (applied,), (published,), (ahead,) = (ticket.answers for ticket in tickets)
    assert key_of(leading[1]) == view
    assert applied == ("ok", index)
    assert published == ("ok", (index, (), LEADER))
    assert ahead == ("ok", (index + 50, (), LEADER)), "its asker has seen more than this member"
    assert group.parked() == 0


@pytest.mark.usefixtures("short")
def test_a_call_that_is_taken_back_is_taken_out_and_not_answered(group):
    tickets = [
        group.park(Leading(group.view()), number=1),
        group.park(Applied(1000), number=2),
        group.park(Published(1000, ("a",), ("b/",)), number=3),
        group.park(Applied(1000), source="z@y", number=1),
    ]
    assert group.parked() == 4
    group.step(group.name, EndCalls("x@y", (1, 2, 3, 99)), EndCalls("nobody@y", (1,)))
    assert group.parked() == 1
    group.ring(3)
    assert [len(ticket.answers) for ticket in tickets] == [0, 0, 0, 1]


def test_a_node_that_is_lost_takes_its_calls_along(group):
    for number in range(1, 6):
        group.park(Applied(1000 - number), number=number)
    kept = group.park(Applied(1000), source="z@y")
    group.step(group.name, SourceLost("x@y"), SourceLost("nobody@y"))
    assert group.parked() == 1
    assert kept.answers == []


def test_the_end_of_a_replica_answers_each_call_once(group):
    tickets = [group.park(Applied(1000)), group.park(Leading(group.view()))]
    group.replica().handle([ParkedCall(Applied(1), tickets[0], "x@y", 77, 1)])
    last = Ticket()
    group.replica().handle([ParkedCall(Applied(1000), last, "x@y", 78, 1)])
    group.replica().end()
    assert tickets[1].answers == last.answers == [("error", "no_peer")]
    assert tickets[0].answers == [("error", "no_peer")] * 2


def test_many_answers_of_one_event_take_their_turns(group, monkeypatch):
    monkeypatch.setattr(parked_calls, "AT_ONCE_MAX", 10)
    index = group.replica().applier.applied.index
    tickets = [group.park(Applied(index + 1)) for _ in range(35)]
    look, answered = ParkedCalls.look, []

    def looked(parked):
        has_more = look(parked)
        answered.append(sum(len(ticket.answers) for ticket in tickets))
        return has_more

    monkeypatch.setattr(ParkedCalls, "look", looked)
    group.write(group.name, 1)
    group.ring(0.2)
    assert sorted(set(answered)) == [0, 10, 20, 30, 35]
    assert [len(ticket.answers) for ticket in tickets] == [1] * 35


# Bounds.


def test_one_source_gets_a_part_and_all_together_no_more_than_the_bound():
    group = Group(parked_max=40)
    refused = ("error", "overloaded")
    of_one = [group.park(Applied(1000)) for _ in range(15)]
    assert [ticket.answers for ticket in of_one] == [[]] * 10 + [[refused]] * 5
    others = [group.park(Applied(1000), source=f"{n}@y") for n in range(40)]
    assert [ticket.answers for ticket in others] == [[]] * 30 + [[refused]] * 10
    assert group.parked() == 40
    assert group.park(Applied(1)).answers[0][0] == "ok", "an answer at once needs no room"
    group.step(group.name, SourceLost("x@y"))
    assert group.park(Applied(1000)).answers == []


def test_the_bytes_of_questions_are_bounded_too():
    group = Group(parked_max=40)
    sizes = [group.park(Applied(1000), size=4096).answers for _ in range(4)]
    assert sizes == [[], [], [("error", "overloaded")], [("error", "overloaded")]]
    for n in range(20):
        group.park(Applied(1000), source=f"{n}@y", size=4096)
    assert group.parked() == 10


def test_a_number_that_is_taken_is_refused(group):
    group.park(Applied(1000), number=5)
    assert group.park(Applied(1000), number=5).answers[0][1][0] == "bad_request"
    assert group.parked() == 1


# What arrives from other nodes.


@pytest.mark.parametrize(
    "question",
    [
        Leading(), Leading((3, None, False, 0)), Leading((3, ("a", "a@b"), True, 9)), Applied(7),
        Published(None, ("a",)), Published(3, ("a", "b"), ("c/", "")),
    ],
    ids=repr,
)  # fmt: skip
def test_a_question_comes_through(question):
    payload = encoding.dumps(question.encodable())
    event = event_of(PARK, payload, (0, 4), Ticket(), "x@y")
    assert (event.question, event.source, event.number) == (question, "x@y", 4)
    assert event.size == len(payload)


@pytest.mark.parametrize(
    "value",
    [
        None, (), ("leading",), ("leading", 3), ("leading", (1, 2, 3, 4)),
        ("leading", (1, ("a",), True, 1)), ("leading", (-1, None, True, 1)),
        ("leading", (True, None, True, 1)), ("leading", (1, None, 1, 1)), ("applied", -1),
        ("applied", None), ("applied", 1 << 64), ("applied", True), ("published", 1, (), ()),
        ("published", 1, ["a"], ()), ("published", 1, (1,), ()), ("published", 1, ("a" * 600,), ()),
        ("published", 1, ("a",) * 65, ()), ("published", "1", ("a",), ()), ("other", 1),
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_no_question_is_refused(value):
    with pytest.raises(ValueError, match="no question"):
        question_of(value)


def test_a_question_that_is_too_long_is_refused_before_it_is_read():
    payload = encoding.dumps(Published(1, tuple(f"{n}" * 40 for n in range(60))).encodable())
    assert len(payload) > PARK_BYTES_MAX
    with pytest.raises(ValueError, match="may be parked"):
        event_of(PARK, payload, (0, 1), Ticket())
    for numbers in ((-1,), ("1",), 7):
        with pytest.raises(ValueError, match="no numbers"):
            event_of(UNPARK, encoding.dumps(numbers), (0, 0), Ticket())
    assert event_of(UNPARK, encoding.dumps((3, 4)), (0, 0), Ticket(), "x@y").numbers == (3, 4)
