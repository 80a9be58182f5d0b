"""Slips in calls of a handle, and what it says of peers that do not answer."""

import asyncio
import re

import pytest

from raft_actors import AsyncCluster, Cluster, Frozen, Node, Raft
from raft_actors.errors import NoNode, Unavailable
from raft_actors.events import subscribe
from raft_actors.machine.sessions import NEW


@pytest.mark.parametrize("request_id", [5, None, "x", "ab", (0, 0), (NEW, 1), (1, 2, 3), (1, "2")])
def test_an_outcome_is_asked_for_by_a_request_id(counters, request_id):
    """And (0, 0) ran an empty command."""
    cluster = Cluster(counters[0])
    with pytest.raises(ValueError, match=re.escape(f"two numbers, not {request_id!r}")):
        cluster.outcome(request_id)


@pytest.mark.parametrize("index", ["5", None, 1.5, True])
def test_an_index_is_a_whole_number(counters, index):
    with pytest.raises(TypeError, match="a whole number, not"):
        Cluster(counters[0]).await_applied(index)


def test_waiting_for_an_entry_says_who_did_not_answer(counters):
    names, _ = counters
    cluster = Cluster(names)
    with pytest.raises(Unavailable, match=r"applied entry 1000 in time; wait again"):
        cluster.await_applied(1000, timeout=0.1)
    with pytest.raises(Unavailable, match=r"entry 1 in time \(nobody on .* did not answer\)"):
        cluster.await_applied(1, at="nobody", timeout=0.1)


def test_a_read_elsewhere_says_why_that_peer_is_not_reached(counters):
    with pytest.raises(Unavailable, match=r"'no_node' by .*: this process is no node"):
        Cluster(counters[0]).read(1, consistency="stale", at=("peer", "b@two"), timeout=0.2)


@pytest.mark.parametrize(
    "call",
    [
        lambda cluster: cluster.write(0),
        lambda cluster: cluster.read(0),
        lambda cluster: cluster.pipeline().write(0),
        lambda cluster: cluster.await_leader(),
        lambda cluster: asyncio.run(AsyncCluster(cluster.members, timeout=600).write(0)),
    ],
)
def test_a_process_that_is_no_node_is_told_so_at_once(call):
    """And it waited for its whole timeout, and was told of a majority. Planted: wait."""
    with pytest.raises(NoNode, match=r"call Node.start\(name\) first"):
        call(Cluster([("peer1", "a@host"), ("peer2", "b@host")], timeout=600))


def test_who_watches_is_a_function():
    with pytest.raises(TypeError, match="a function of one event, not 5"):
        subscribe(5)


def test_pieces_of_a_state_can_be_iterated_over():
    with pytest.raises(TypeError, match="an iterable, not 5"):
        Frozen(5)


@pytest.mark.parametrize("address", [5, None, ("x",), ("x", "y", "z")])
def test_an_actor_is_looked_up_by_name_or_address(address):
    with pytest.raises(TypeError, match=r"its name, or \(name, node\), not"):
        Node.whereis(address)


def test_members_are_shown_as_they_are_named(counters):
    names, _ = counters
    assert all(f"{name} on {Node.self()}" in repr(Cluster(names)) for name in names)
    assert Raft.leader(names[0]) in Cluster(names).members
