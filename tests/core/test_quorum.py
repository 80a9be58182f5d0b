"""Majorities, against counting by hand."""

from hypothesis import given
from hypothesis import strategies as st

from raft_actors.core.membership import NOBODY, Configuration
from raft_actors.core.quorum import majority_value


@given(st.lists(st.integers(0, 9), min_size=1, max_size=9))
def test_the_majority_value_is_the_largest_that_more_than_half_have_reached(values: list) -> None:
    def reached(value: int) -> bool:
        return 2 * sum(each >= value for each in values) > len(values)

    assert majority_value(values) == max(value for value in values if reached(value))


def test_nobody_is_no_majority() -> None:
    assert not NOBODY.has_quorum([])


def test_strangers_votes_do_not_count() -> None:
    trio = Configuration.founding([("a", "n"), ("b", "n"), ("c", "n")])
    assert not trio.has_quorum([("a", "n"), ("x", "n"), ("y", "n")])
    assert trio.has_quorum([("a", "n"), ("c", "n")])


def test_founders_of_the_same_members_found_the_same_group() -> None:
    members = [("a", "n"), ("b", "n")]
    assert Configuration.founding(members) == Configuration.founding(reversed(members))
    assert Configuration.founding(members).group != Configuration.founding(members[:1]).group


def test_a_configuration_survives_its_encoding() -> None:
    configuration = Configuration.founding([("a", "n"), ("b", "n")]).at(7, previous=3)
    assert Configuration.decode(configuration.encode(), 7) == configuration
