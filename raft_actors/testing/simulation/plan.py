"""Plan: everything that a seed determines. All of it is drawn before the play begins.

A fate is (kind, first, second): the two numbers, each from 0 to 1, choose the peer and the amount.
So a plan stays valid if some fates are left out, which shrinking needs.

The probabilities of the kinds, the configs and the size of the group are drawn from the seed too:
with fixed probabilities, whole classes of bugs would never show.
"""

from dataclasses import dataclass, replace
from random import Random

from raft_actors.config import Config
from raft_actors.core.lead_grants import CLOCK_MARGIN

__all__ = ["KINDS", "Fate", "Plan", "draw"]

Fate = tuple[str, float, float]

KINDS = frozenset({
    "deliver", "lose", "repeat", "tick", "write", "read", "open", "again", "crash", "die", "start",
    "install", "slow", "wear", "fill", "unlink", "wipe", "reseed", "cut", "isolate", "split",
    "heal", "found", "jump", "transfer", "change", "rot", "renew", "limit",
})  # fmt: skip
"""The kinds of fates; `happen` in fates.py does them."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One world and its fates.

    members   the members that form the group; the other peers can be added later
    witnesses the members that keep no state
    founder   the peer that is asked to form the group; with `both`, others may be asked too
    pace      a tick lets so many seconds pass at most
    window    the next message is one of so many oldest ones: with 1 the order is kept
    batch     how many messages may arrive at a peer in one batch
    aim       how often a client asks a peer that leads, or believes that it leads
    rates     how fast the clock of each peer runs
    wall_rate how fast all wall clocks run: faster ones let sessions expire within a short play
    encoded   whether messages pass through the codec of the bridge
    dead      the members that stay dead for a while after the fates: a bare majority must go on
    lonely    whether no peer is asked to form a group after the first wipe: a peer that has left,
              and whose disk was then destroyed, would form a second group
    inline    whether peers that wait may handle messages inline
    sessions_max, sequences  how many sessions a group has at most, and for how many commands of a
              session it remembers the answer; 0: as in the library
    others    other configs with which peers may start
    on_disk   whether the state is on disk
    watchers  how many clients wait by parked calls
    grant_s, hand_over_s  of what runs only at the leader's host, see `Holders`; 0: nothing does
    """

    seed: int
    names: str
    members: str
    witnesses: str
    config: Config
    founder: str
    both: bool
    pace: float
    window: int
    batch: int
    aim: float
    rates: tuple[float, ...]
    wall_rate: float
    encoded: bool
    fates: tuple[Fate, ...]
    dead: str = ""
    lonely: bool = False
    inline: bool = False
    sessions_max: int = 0
    sequences: int = 0
    others: tuple[Config, ...] = ()
    on_disk: bool = False
    watchers: int = 0
    grant_s: float = 0.0
    hand_over_s: float = 0.0


def draw(seed: int, steps: int) -> Plan:
    """Draw the plan of a seed."""
    luck = Random(seed)  # noqa: S311 - the seed must determine everything, here and below
    choice, uniform = luck.choice, luck.uniform
    names = "abcde"[: choice((1, 2, 3, 3, 3, 4, 5, 5))]
    changing = len(names) > 1 and luck.random() < 0.3
    members = names[: luck.randint(1, len(names))] if changing else names
    shortest = choice((0.1, 0.3, 0.3, 1.0))
    config = Config(
        log_store="memory",
        min_election_timeout=shortest,
        max_election_timeout=shortest * choice((1.2, 2, 2, 4)),
        heartbeat_timeout=shortest / choice((2, 3, 6, 10)),
        append_bytes_max=choice((1, 60, 1_000_000)),
        inflight_max=choice((1, 3, 64)),
        log_cache_bytes=choice((1, 100, 1_000_000)),
        apply_max=choice((1, 3, 1_000)),
        proposals_max=choice((2, 20, 10_000)),
    )
    drift = choice((0, 0, 0.01, 0.3))
    pace, tick = choice((0.05, 0.1, 0.2, 0.4)), uniform(4, 30)
    once = tick * pace / 2  # the weight of a fate that happens once per shortest election timeout

    def rarely(least: float, most: float) -> float:
        """Return the weight of a fate that happens never, or once in `least` to `most` times the
        shortest election timeout.
        """
        return choice((0, 1)) * once / uniform(least, most)

    odds = {
        "deliver": uniform(30, 100), "lose": choice((0, uniform(0, 8))), "repeat": uniform(0, 5),
        "tick": tick, "write": uniform(2, 15), "read": uniform(1, 12),
        "open": rarely(0.5, 5), "again": uniform(0, 4),
        "crash": rarely(0.5, 10), "die": rarely(1, 10), "start": once / uniform(0.1, 4),
        "install": rarely(0.5, 5), "slow": rarely(1, 10), "wear": rarely(1, 10),
        "fill": rarely(2, 20),
        "unlink": rarely(0.3, 5),
        "wipe": 0 if changing else rarely(3, 100), "reseed": 0 if changing else rarely(3, 30),
        "cut": rarely(0.5, 5), "isolate": rarely(0.5, 8), "split": rarely(0.5, 8),
        "heal": once / uniform(1, 6), "found": once, "transfer": rarely(1, 10),
        "change": once / uniform(0.3, 5) if changing else 0,
    }  # fmt: skip
    if luck.random() < 0.5:  # the bound of how much two clocks of these rates drift apart
        config = replace(config, lease_clock_drift_max=(1 + drift) / (1 - drift) - 1 + 1e-9)
    kinds = luck.choices(tuple(odds), tuple(odds.values()), k=steps)
    first, second = ([luck.random() for _ in kinds] for _ in "ab")
    plan = Plan(
        seed=seed,
        names=names,
        members=members,
        witnesses=members[-1] if len(members) > 2 and luck.random() < 0.2 else "",
        config=config,
        founder=choice(members),
        both=luck.random() < 0.2,
        pace=shortest * pace,
        window=choice((1, 5, 20, 400)),
        batch=choice((1, 1, 3, 10)),
        aim=choice((0.1, 0.6, 0.95)),
        rates=tuple(uniform(1 - drift, 1 + drift) for _ in names),
        wall_rate=luck.choice((1, 300, 3_000)),
        encoded=luck.random() < 0.25,
        fates=tuple(zip(kinds, first, second, strict=True)),
    )
    # Drawn last, so that the seeds of older versions still have their fates.
    plan = replace(
        plan,
        config=replace(
            config,
            snapshot_entries=choice((1, 3, 10, 1_000_000)),
            snapshot_trailing=choice((1, 3, 1_000)),
            snapshot_chunk_bytes=choice((40, 300, 1_000_000)),
        ),
    )
    return with_more(plan, changing=changing)


ON_DISK_SEEDS = 40
"""One seed in so many has its state on disk, because its play takes as long as several others."""


def with_more(plan: Plan, *, changing: bool) -> Plan:
    """Draw the parts of a plan that were added later, with a random generator of their own, so that
    older seeds keep most of their fates. Some fates are replaced.
    """
    luck = Random(f"{plan.seed}/more")  # noqa: S311
    fates = list(plan.fates)

    def scatter(share: float, kind: str) -> None:
        for _ in range(round(share * len(fates) * luck.random())):
            fates[luck.randrange(len(fates))] = kind, luck.random(), luck.random()

    lonely = changing and luck.random() < 0.6
    if lonely:
        for kind in ("wipe", "reseed", "start"):
            scatter(0.004, kind)
    if luck.random() < 0.3:
        scatter(0.01, "jump")
    small = luck.random() < 0.3
    if small:
        for kind in ("open", "write", "write", "crash", "start"):
            scatter(0.04, kind)
    dead, witnesses = "", plan.witnesses
    if not {kind for kind, _first, _second in fates} & {"wipe", "change", "install"}:
        members = list(plan.members)
        luck.shuffle(members)
        dead = "".join(sorted(members[: luck.randint(0, (len(members) - 1) // 2)]))
        if dead and luck.random() < 0.5:
            witnesses = luck.choice(members)
    plan = replace(
        plan,
        fates=tuple(fates),
        lonely=lonely,
        dead=dead,
        witnesses=witnesses,
        inline=luck.random() < 0.3,
        wall_rate=1 if small else plan.wall_rate,  # faster, sessions would expire by time first
        sessions_max=luck.choice((1, 2, 4)) if small else 0,
        sequences=luck.choice((1, 2, 5)) if small else 0,
        others=tuple(retuned(plan.config, luck) for _ in "ab") if luck.random() < 0.25 else (),
        on_disk=luck.random() < 1 / ON_DISK_SEEDS,
    )
    return with_limits(with_holders(with_watchers(with_digests(with_rot(plan)))))


def with_digests(plan: Plan) -> Plan:
    """Have the replicas of a third of the plans compare digests of their states, and often: they
    must never differ. In half of these, replicas also take the state of their leader.
    """
    luck = Random(f"{plan.seed}/digests")  # noqa: S311
    if luck.random() < 2 / 3:
        return plan
    fates = list(plan.fates)
    if luck.random() < 0.5:
        for _ in range(round(0.02 * len(fates) * luck.random())):
            fates[luck.randrange(len(fates))] = "renew", luck.random(), luck.random()
    config = replace(plan.config, digest_entries=luck.choice((2, 5, 20)))
    return replace(plan, config=config, fates=tuple(fates))


def with_limits(plan: Plan) -> Plan:
    """Have clients change the limits of sessions, in half of the plans with few sessions, and in
    some others, and open more sessions than these allow.
    """
    luck = Random(f"{plan.seed}/limits")  # noqa: S311
    if luck.random() > (0.5 if plan.sessions_max else 0.1):
        return plan
    fates = list(plan.fates)
    for kind, share in (("limit", 0.02), ("open", 0.02)):
        for _ in range(round(share * len(fates) * luck.random())):
            fates[luck.randrange(len(fates))] = kind, luck.random(), luck.random()
    return replace(plan, fates=tuple(fates))


def with_rot(plan: Plan) -> Plan:
    """Add rot, damaged entries, to a third of the plans in which no disk is destroyed, no members
    change, and the state is in memory. (If a state on disk is ahead of a damaged log, an operator
    must repair it.)
    """
    luck = Random(f"{plan.seed}/rot")  # noqa: S311
    kinds = {kind for kind, _first, _second in plan.fates}
    if plan.on_disk or kinds & {"wipe", "reseed", "change"} or luck.random() < 2 / 3:
        return plan
    fates = list(plan.fates)
    for _ in range(round(0.01 * len(fates) * luck.random())):
        fates[luck.randrange(len(fates))] = "rot", luck.random(), luck.random()
    return replace(plan, fates=tuple(fates))


def with_watchers(plan: Plan) -> Plan:
    """Have clients wait by parked calls, in a fifth of the plans. Each of their calls is a step of
    a peer, so these plays differ from those of older versions.
    """
    luck = Random(f"{plan.seed}/watchers")  # noqa: S311
    return replace(plan, watchers=luck.choice((1, 3, 6))) if luck.random() < 0.2 else plan


def with_holders(plan: Plan) -> Plan:
    """Let something run only at the leader's host, in half of the plans; but only if new leaders
    wait long enough for the difference of the clocks.
    """
    luck = Random(f"{plan.seed}/holders")  # noqa: S311
    ratio = max(plan.rates) / min(plan.rates) - 1
    if ratio > max(CLOCK_MARGIN, plan.config.lease_clock_drift_max or 0.0) or luck.random() < 0.5:
        return plan
    shortest = plan.config.min_election_timeout
    return replace(
        plan,
        grant_s=shortest * luck.choice((0.3, 1, 3, 10)),
        hand_over_s=shortest * luck.choice((0.1, 1, 10)),
    )


def retuned(config: Config, luck: Random) -> Config:
    """Return a config that a peer may have while others of its group have another one."""
    choice = luck.choice
    scale = choice((0.5, 1, 2))
    return replace(
        config,
        min_election_timeout=config.min_election_timeout * scale,
        max_election_timeout=config.max_election_timeout * scale,
        heartbeat_timeout=config.heartbeat_timeout * min(scale, 1),
        append_bytes_max=choice((1, 60, 1_000_000)),
        inflight_max=choice((1, 3, 64)),
        log_cache_bytes=choice((1, 100, 1_000_000)),
        apply_max=choice((1, 3, 1_000)),
        proposals_max=choice((2, 20, 10_000)),
        snapshot_entries=choice((1, 3, 10, 1_000_000)),
        snapshot_trailing=choice((1, 3, 1_000)),
        snapshot_chunk_bytes=choice((40, 300, 1_000_000)),
    )
