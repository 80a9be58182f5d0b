"""A timeout that is no number is refused at once, and named, by every call that takes one."""

import asyncio
import contextlib
import math
import threading
from fractions import Fraction

import pytest

from raft_actors import AsyncCluster, Cluster, Raft
from raft_actors.config import Config
from raft_actors.errors import NotApplied, OutcomeUnknown
from raft_actors.future import Future
from raft_actors.node.remote_ref import RemoteFuture
from raft_actors.timeouts import optional_seconds, seconds
from tests.counter import Counter


def awaited(members, call):
    async def main():
        async with AsyncCluster(members) as cluster:
            await call(cluster)

    asyncio.run(main())


CALLS = {
    "Cluster": lambda names, timeout: Cluster(names, timeout=timeout),
    "write": lambda names, timeout: Cluster(names).write(1, timeout=timeout),
    "read": lambda names, timeout: Cluster(names).read("any", timeout=timeout),
    "cast": lambda names, timeout: Cluster(names).cast(1, timeout=timeout),
    "outcome": lambda names, timeout: Cluster(names).outcome((1, 1), timeout=timeout),
    "barrier": lambda names, timeout: Cluster(names).barrier(timeout),
    "await_leader": lambda names, timeout: Cluster(names).await_leader(timeout),
    "await_applied": lambda names, timeout: Cluster(names).await_applied(1, timeout=timeout),
    "pipeline": lambda names, timeout: Cluster(names).pipeline(timeout=timeout),
    "watch": lambda names, timeout: Cluster(names).watch_leader().get(timeout),
    "AsyncCluster": lambda names, timeout: AsyncCluster(names, timeout=timeout),
    "async write": lambda names, timeout: awaited(names, lambda each: each.write(1, timeout)),
    "async read": lambda names, timeout: awaited(names, lambda each: each.read("any", timeout)),
    "async barrier": lambda names, timeout: awaited(names, lambda each: each.barrier(timeout)),
    "Raft.write": lambda names, timeout: Raft.write(names[0], 1, timeout=timeout),
    "Raft.read": lambda names, timeout: Raft.read(names[0], "any", timeout=timeout),
    "Raft.snapshot": lambda names, timeout: Raft.snapshot(names[0], timeout),
    "Raft.backup": lambda names, timeout: Raft.backup(names[0], "no.backup", timeout),
    "Raft.leave": lambda names, timeout: Raft.leave(names[0], timeout),
    "Raft.join": lambda names, timeout: Raft.join(
        Counter, name="newcomer", via=names, timeout=timeout
    ),
    "Raft.set_configuration": lambda names, timeout: Raft.set_configuration(
        names[0], names, timeout=timeout
    ),
    "RemoteFuture.get": lambda _names, timeout: RemoteFuture(Future(), "").get(timeout=timeout),
}
HAVE_A_DEFAULT = {"write", "read", "cast", "outcome", "barrier", "await_leader", "await_applied",
                  "pipeline", "watch", "async write", "async read", "async barrier",
                  "RemoteFuture.get"}  # fmt: skip


def outcome(call):
    """What a call raised within ten seconds."""
    raised = []

    def attempt():
        try:
            call()
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(10)
    return "".join(map(str, raised))


def test_what_is_no_number_is_refused_before_anything_is_sent(counters):
    names, leader = counters
    before = Raft.status(leader)[1]["last_index"]
    for name, call in CALLS.items():
        for timeout in (math.nan, "5", True, b"", [1], None):
            if timeout is not None or name not in HAVE_A_DEFAULT:
                said = outcome(lambda call=call, timeout=timeout: call(names, timeout))
                assert said == f"timeout must be a number of seconds, not {timeout!r}", name
    assert Raft.status(leader)[1]["last_index"] == before
    assert Raft.status("newcomer") == ("error", "no_peer")


def test_a_number_of_any_kind_is_taken():
    for value in (0, 1, 0.5, math.inf, -1.0, Fraction(1, 2)):
        assert seconds(value) is value
    assert optional_seconds(None) is None


def test_a_whole_number_beyond_all_floats_is_refused_in_words():
    with pytest.raises(ValueError, match=r"timeout is too large: math\.inf"):
        seconds(10**400)


def test_a_timeout_that_is_over_is_no_error_of_its_own(make_peer):
    name, _ = make_peer(Counter)
    with pytest.raises(NotApplied):
        Cluster(name).write(1, timeout=-1)
    watch = Cluster(name).watch_leader()
    watch.get()
    with pytest.raises(TimeoutError):
        watch.get(-1)


def test_a_call_without_time_does_not_make_the_handle_forget_the_leader(counters):
    """Planted: each timeout counts as silence of the leader, and the next call searches it again.

    The waits of short calls are added up: a leader that is silent is given up.
    """
    names, _leader = counters
    with Cluster(names) as cluster:
        cluster.write(1)
        known = cluster.await_leader()
        finder = cluster._client.finder
        for _ in range(5):
            with contextlib.suppress(OutcomeUnknown, NotApplied):  # or it was quick enough
                cluster.write(1, timeout=0)
            assert finder.leader == known
        assert finder.unanswered_s == 0
        for _ in range(3):
            assert finder.leader == known
            finder.no_answer(known, 0.125)
        assert finder.leader is None
        assert cluster.write(1) > 0
        assert finder.unanswered_s == 0


@pytest.mark.parametrize("value", [math.nan, "5", True, None, -1])
def test_numbers_of_a_config_are_checked_as_well(value):
    for name in ("min_election_timeout", "heartbeat_timeout", "snapshot_interval", "inflight_max"):
        with pytest.raises(ValueError, match=name):
            Config(**{name: value})
    if value is not None:
        with pytest.raises(ValueError, match="lease_clock_drift_max"):
            Config(lease_clock_drift_max=value)


def test_other_numbers_of_a_handle_are_checked_as_well(make_peer):
    cluster = Cluster(make_peer(Counter)[0])
    for value in (math.nan, "5", True, -1):
        with pytest.raises((TypeError, ValueError), match="max_staleness_s must be"):
            cluster.read("any", consistency="stale", max_staleness_s=value)
    for value in (math.nan, "5", True, None, -1):
        with pytest.raises(ValueError, match="after must be the token"):
            cluster.read("any", consistency="stale", after=value)
    for value in (0, "10", 1.5, True, None, 10**9):
        with pytest.raises(ValueError, match=f"outstanding_max must be from 1 to .*{value!r}"):
            cluster.pipeline(outstanding_max=value)
