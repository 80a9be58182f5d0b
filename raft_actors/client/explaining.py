"""Explaining: why a group does what it does, by what its members answer."""

from raft_actors.client.explanation import Explanation
from raft_actors.client.findings import explanation_of
from raft_actors.client.leader_finder import LeaderFinder
from raft_actors.client.statuses import ask_all

__all__ = ["explain"]


def explain(finder: LeaderFinder) -> Explanation:
    """Ask the members that the finder knows, and those that they name, and explain the group."""
    return explanation_of(*ask_all(finder))
