"""When a machine is told that its replica leads, and that it leads no more."""

from types import SimpleNamespace

import pytest

from raft_actors.kv_store import KVStore
from raft_actors.machine.witness_state import WitnessState
from raft_actors.replica.leadership import Leadership


class Applied:
    """The state after an entry of some term."""

    keeps_state = True

    def __init__(self):
        self.machine = KVStore()
        self.term, self.told = 0, []

    def last_term(self):
        return self.term

    def lead(self):
        self.told.append("leads")

    def follow(self):
        self.told.append("follows")


def core_in(term, *, leads):
    return SimpleNamespace(term=term, role=SimpleNamespace(leads=leads))


@pytest.fixture
def applied():
    return Applied()


def test_a_leader_leads_once_the_first_entry_of_its_term_is_applied(applied):
    """Planted: it leads at once, and its state lacks what a leader before it has acknowledged."""
    leadership = Leadership(core_in(3, leads=True), applied)
    applied.term = 2
    leadership.look(applied)
    assert applied.told == []
    applied.term = 3
    leadership.look(applied)
    leadership.look(applied)
    assert applied.told == ["leads"]


def test_a_leader_that_leads_the_next_term_as_well_is_told_of_both(applied):
    """A single voter may step down and be elected again in one batch."""
    leadership = Leadership(core_in(3, leads=True), applied)
    applied.term = 3
    leadership.look(applied)
    leadership.core = core_in(4, leads=True)
    leadership.look(applied)
    assert applied.told == ["leads", "follows"]
    applied.term = 4
    leadership.look(applied)
    assert applied.told == ["leads", "follows", "leads"]


def test_a_follower_is_told_once_and_at_its_end_only_if_it_leads(applied):
    leadership = Leadership(core_in(3, leads=True), applied)
    applied.term = 3
    leadership.look(applied)
    leadership.core = core_in(4, leads=False)
    leadership.look(applied)
    leadership.look(applied)
    leadership.end(applied)
    assert applied.told == ["leads", "follows"]


def test_a_leader_that_becomes_a_witness_leads_no_more(applied):
    leadership = Leadership(core_in(3, leads=True), applied)
    applied.term = 3
    leadership.look(applied)
    leadership.look(WitnessState(applied.machine, "peer", 5))
    assert leadership.term == 0
