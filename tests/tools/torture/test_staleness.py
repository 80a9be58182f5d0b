"""Stale reads of a history, judged: as stale as their bound allows, and no more."""

import pytest

from raft_actors.tools.torture.operation import STALE, WRITE, Operation
from raft_actors.tools.torture.staleness import Staleness, look_for_staler

SECOND = 1_000_000_000


def write(value, completed_s):
    return Operation(
        client=1, key="x", kind=WRITE, value=value, invoked=0, completed=int(completed_s * SECOND)
    )


def read(seen, invoked_s, staleness_s):
    return Operation(
        client=2, key="x", kind=STALE, seen=seen, staleness_s=staleness_s,
        invoked=int(invoked_s * SECOND), completed=100 * SECOND,
    )  # fmt: skip


def judged(*reads):
    found = Staleness()
    look_for_staler(found, "x", [write(1, 1.0), write(2, 2.0), *reads], [1, 2])
    return found


@pytest.mark.parametrize(
    ("seen", "invoked_s", "staleness_s", "passes"),
    [
        (2, 9.0, 0.0, True),
        (1, 2.5, 0.6, True),
        (1, 2.5, 0.4, False),
        (None, 2.5, 1.6, True),
        (None, 2.5, 1.4, False),
        (None, 9.0, None, True),
        (1, 9.0, None, True),
        (7, 9.0, None, False),
        (2, 0.5, 0.0, True),
    ],
)
def test_a_stale_read_may_miss_what_was_acknowledged_within_its_bound(
    seen, invoked_s, staleness_s, passes
):
    found = judged(read(seen, invoked_s, staleness_s))
    assert (found.staler == []) == passes, found.staler


def test_what_is_behind_is_counted_whatever_the_bound():
    found = judged(read(2, 9.0, None), read(1, 9.0, None), read(None, 1.5, None), read(1, 1.5, 9))
    assert (found.reads, found.behind) == (4, 2)
