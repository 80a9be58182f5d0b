"""A command of a session runs once, however often it is committed (thesis 6.3).

Planted once, each seen to go red here: a repeated command that runs again; a session that takes an
unknown number for a new one; a window that forgets that a command ran before it refuses it.
"""

import random

import pytest

from raft_actors import StateMachine, encoding
from raft_actors.machine.replicated_state import ReplicatedState
from raft_actors.machine.sessions import (
    END,
    FORGOTTEN,
    LIMITS,
    NEW,
    REPLY,
    REPLY_BYTES_MAX,
    SESSION_S,
    SESSIONS_MAX,
    WINDOW,
    reply_at,
    reply_in,
)
from raft_actors.machine.sessions import Sessions as Table
from raft_actors.replica.requests import LIMIT_SESSIONS, WRITE, event_of

EXPIRED = ("error", "session_expired")


class Numbers(StateMachine):
    """Appends to a list. What it replies may look like an error of Raft's."""

    def init(self, name):
        return []

    def handle_write(self, command, state):
        if command == "raise":
            raise ValueError("no")
        if type(command) is tuple:
            return command, [*state, command]
        return ("ok", len(state)), [*state, command]

    def handle_read(self, query, state):
        return query, state


class Replica:
    def __init__(self):
        self.applied = ReplicatedState(Numbers(), "peer")

    def commit(self, request, command=None, at_s=0):
        """Apply one more entry, stamped `at_s`; None is an empty payload."""
        payload = b"" if command is None else encoding.dumps(command)
        answer = self.applied.write(payload, request, at_s * 1_000)
        self.applied.index += 1
        return encoding.loads(reply_in(answer)[1] if answer.startswith(REPLY) else answer)

    def open(self, salt=0, at_s=0):
        ok, number = self.commit((NEW, salt), at_s=at_s)
        assert ok == "ok"
        return number

    def limit(self, sessions_max=None, session_ms=None):
        ok, limits = self.commit((LIMITS, 0), (sessions_max, session_ms))
        assert ok == "ok"
        return limits["sessions_max"], limits["session_s"]

    @property
    def ran(self):
        return self.applied.state


@pytest.fixture
def replica():
    return Replica()


def test_a_repeated_command_runs_once_and_gets_its_first_answer_again(replica):
    session = replica.open()
    assert replica.commit((session, 1), "a") == ("ok", 0)
    assert replica.commit((session, 2), "b") == ("ok", 1)
    assert replica.commit((session, 1), "a") == ("ok", 0)
    assert replica.ran == ["a", "b"]


def test_a_command_that_raised_is_not_tried_again(replica):
    session = replica.open()
    first = replica.commit((session, 1), "raise")
    assert first[0] == "error"
    assert replica.commit((session, 1), "raise") == first


def test_commands_of_no_session_run_each_time(replica):
    assert replica.commit((0, 7), "a") == ("ok", 0)
    assert replica.commit((0, 7), "a") == ("ok", 1)


def test_threads_of_one_session_may_come_in_any_order(replica):
    session = replica.open()
    order = list(range(1, WINDOW))
    random.Random(1).shuffle(order)
    for sequence in order + order[::3]:
        replica.commit((session, sequence), sequence)
    assert replica.ran == order


def test_a_session_that_was_never_opened_is_told_so_and_nothing_runs(replica):
    assert replica.commit((5, 1), "a") == EXPIRED
    assert replica.ran == []


def test_what_is_older_than_the_window_is_told_so_and_nothing_runs(replica):
    session = replica.open()
    for sequence in range(1, WINDOW + 2):
        replica.commit((session, sequence), sequence)
    assert replica.commit((session, 1), 1) == EXPIRED
    assert replica.commit((session, 2), 2) == ("ok", 1)
    assert len(replica.ran) == WINDOW + 1


def test_a_leap_of_sequences_costs_nothing_and_forgets_the_old(replica):
    session = replica.open()
    replica.commit((session, 1), "a")
    assert replica.commit((session, 1 << 60), "b") == ("ok", 1)
    assert replica.commit((session, 1), "a") == EXPIRED
    assert replica.commit((session, 1 << 60), "b") == ("ok", 1)


def totals(sessions):
    """What a table says of itself, and what is so."""
    each = sessions.by_number.values()
    return (sessions.answers, sessions.size), (
        sum(len(session.replies) for session in each),
        sum(sum(map(len, session.replies.values())) for session in each),
    )


def test_a_session_that_was_ended_is_gone_and_no_other(replica):
    """Planted: leave it to expire."""
    first, second = replica.open(), replica.open()
    replica.commit((first, 1), "a")
    for number in (first, first, 12345):
        assert replica.commit((END, number)) == "ok"
    assert list(replica.applied.sessions.by_number) == [second]
    assert replica.commit((first, 1), "a") == EXPIRED
    assert replica.commit((first, 2), "b") == EXPIRED
    assert replica.commit((second, 1), "c") == ("ok", 1)
    said, so = totals(replica.applied.sessions)
    assert said == so


def test_a_thousand_and_one_sessions_live_side_by_side(replica):
    """Planted: no more than 1,000; each that was used then cost the next one its session."""
    numbers = [replica.open() for _ in range(1_001)]
    for sequence in (1, 2):
        for number in numbers:
            assert replica.commit((number, sequence), "a")[0] == "ok"


def test_all_sessions_together_know_so_many_answers(replica, monkeypatch):
    monkeypatch.setattr("raft_actors.machine.sessions.ANSWERS_MAX", 10)
    first, second, third = (replica.open() for _ in range(3))
    for number in (first, second):
        for sequence in range(1, 5):
            replica.commit((number, sequence), "a")
    replica.commit((first, 5), "a")
    replica.commit((third, 1), "a")
    assert list(replica.applied.sessions.by_number) == [second, first, third]
    replica.commit((third, 2), "a")
    assert list(replica.applied.sessions.by_number) == [first, third]
    assert replica.commit((second, 1), "a") == EXPIRED


def test_by_their_bytes_replies_are_forgotten_and_no_session(replica, monkeypatch):
    monkeypatch.setattr("raft_actors.machine.sessions.REPLIES_BYTES_MAX", 3_000)
    first, second = replica.open(), replica.open()
    large = ("x" * 1_000, 0)
    for number in (first, second):
        replica.commit((number, 1), large)
    assert replica.commit((first, 1), large) == large
    replica.commit((first, 2), large)
    assert replica.commit((second, 1), large) == ("error", "reply_forgotten")
    assert len(replica.ran) == 3
    assert len(replica.applied.sessions.by_number) == 2


def test_tables_are_counted_alike_whatever_came_and_however_they_came(monkeypatch):
    """From entries, from a snapshot, and after a restart with the state on disk."""
    monkeypatch.setattr("raft_actors.machine.sessions.ANSWERS_MAX", 60)
    monkeypatch.setattr("raft_actors.machine.sessions.REPLIES_BYTES_MAX", 4_000)
    chance = random.Random(5)
    replica, restarted, numbers = Replica(), Table(), []
    for index in range(1, 2_000):
        what, at_s = chance.random(), index * 20
        restarted.now_ms = at_s * 1_000
        if index == 1 or what > 0.99:
            limits = chance.choice((6, 12)), chance.choice((2_000_000, None))
            replica.limit(*limits)
            restarted.limit(encoding.dumps(limits))
        elif what < 0.1 or not numbers:
            numbers.append(replica.open(at_s=at_s))
            restarted.open(index, 0)
        elif what < 0.15:
            number = chance.choice(numbers)
            replica.commit((END, number))
            restarted.end(number)
        else:
            request = chance.choice(numbers[-15:]), chance.randrange(1, 40)
            replica.commit(request, "x" * chance.randrange(200), at_s=at_s)
            restarted.pass_over(request, b"command", index)
        table = replica.applied.sessions
        other = Table()
        if index % 100 == 0:
            other.restore(table.stored())
            assert other.limits == table.limits
            assert totals(other) == totals(table)
        for each in (table, restarted):
            said, so = totals(each)
            assert said == so
        assert list(table.by_number) == list(restarted.by_number)
        assert table.limits == restarted.limits
        assert table.answers == restarted.answers
        assert table.answers <= 60


def test_the_session_unused_for_longest_expires(replica):
    replica.limit(1_000)
    first, second = replica.open(), replica.open()
    replica.commit((first, 1), "a")
    for _ in range(999):
        replica.open()
    assert replica.commit((second, 1), "b") == EXPIRED
    assert replica.commit((first, 1), "a") == ("ok", 0)
    assert replica.ran == ["a"]


def test_a_restored_replica_forgets_the_same_session_as_the_others(replica):
    """Planted: a snapshot has them in the order in which they were opened, not used last; then a
    command runs on some replicas, and not on others.
    """
    replica.limit(100)
    sessions = [replica.open() for _ in range(100)]
    replica.commit((sessions[0], 1), "used")
    restored = Table()
    restored.restore(list(replica.applied.sessions.stored()))
    replica.open()
    restored.open(replica.applied.index, 0)
    assert list(restored.by_number) == list(replica.applied.sessions.by_number)
    assert sessions[0] in restored.by_number
    assert sessions[1] not in restored.by_number


def test_a_session_unused_for_an_hour_of_the_log_expires(replica):
    """Planted: leave the time of the last use as it was when the session was opened."""
    idle, busy = replica.open(at_s=1_000), replica.open(at_s=1_000)
    replica.commit((idle, 1), "a", at_s=1_000)
    for hour in range(1, 4):
        assert replica.commit((busy, hour), hour, at_s=1_000 + hour * SESSION_S)[0] == "ok"
    assert replica.commit((idle, 1), "a", at_s=1_000 + 3 * SESSION_S) == EXPIRED
    assert replica.commit((idle, 2), "b", at_s=1_000) == EXPIRED, "it is gone for good"
    assert replica.ran == ["a", 1, 2, 3]
    assert list(replica.applied.sessions.by_number) == [busy]


def test_a_session_lives_as_long_as_its_last_use_is_young_enough(replica):
    session = replica.open(at_s=1_000)
    assert replica.commit((session, 1), "a", at_s=1_000 + SESSION_S) == ("ok", 0)
    assert replica.commit((session, 2), at_s=1_000 + 2 * SESSION_S) == ("error", "not_applied")
    assert replica.commit((session, 1), "a", at_s=1_000 + 3 * SESSION_S + 1) == EXPIRED


def test_a_leader_whose_clock_is_behind_turns_no_time_back(replica):
    old, new = replica.open(at_s=10_000), replica.open(at_s=10_000 + SESSION_S)
    replica.commit((new, 1), "a", at_s=10_001 + SESSION_S)
    assert replica.commit((old, 1), "b", at_s=0) == EXPIRED
    assert replica.commit((new, 2), "c", at_s=0) == ("ok", 1)


def test_a_group_sets_how_long_and_how_many_sessions_it_keeps(replica):
    assert replica.limit(session_ms=60_000) == (SESSIONS_MAX, 60)
    session = replica.open(at_s=1_000)
    assert replica.commit((session, 1), "a", at_s=1_060) == ("ok", 0)
    assert replica.commit((session, 1), "a", at_s=1_121) == EXPIRED
    assert replica.limit(2) == (2, 60), "the other limit stays"
    kept = [replica.open(at_s=1_121) for _ in range(3)][1:]
    assert list(replica.applied.sessions.by_number) == kept
    assert replica.limit(session_ms=7_200_000) == (2, 7_200)
    assert replica.commit((kept[0], 1), "b", at_s=1_121 + 7_200) == ("ok", 1)


def test_what_is_above_new_limits_expires_at_once(replica):
    first, *others = (replica.open(at_s=second) for second in (10, 20, 30, 40))
    replica.commit((first, 1), "a", at_s=50)
    replica.limit(3)
    assert list(replica.applied.sessions.by_number) == [*others[1:], first]
    replica.limit(session_ms=15_000)
    assert list(replica.applied.sessions.by_number) == [others[2], first]
    assert replica.commit((first, 1), "a", at_s=50) == ("ok", 0)


@pytest.mark.parametrize(
    "change",
    [(0, None), (True, None), (1_000_001, None), (None, 999), (None, 2_592_000_001), (1.0, None),
     (1,), ("1", None), None],
)  # fmt: skip
def test_limits_that_are_none_never_come_into_the_log(change):
    payload = encoding.dumps(change)
    with pytest.raises(ValueError, match=r"sessions|session_s"):
        event_of(LIMIT_SESSIONS, payload, (0, 1), None)


def test_a_write_sets_no_limits():
    with pytest.raises(ValueError, match="only the leader"):
        event_of(WRITE, encoding.dumps((1, None)), (LIMITS, 1), None)


def test_opening_a_session_forgets_the_expired_ones(replica):
    for _ in range(5):
        replica.open(at_s=0)
    last = replica.open(at_s=SESSION_S + 1)
    assert list(replica.applied.sessions.by_number) == [last]


def test_a_command_shows_the_index_at_which_it_ran_first(replica):
    session = replica.open()
    first = replica.applied.write(encoding.dumps("a"), (session, 1))
    assert reply_in(first)[0] == replica.applied.index + 1
    replica.applied.index += 5
    assert replica.applied.write(encoding.dumps("a"), (session, 1)) == first


def test_an_entry_that_opens_a_session_and_comes_twice_opens_two(replica):
    assert replica.open(salt=9) != replica.open(salt=9)


def test_groups_give_different_numbers_to_different_salts(replica):
    assert replica.open(salt=9) != Replica().open(salt=8)


def test_an_empty_command_settles_that_what_has_not_run_never_will(replica):
    session = replica.open()
    replica.commit((session, 2), "b")
    assert replica.commit((session, 2)) == ("ok", 0)
    assert replica.commit((session, 1)) == ("error", "not_applied")
    assert replica.commit((session, 1), "late") == ("error", "not_applied")
    assert replica.ran == ["b"]


def test_large_replies_are_forgotten_but_not_that_their_commands_ran(replica):
    session = replica.open()
    large = ("reply", "x" * (REPLY_BYTES_MAX // 4))
    for sequence in range(1, 6):
        replica.commit((session, sequence), large)
    assert replica.commit((session, 1), large) == encoding.loads(FORGOTTEN)
    assert replica.commit((session, 5), large) == large, "the newest is kept"
    assert len(replica.ran) == 5
    kept = replica.applied.sessions.by_number[session]
    assert kept.size == sum(map(len, kept.replies.values())) <= REPLY_BYTES_MAX


def test_a_reply_that_looks_like_an_error_of_rafts_is_told_apart(replica):
    session = replica.open()
    payload = encoding.dumps(EXPIRED)
    assert replica.applied.write(payload, (session, 1)) == reply_at(2, payload)
    assert replica.applied.read(REPLY + payload) == reply_at(1, payload)
    assert replica.applied.read(payload) == payload
    assert replica.applied.read(REPLY) == reply_at(1, b"")


def test_a_replica_that_was_restored_goes_on_as_the_others():
    """A snapshot may be taken anywhere: two replicas, one of them restored, answer alike."""
    luck = random.Random(5)
    one, other = Replica(), Replica()
    sessions = [one.open() for _ in range(3)]
    other.applied.index = one.applied.index
    for step in range(6_000):
        if step % 1_500 == 0:
            stored = encoding.dumps(list(one.applied.sessions.stored()))
            other.applied.sessions = Table()
            other.applied.sessions.restore(encoding.loads(stored))
            other.applied.state = list(one.ran)
        request = (luck.choice(sessions), max(1, step // 2 + luck.randrange(-900, 900)))
        command = ("reply", "x" * luck.randrange(600))
        at_s = step + luck.randrange(SESSION_S // 2)
        assert one.commit(request, command, at_s) == other.commit(request, command, at_s)
    assert one.ran == other.ran
    assert len(one.ran) < 6_000
    assert list(one.applied.sessions.stored()) == list(other.applied.sessions.stored())
