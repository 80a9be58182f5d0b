"""Majorities, against counting by hand."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from raft_actors.core.configuration import NOBODY, Configuration
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
    founding = Configuration.founding([("a", "n"), ("b", "n")])
    joint = founding.changed(members=[("c", "n")], learners=[("b", "n")])
    for configuration in (founding, joint, joint.settled()):
        decoded = Configuration.decode(configuration.encode(), 7)
        assert decoded == replace(configuration, index=7)


def test_a_joint_configuration_needs_both_majorities():
    """§6: else two leaders could be elected in one term, one by each."""
    old = [(name, "n") for name in "abc"]
    new = [(name, "n") for name in "cde"]
    joint = Configuration.founding(old).changed(members=new, learners=())
    assert not joint.has_quorum(old)
    assert not joint.has_quorum(new)
    assert not joint.has_quorum([("a", "n"), ("c", "n"), ("x", "n")])
    assert joint.has_quorum([("a", "n"), ("c", "n"), ("d", "n")])
    values = {("a", "n"): 5, ("b", "n"): 5, ("c", "n"): 5, ("d", "n"): 1, ("e", "n"): 2}
    assert joint.quorum_value(values) == 2


def test_a_change_of_learners_alone_is_not_joint():
    pair = Configuration.founding([("a", "n"), ("b", "n")])
    assert not pair.changed(members=pair.members, learners=[("c", "n")]).old
