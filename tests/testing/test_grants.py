"""What runs only where a leader is, among drifting clocks: at one host at a time, whatever happens.

What a seed has in store here is what ends a leader: crashes, cuts, broken connections, transfers.
"""

from dataclasses import replace
from random import Random

from raft_actors.core.lead_grants import CLOCK_MARGIN
from raft_actors.testing.simulation.plan import Plan, draw
from raft_actors.testing.simulation.runner import Failure, play

SEEDS = 25
ODDS = {
    "deliver": 100, "tick": 40, "write": 2, "isolate": 0.7, "split": 0.3, "heal": 1,
    "unlink": 2, "crash": 0.4, "start": 3, "transfer": 0.7, "found": 0.2,
}  # fmt: skip


def grants(seed: int, *, drift: float, grant_s: float) -> Plan:
    """A plan of 3 or 5 peers whose clocks are as far apart as `drift` says."""
    luck = Random(f"grants/{seed}")
    plan = draw(seed, 0)
    names = "abcde"[: luck.choice((3, 3, 5))]
    rates = tuple(luck.choice((1.0, 1.0 + drift)) for _ in names)
    config = replace(
        plan.config, min_election_timeout=0.3, max_election_timeout=0.6, heartbeat_timeout=0.05,
        inflight_max=64, append_bytes_max=1_000_000, proposals_max=10_000, apply_max=1_000,
        lease_clock_drift_max=None,
    )  # fmt: skip
    kinds = luck.choices(tuple(ODDS), tuple(ODDS.values()), k=2_500)
    return replace(
        plan, names=names, members=names, witnesses="", dead="", founder="a", others=(),
        on_disk=False, both=False, config=config, pace=0.06, window=1, batch=5, aim=0.95,
        rates=rates, encoded=False, grant_s=grant_s, hand_over_s=0.2,
        fates=tuple((kind, luck.random(), luck.random()) for kind in kinds),
    )  # fmt: skip


def test_nothing_runs_at_two_hosts_at_once() -> None:
    given = 0
    for seed in range(SEEDS):
        end = play(grants(seed, drift=CLOCK_MARGIN, grant_s=0.2 if seed % 2 else 1.0))
        assert not isinstance(end, Failure), f"{seed}: {end.violation}"
        given += end.holders.given
    assert given > 8 * SEEDS


def test_clocks_that_drift_further_than_a_leader_waits_are_seen() -> None:
    """So the test above would see it."""
    ends = (play(grants(seed, drift=0.5, grant_s=2.0)) for seed in range(SEEDS))
    assert any(isinstance(end, Failure) and "may run until" in end.violation for end in ends)
