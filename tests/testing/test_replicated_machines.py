"""The simulation plays classes of methods, too, and finds what is wrong with them."""

import pytest

from raft_actors.testing.simulation.machine_simulation import MachineBroken, Simulation
from tests.testing import replicated_machines as machines

BANK = [
    *(("deposit", (who, 5), {}) for who in "abc"),
    *(("move", (one, other, 4), {}) for one in "abc" for other in "abc"),
]
LEASES = [("take", (name, for_ms), {}) for name in "ab" for for_ms in (1, 50_000_000)]


def run(machine, commands, queries=(), **options):
    return Simulation().run(machine, commands, queries, **{"seeds": 10, **options})


def test_an_update_that_raises_in_the_middle_is_taken_back_on_every_replica() -> None:
    """Planted: lists that are nested in dicts are not put back."""
    report = run(machines.Bank, BANK, [("all", (), {})])
    assert report.acknowledged > 50
    assert report.raised > 20


def test_a_class_that_looks_at_replicated_time_is_the_same_everywhere() -> None:
    """The clocks of the leaders are hours apart, jump back, and show times before 1970."""
    report = run(machines.Leases, LEASES, [("is_taken", ("a",), {})])
    assert report.acknowledged > 50
    assert report.raised > 0


def test_methods_of_two_versions_run_while_a_group_moves_on() -> None:
    commands = [*BANK, ("close", ("a",), {})]
    assert run(machines.Upgraded, commands, [("all", (), {})], oldest=1).acknowledged > 50


@pytest.mark.parametrize(
    ("machine", "commands", "complaint"),
    [
        (machines.ByClock, LEASES, "replicas differ after command"),
        (machines.ByChance, LEASES, "replicas differ after command"),
        (machines.Beside, LEASES, "replicas differ after command"),
        (machines.CountsQueries, BANK, "looks at a clock, at chance or at something else"),
    ],
)
def test_a_class_that_is_no_replicated_state_is_found(machine, commands, complaint) -> None:
    with pytest.raises(MachineBroken, match=complaint):
        run(machine, commands, [("all", (), {})] if commands is BANK else ())
