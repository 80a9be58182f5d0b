"""Bugs planted in the code that ships: the check of their traces names the rule that they break.

The others' judgement, of a trace made wrong by hand, is in test_rules.py.
"""

from unittest import mock

import pytest

from raft_actors.core.configuration import Configuration
from raft_actors.core.follower import Follower
from raft_actors.core.leader import Leader
from raft_actors.core.log import Log
from raft_actors.core.messages import RequestVote
from raft_actors.testing.simulation.disk import PretendDisk
from raft_actors.testing.simulation.plan import draw
from raft_actors.testing.simulation.runner import play
from raft_actors.tools.trace_check import check
from tests.tools.trace_check.traced import traces_into

SEEDS = 60
"""Plays until the bug has shown itself in a trace."""

save, extend = PretendDisk.save, Log.extend


def save_without_ballot(self, _ballot, first, entries):
    save(self, None, first, entries)


def grant_always(self, request):
    self.state.vote(request.source)
    self.state.send(self.state.reply_vote(request, granted=True))


def commit_what_one_holds(self):
    self.state.commit_to(self.state.log.last_index)


def cut_whatever_comes(self, index, entries):
    """A heartbeat that comes late shortens the log."""
    if entries and index < self.last_index:
        self.truncate(index)
    return extend(self, index, entries)


PLANTED = {
    "log not compared": (Log, "is_no_newer_than", lambda _self, **_end: True,
                         {"up_to_date", "pre_vote_granted"}),
    "two votes": (Follower.handlers, RequestVote, grant_always, {"one_vote", "up_to_date"}),
    "any one is a majority": (Configuration, "has_quorum", lambda _self, _granted: True,
                              {"majority", "pre_vote_first"}),
    "ballot not saved": (PretendDisk, "save", save_without_ballot,
                         {"term_falls", "one_vote", "loaded"}),
    "leader not heard": (Follower, "hears_a_leader", lambda _self: False,
                         {"pre_vote_granted"}),
    "commit at once": (Leader, "commit", commit_what_one_holds, {"leader_commit"}),
    "a late request cuts the log": (Log, "extend", cut_whatever_comes,
                                    {"append_taken", "committed", "saved_log", "no_exception"}),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
def test_a_bug_in_the_core_shows_in_its_trace(name, tmp_path):
    owner, attribute, bug, rules = PLANTED[name]
    if isinstance(owner, dict):
        planted = mock.patch.dict(owner, {attribute: bug})
    else:
        planted = mock.patch.object(owner, attribute, bug)
    with planted:
        for seed in range(SEEDS):
            directory = tmp_path / str(seed)
            directory.mkdir()
            with traces_into(directory):
                play(draw(seed, 500))
            violations = check(directory).violations
            if violations:
                break
        else:
            pytest.fail(f"{SEEDS} seeds, and no trace tells")
    assert violations[0].rule in rules, violations[0]
