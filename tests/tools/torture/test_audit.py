"""What the replicas hold against what the clients were told.

Planted once in the audit, each seen red here: a lost cas not looked for; only the first replica
looked at; a run without any acknowledged change passed.
"""

from raft_actors.tools.torture.audit import audit
from raft_actors.tools.torture.history_page import page
from raft_actors.tools.torture.linearizability import BROKEN
from raft_actors.tools.torture.nemesis import Strike
from raft_actors.tools.torture.operation import REFUSED, UNKNOWN
from tests.tools.torture.histories import cas, read, write

GOOD = [
    write(1, 0, 1),
    cas(1, 2, 2, 3, seen=1),
    write(3, 4, 5, outcome=UNKNOWN),
    cas(9, 4, 6, 7, seen=2),
    write(5, 8, 9, outcome=REFUSED),
    read(2, 10, 11),
]


def replicas(*values):
    return {name: {"k": list(each)} for name, each in zip("abc", values, strict=False)}


def test_a_good_run_passes():
    found = audit(GOOD, replicas([1, 2], [1, 2], [1, 2]))
    assert found.passed
    assert found.acknowledged == 2


def test_what_was_unknown_may_have_happened():
    assert audit(GOOD, replicas([1, 2, 3], [1, 2, 3])).passed


def test_an_acknowledged_change_that_one_replica_lacks_is_lost():
    found = audit(GOOD, replicas([1, 2], [1, 2], [1]))
    assert not found.passed
    assert found.lost == ["cas 1 → 2, done on k, on c"]
    assert found.diverged == ["k"]


def test_a_change_applied_twice_is_found():
    assert audit(GOOD, replicas([1, 2, 1, 2])).doubled


def test_a_refused_change_that_happened_is_found():
    assert audit(GOOD, replicas([1, 2, 5])).undead == ["write 5 (refused) on k, on a"]


def test_a_cas_that_answered_no_and_happened_is_found():
    assert audit(GOOD, replicas([1, 2, 4])).undead


def test_other_values_in_another_order_are_not_the_same():
    assert audit(GOOD, replicas([1, 2, 3], [1, 3, 2])).diverged == ["k"]


def test_a_run_in_which_nothing_happened_does_not_pass():
    assert not audit([read(None, 0, 1)], replicas([])).passed


def test_the_page_shows_the_calls_that_no_order_explains_and_the_faults_around():
    found = audit([*GOOD, read(1, 20, 30, client=7)], replicas([1, 2]))
    assert found.verdicts["k"].outcome == BROKEN
    strikes = [Strike("split", "a | b <are> parted", 19, 25), Strike("delay", "long ago", 0, 1)]
    text = page("Torture failed", found.findings(), found.verdicts, strikes)
    assert "client 7" in text
    assert "?: read → 1" in text
    assert "a | b &lt;are&gt; parted" in text
    assert "long ago" not in text
    assert "http" not in text
