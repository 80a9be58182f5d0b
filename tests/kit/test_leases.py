"""What a holder believes of its lease: the requests of a kit, answered by hand, on a clock of the
test.
"""

import pytest

from raft_actors.errors import Unavailable
from raft_actors.kit import core as cores
from raft_actors.kit import lease as lease_module
from raft_actors.kit.core import KitCore
from raft_actors.kit.lease import DRIFT, KEPT_SHARE
from raft_actors.kit.script import Write

TTL_S = 10.0
SURE_S = TTL_S * (1 - DRIFT)


class Clock:
    now_s = 1_000.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(cores, "since_boot", clock)
    monkeypatch.setattr(lease_module, "since_boot", clock)
    return clock


@pytest.fixture
def core(clock):
    return KitCore(lambda: None)


def finish(script, answer):
    """Answer the script's last request. Returns its result."""
    with pytest.raises(StopIteration) as end:
        script.send(answer)
    return end.value.value


def grant(core, lease_id=7):
    script = core.grant(TTL_S)
    assert next(script) == Write(("lease", "grant", "", TTL_S))
    return finish(script, lease_id)


def test_a_holder_counts_from_when_it_asked_and_not_from_the_answer(core, clock):
    """Planted: a lease that begins with its answer."""
    script = core.grant(TTL_S)
    next(script)
    clock.now_s += 3.0
    lease = finish(script, 7)
    assert lease.remaining() == pytest.approx(SURE_S - 3.0)


def test_a_keepalive_counts_from_when_it_was_sent(core, clock):
    """Planted: a lease that begins anew with the answer to its keepalive."""
    lease = grant(core)
    clock.now_s += TTL_S * KEPT_SHARE
    script = core.keep()
    assert next(script).command == ("lease", "keep", "", 7)
    clock.now_s += 2.0
    finish(script, ())
    assert lease.remaining() == pytest.approx(SURE_S - 2.0)


def test_a_lease_whose_keepalives_are_not_answered_is_lost_by_the_clock(core, clock):
    lease = grant(core)
    for _ in range(2):
        clock.now_s += TTL_S * KEPT_SHARE
        script = core.keep()
        next(script)
        with pytest.raises(StopIteration):
            script.throw(Unavailable("nobody answers"))
        assert lease.alive
    clock.now_s += TTL_S * KEPT_SHARE
    assert not lease.alive
    assert lease.lost.is_set()
    assert core.leases.by_id == {}


def test_a_lease_that_was_lost_stays_lost_though_a_late_answer_says_it_lives(core, clock):
    """Planted: a late answer that gives a lease its time again."""
    lease = grant(core)
    clock.now_s += SURE_S - 0.1
    script = core.keep()
    next(script)
    clock.now_s += 0.2
    assert not lease.alive
    finish(script, ())
    assert lease.remaining() == 0.0
    assert lease.lost.is_set()


def test_a_lease_that_the_group_does_not_know_any_more_is_lost(core, clock):
    lease = grant(core)
    clock.now_s += TTL_S * KEPT_SHARE
    script = core.keep()
    next(script)
    finish(script, (7,))
    assert not lease.alive


def test_all_leases_that_are_due_are_kept_by_one_command(core, clock):
    leases = [grant(core, number) for number in range(1, 4)]
    assert core.next_s() == pytest.approx(TTL_S * KEPT_SHARE)
    clock.now_s += TTL_S * KEPT_SHARE
    script = core.keep()
    assert next(script).command == ("lease", "keep", "", 1, 2, 3)
    finish(script, ())
    assert all(lease.alive for lease in leases)


def test_what_is_owed_is_tried_until_it_succeeds(core):
    """Planted: what has failed once is forgotten."""
    core.owe(lambda: (yield Write(("lock", "release", "a", "x"))))
    for _ in range(2):
        script = core.keep()
        assert next(script).command == ("lock", "release", "a", "x")
        with pytest.raises(StopIteration):
            script.throw(Unavailable("nobody answers"))
        assert core.next_s() == 1.0
    script = core.keep()
    next(script)
    finish(script, True)
    assert not core.owed
