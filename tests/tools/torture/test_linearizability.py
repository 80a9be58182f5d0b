"""The checker is checked: against every planted wrong history, and against trying everything.

Planted in the checker itself, each once, and seen red here: an unknown write that ends when its
client gave up; a cache without the state; a cut where a call is under way; one end of a part taken
for all; a write of the value that is there already taken at once; the order of time ignored; a
search that is too hard passed; and in narrowing: every unknown call dropped; one that ends at once;
a chain of unknown compare-and-sets that is not followed.
"""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raft_actors.tools.torture.linearizability import BROKEN, LINEARIZABLE, TOO_HARD, check
from raft_actors.tools.torture.operation import CAS, OK, READ, REFUSED, UNKNOWN, WRITE, Operation
from raft_actors.tools.torture.unknown_outcomes import narrow
from tests.tools.torture.histories import cas, is_linearizable, read, write

WRONG = {
    "stale read": [write(1, 0, 1), write(2, 2, 3), read(1, 4, 5)],
    "lost write": [write(1, 0, 1), read(None, 2, 3)],
    "write lost after it was seen": [write(1, 0, 9), read(1, 1, 2), read(None, 3, 4)],
    "cas that succeeded twice": [
        write(1, 0, 1), cas(1, 2, 2, 5, seen=1), cas(1, 3, 2, 5, seen=1, client=1),
    ],
    "cas that missed what is there": [write(1, 0, 1), cas(1, 2, 2, 3, seen=None)],
    "read of what nobody wrote": [write(1, 0, 1), read(7, 2, 3)],
    "value from the future": [read(1, 0, 1), write(1, 2, 3)],
    "unknown value from the future": [read(1, 0, 1), write(1, 2, 3, outcome=UNKNOWN)],
    "unknown write that happened twice": [
        write(1, 0, 1, outcome=UNKNOWN), read(1, 2, 3), write(2, 4, 5), read(1, 6, 7),
    ],
    "two readers that disagree on the order": [
        write(1, 0, 9), write(2, 0, 9, client=1),
        read(1, 1, 2, client=2), read(2, 3, 4, client=2), read(1, 5, 6, client=3),
    ],
    "refused write that happened": [write(1, 0, 1, outcome=REFUSED), read(1, 2, 3)],
}  # fmt: skip

RIGHT = {
    "nothing": [],
    "write under way, seen and not seen": [
        write(1, 0, 9), read(None, 1, 2), read(1, 3, 4, client=1),
    ],
    "unknown write seen late": [
        write(1, 0, 1, outcome=UNKNOWN), write(2, 2, 3), read(2, 4, 5), read(1, 6, 7),
    ],
    "unknown write never seen": [write(1, 0, 1, outcome=UNKNOWN), read(None, 2, 3)],
    "unknown cas that a later one builds on": [
        write(1, 0, 1), cas(1, 2, 2, 3, outcome=UNKNOWN), cas(2, 3, 4, 5, outcome=UNKNOWN),
        read(1, 6, 7), read(3, 8, 9),
    ],
    "cas that found something else": [write(1, 0, 1), cas(5, 6, 2, 3, seen=1), read(1, 4, 5)],
}  # fmt: skip


def judge(operations):
    return check(narrow(operations)).outcome


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_history_is_broken(name):
    assert judge(WRONG[name]) == BROKEN


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_history_is_linearizable(name):
    assert judge(RIGHT[name]) == LINEARIZABLE


def test_a_broken_history_shows_the_part_that_no_order_explains():
    early = [write(value, 10 * value, 10 * value + 5) for value in range(1, 50)]
    wrong = [write(100, 1000, 1001), read(100, 1002, 1020), read(49, 1010, 1015, client=1)]
    late = [write(200, 2000, 2001), read(200, 2002, 2003)]
    verdict = check([*early, *wrong, *late])
    assert verdict.outcome == BROKEN
    assert verdict.part == wrong[1:]
    assert verdict.starts == [100]
    assert [verdict.part[place] for place in verdict.order] == [wrong[1]]


def test_a_search_that_is_too_hard_is_no_pass():
    at_once = [write(value, 0, 1000) for value in range(1, 25)]
    history = [*at_once, read(99, 0, 1000)]
    assert check(history, configurations_max=5_000).outcome == TOO_HARD


def test_long_histories_are_searched_in_time_that_grows_with_their_length():
    history = []
    for value in range(1, 3001):
        start = 10 * value
        history += [
            write(value, start, start + 9),
            read(value, start + 1, start + 8, client=1),
            cas(value, -value, start + 2, start + 11, seen=value, client=2),
        ]
    assert check(history, configurations_max=10 * len(history)).outcome == LINEARIZABLE


def test_a_value_written_twice_is_refused():
    with pytest.raises(ValueError, match="two calls"):
        narrow([write(1, 0, 1), cas(None, 1, 2, 3)])


TIMES = st.tuples(st.integers(0, 12), st.integers(0, 6))
VALUES = st.sampled_from([None, 1, 2, 3])
ANY_VALUE = st.builds(
    lambda kind, value, expected, seen, times, outcome: Operation(
        client=0, key="k", kind=kind, value=value, expected=expected, seen=seen, outcome=outcome,
        invoked=times[0], completed=times[0] + times[1],
    ),
    st.sampled_from([READ, WRITE, CAS]), VALUES, VALUES, VALUES, TIMES,
    st.sampled_from([OK, OK, OK, UNKNOWN]),
)  # fmt: skip
HISTORY = st.lists(ANY_VALUE, max_size=6)


@settings(max_examples=1500)
@given(HISTORY)
def test_the_search_agrees_with_trying_everything(history):
    assert (check(history).outcome == LINEARIZABLE) == is_linearizable(history)


@settings(max_examples=1500)
@given(HISTORY)
def test_narrowing_changes_no_verdict(history):
    unique = [
        replace(one, value=None if one.kind == READ else place)
        for place, one in enumerate(history, 1)
    ]
    assert (check(narrow(unique)).outcome == LINEARIZABLE) == is_linearizable(unique)
