"""The measure of what a few lines allocate sees them, and not what else happened to happen."""

from tests.memory import least_allocated


def test_what_is_allocated_every_time_is_seen_though_it_is_given_back():
    assert least_allocated(lambda: bytes(100_000)) >= 100_000


def test_what_is_allocated_once_is_of_somebody_else():
    once = iter([100_000])
    assert least_allocated(lambda: bytes(next(once, 0))) < 10_000
