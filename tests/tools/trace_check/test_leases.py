"""What was promised to a leader with a lease is kept, also by who has lost its link to it."""

from raft_actors.config import Config
from raft_actors.testing.simulation.world import World
from raft_actors.tools.trace_check import check
from tests.tools.trace_check.test_rules import Traces, message, peer
from tests.tools.trace_check.traced import traces_into


def told(tmp_path):
    with traces_into(tmp_path):
        world = World("abc", 1, Config(log_store="memory", lease_clock_drift_max=0.01))
        world.configure("a")
        world.ring(1)
        world.lose_node("b", "a")
        world.ring(0.01)
    return Traces(tmp_path)


def test_a_vote_that_breaks_a_promise_is_found(tmp_path):
    traces = told(tmp_path)
    assert check(tmp_path).violations == []
    name, position = traces.find("step", "NodeLost", peers="b")
    before = traces[name, position]
    asked = message("RequestVote", "c", "b", before["term"] + 1, before["group"],
                    last_index=99, last_term=9, forced=False)  # fmt: skip
    traces.insert((name, position + 1), "receive", asked, term=before["term"] + 1, vote=peer("c"),
                  leader=None)  # fmt: skip
    traces.write(tmp_path)
    assert "sticky" in {violation.rule for violation in check(tmp_path).violations}
    for line in traces.lines["b"]:
        line.pop("promise_ms", None)
    traces.write(tmp_path)
    assert "sticky" not in {violation.rule for violation in check(tmp_path).violations}
