"""Lease reads among drifting clocks: never stale within the drift that is assumed, and beyond it.

What a seed has in store here is what leases have to fear: leaders cut off from the others, links
reported lost, restarts, terms that leap, transfers, and clocks as far apart as they may be.
"""

from collections.abc import Iterator
from dataclasses import replace
from random import Random

import pytest

from raft_actors.core.lease import Lease
from raft_actors.core.messages import LEASE
from raft_actors.testing.simulation import fates
from raft_actors.testing.simulation.plan import Plan, draw
from raft_actors.testing.simulation.runner import Failure, play

DRIFT = 0.3
SEEDS = 100
ODDS = {
    "deliver": 100, "tick": 12, "write": 8, "read": 15, "isolate": 0.5, "heal": 0.35,
    "unlink": 2, "crash": 0.2, "start": 3, "transfer": 0.1, "found": 0.2,
}  # fmt: skip


def leases(seed: int, assumed: float | None = None) -> Plan:
    """A plan of 3 or 5 peers; `assumed` instead of what their clocks really may drift apart."""
    luck = Random(f"leases/{seed}")
    plan = draw(seed, 0)
    names = "abcde"[: luck.choice((3, 3, 5))]
    rates = tuple(luck.choice((1 - DRIFT, 1 + DRIFT)) for _ in names)
    drift = (1 + DRIFT) / (1 - DRIFT) - 1 + 1e-9 if assumed is None else assumed
    config = replace(
        plan.config, min_election_timeout=1.0, max_election_timeout=1.05, heartbeat_timeout=0.1,
        inflight_max=64, append_bytes_max=1_000_000, proposals_max=10_000, apply_max=1_000,
        lease_clock_drift_max=drift,
    )  # fmt: skip
    shorter = replace(config, min_election_timeout=0.5, max_election_timeout=0.55)
    kinds = luck.choices(tuple(ODDS), tuple(ODDS.values()), k=2_500)
    return replace(
        plan, names=names, members=names, witnesses="", dead="", founder="a",
        others=(shorter, shorter) if seed % 2 else (), on_disk=False, both=False, config=config,
        pace=0.12, window=1, batch=5, aim=0.95, rates=rates,
        encoded=False, grant_s=0.0,
        fates=tuple((kind, luck.random(), luck.random()) for kind in kinds),
    )  # fmt: skip


@pytest.fixture(autouse=True)
def only_leases(monkeypatch):
    monkeypatch.setattr(fates, "WAYS_TO_READ", (LEASE,))


def stale(assumed: float | None = None, seeds: range = range(SEEDS)) -> Iterator[str]:
    """Play the seeds, and give the stale reads that are seen."""
    for seed in seeds:
        end = play(leases(seed, assumed))
        if isinstance(end, Failure):
            assert "stale read" in end.violation
            yield end.violation


def test_no_lease_read_is_stale_while_the_clocks_keep_to_what_is_assumed(monkeypatch):
    without_a_round = []
    held = Lease.promised_until
    monkeypatch.setattr(
        Lease, "promised_until",
        lambda *arguments: without_a_round.append(1) or held(*arguments),
    )  # fmt: skip
    assert list(stale()) == []
    assert len(without_a_round) > 10_000


def test_clocks_that_drift_further_than_assumed_let_stale_reads_through():
    """So the test above would see it."""
    assert any(stale(assumed=0.0))


def test_a_leader_that_trusts_its_own_timeout_and_no_promise_is_seen(monkeypatch):
    """In the odd seeds most members promise less than the founder."""
    held = Lease.promised_until
    monkeypatch.setattr(
        Lease,
        "promised_until",
        lambda self, number, promise_ms: held(self, number, promise_ms and 1_000),
    )
    assert any(stale(seeds=range(1, SEEDS, 2)))
