"""Peers of this process with the machine of the kit."""

import pytest

from raft_actors.kit import Batteries, Kit
from tests.peer_fixtures import make_peer, trio

__all__ = ["kits", "make_peer", "members", "trio"]


@pytest.fixture
def members(trio):
    """The names of three peers that run Batteries."""
    return trio(Batteries)


@pytest.fixture
def kits(members):
    """Make kits of the group. All are closed at the end."""
    made = []

    def make():
        made.append(Kit(members, timeout=30.0))
        return made[-1]

    yield make
    for kit in made:
        kit.close()
