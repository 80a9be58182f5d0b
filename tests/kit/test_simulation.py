"""The kit's machine in simulated groups that lose messages, crash and change leaders: replicas that
have run the same commands, in any order of snapshots and restarts, have the same state.
"""

from random import Random

import pytest

from raft_actors.kit import Batteries

SEEDS = 6


def story(number):
    """Return any command for locks and what is like them. Leases are named by indexes."""
    random = Random(number)
    lease = random.randrange(1, 60)
    who, name = random.choice("xyz"), random.choice("ab")
    acquire = ("acquire", name, lease, who, random.random() < 0.7)
    return random.choice([
        ("lease", "grant", "", random.choice((0.5, 2.0, 5.0))),
        ("lease", "grant", "", 2.0),
        ("lease", "keep", "", *(random.randrange(1, 60) for _ in range(3))),
        ("lease", "end", "", lease),
        ("lock", *acquire),
        ("lock", "release", name, who),
        ("semaphore", *acquire, random.randrange(1, 4), 3, b""),
        ("semaphore", "release", name, who),
        ("semaphore", "resize", name, random.randrange(3, 5)),
        ("rwlock", *acquire, random.choice((1, 2**31)), 2**31, b""),
        ("rwlock", "release", name, who),
        ("election", *acquire, 1, 1, who.encode()),
        ("election", "proclaim", name, who, b"new"),
        ("election", "release", name, who),
        ("barrier", "arrive", name, lease, who, 2),
        ("barrier", "leave", name, who),
        ("barrier", random.choice(("abort", "reset")), name),
        ("flag", random.choice(("set", "clear")), name),
        ("members", "join", name, lease, who, b"value"),
        ("members", "leave", name, who),
    ])  # fmt: skip


QUERIES = [
    (kind, "info", name) for kind in ("lock", "semaphore", "rwlock", "barrier") for name in "ab"
] + [("members", "members", "a"), ("flag", "is_set", "a"), ("election", "leader", "b")]


@pytest.mark.seeds
def test_replicas_agree_on_who_has_what_whatever_happens(raft_simulation):
    report = raft_simulation.run(Batteries, story, QUERIES, seeds=SEEDS)
    assert report.acknowledged > 100
    assert report.reads > 10
    assert report.raised == 0, "a command is refused by its answer, and not by an exception"
