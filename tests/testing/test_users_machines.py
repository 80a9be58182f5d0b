"""The fixture `raft_simulation` finds what is wrong with a user's machine, and nothing else."""

import os
import platform
import re
import socket

import pytest

from raft_actors.kv_store import KVStore
from raft_actors.testing.simulation.machine_checks import picture
from raft_actors.testing.simulation.machine_simulation import MachineBroken, Simulation
from tests.testing import machines


def run(machine, commands, queries=(), **options):
    return Simulation().run(machine, commands, queries, **{"seeds": 15, **options})


def test_a_right_machine_passes_and_was_really_used() -> None:
    commands = [("deposit", "a", 5), ("deposit", "b", 3), ("move", "a", "b", 4), ("oops",)]
    report = run(machines.Right, commands, ["a", "b"])
    assert len(report.seeds) == 15
    assert report.acknowledged > 50
    assert report.reads > 20
    assert report.raised > 0
    run(KVStore, [("set", "x", 1), ("set", "y", 2)], [("get", "x")])
    run(machines.KeepsAnObject, [1, 2, 3], [None])


@pytest.mark.parametrize(
    ("machine", "commands", "complaint"),
    [
        (machines.Draws, ["ann", "bob", "eve", "draw"], "replicas differ after command 'draw'"),
        (machines.Dates, ["x"], "replicas differ after command 'x'"),
        (machines.Remembers, ["x"], "replicas differ after command 'x'"),
        (machines.KeepsADrawnObject, ["x"], "replicas differ after command 'x'"),
        (machines.HalfDone, [3, 4], "changed the state before it raised ValueError"),
        (machines.Unencodable, ["x"], r"can't be encoded: reply\[.when.\]"),
        (machines.NeverWorks, ["x"], "no command ever succeeds; the first: 'x' raised KeyError"),
        (machines.LosesItsState, ["x"], r"returned None as the state, which was a dict"),
        (machines.TurnsIntoAReply, ["x"], r"returned 'ok' as the state, which was a dict"),
        (machines.Dated, ["x"], "replicas differ after command 'x'"),
        (machines.Stamped, ["x"], "replicas differ after command 'x'"),
        (machines.FirstOfASet, list("abcdefgh"), "replicas differ after command"),
        (machines.Counts, ["x", "y"], "replicas differ after command"),
        (machines.RestoresLess, ["x"], "restore made the state .* snapshot and restore must agree"),
        (machines.RestoresNothing, ["x"], r"restore\(data\) raised LookupError"),
        (machines.SnapshotsTheLiving, ["x"], "snapshot and restore must agree"),
        (machines.SnapshotsAndClears, ["x"], r"snapshot\(state\) changed the state"),
        (machines.Stores, ["x"], r"snapshot\(state\) gives what can't be saved"),
        (machines.SecondDraws, ["x"], "replicas differ after command 'x'"),
        (machines.UpgradesByChance, ["x"], "replicas differ after they moved on to version 2"),
        (machines.UpgradesToNothing, ["x"], r"upgrade\(state, 1\) returned None"),
        (machines.UpgradeRaises, ["x"], r"upgrade\(state, 1\) raised LookupError"),
        (machines.SecondNeverWorks, ["x"], "no command ever succeeds as version 2; the first: 'x'"),
        (machines.NoUpgrade, ["x"], r"has version 2 and no upgrade\(self, state"),
        (machines.NoInit, ["x"], r"init\('\w'\) raised LookupError"),
        (machines.WordsByChance, ["x"], "replicas differ after command 'x'"),
        (machines.WordsBeside, ["x", "y"], "replicas differ after command"),
        (machines.NoPair, ["x"], r"must return \(reply, state\), not 1"),
    ],
)
def test_a_wrong_machine_is_found(machine, commands, complaint) -> None:
    with pytest.raises(MachineBroken, match=complaint):
        run(machine, commands)


@pytest.mark.parametrize(
    "machine",
    [machines.Boards, machines.Second, machines.Cached, machines.Words, machines.NotANumber,
     machines.Holder],
)  # fmt: skip
def test_a_right_machine_of_any_kind_passes(machine, caplog) -> None:
    assert run(machine, ["x", "y"], ["x"]).acknowledged > 50
    assert "no snapshots" not in caplog.text


@pytest.mark.parametrize(
    ("module", "place"), [(os, "getpid"), (socket, "gethostname"), (platform, "node")]
)
def test_a_machine_that_looks_where_it_runs_is_found(module, place) -> None:
    """All replicas of a simulation run in one process, which has one id and one host."""

    class Placed(machines.Right):
        def handle_write(self, command, state):
            state["place"] = getattr(module, place)()
            return "ok", state

    before = getattr(module, place)()
    with pytest.raises(MachineBroken, match="replicas differ"):
        run(Placed, ["x"])
    assert getattr(module, place)() == before


def test_values_that_python_does_not_show_are_played_and_told_as_far_as_they_can_be() -> None:
    """By default an int of more than 4,300 digits has no text."""
    commands = [("deposit", "a", 10**5_000), ("deposit", "b", 2)]
    assert run(machines.Right, commands, ["a"], seeds=5).acknowledged > 50
    with pytest.raises(MachineBroken, match=r"handle_write\(<tuple whose repr\(\) fails>\)"):
        run(machines.Unencodable, commands[:1], seeds=5)


def test_a_state_may_lead_back_to_itself() -> None:
    assert run(machines.Tree, ["x", "y"], ["x"]).acknowledged > 50


def test_what_is_no_machine_and_no_command_is_told() -> None:
    for wrong in (machines.Right(), int):
        with pytest.raises(MachineBroken, match="a machine is given as a class derived"):
            run(wrong, ["x"])
    with pytest.raises(TypeError, match=r"commands\[1\]: an object can't be encoded"):
        run(machines.Right, ["x", object()])
    with pytest.raises(ValueError, match="commands: give some"):
        run(machines.Right, [])


def test_reads_answer_from_the_state() -> None:
    with pytest.raises(MachineBroken, match="from a snapshot answers 0: it looks at something"):
        run(machines.Lags, ["x"], ["x"])
    with pytest.raises(MachineBroken, match="looks at a clock, at chance or at something else"):
        run(machines.Guesses, ["x"], ["x"])


def test_a_group_may_begin_at_a_later_version() -> None:
    """A machine that has dropped the branch of version 1 says so."""
    assert run(machines.DroppedTheFirst, ["x"], oldest=2).acknowledged > 50
    with pytest.raises(MachineBroken, match="changed the state before it raised LookupError"):
        run(machines.DroppedTheFirst, ["x"])


def test_a_failure_leaves_a_plan_that_shows_it_again(tmp_path) -> None:
    with pytest.raises(MachineBroken) as first:
        Simulation(tmp_path).run(machines.Draws, ["ann", "draw"])
    path = re.search(r"plan='(.*)'", str(first.value))[1]
    assert path.startswith(str(tmp_path))
    with pytest.raises(MachineBroken, match="replicas differ"):
        run(machines.Draws, ["ann", "draw"], plan=path)


def test_a_read_that_changes_the_state_is_found() -> None:
    with pytest.raises(MachineBroken, match=r"handle_read.* changed the state"):
        run(machines.ReadsAndWrites, ["x"], ["who"])


def test_a_failure_names_a_seed_that_shows_it_again_and_tells_a_short_story() -> None:
    commands = ["ann", "bob", "eve", "draw"]
    with pytest.raises(MachineBroken) as first:
        run(machines.Draws, commands)
    text = str(first.value)
    seed = int(re.search(r"seed=(\d+)", text)[1])
    assert "clients write to" in text
    assert len(text.splitlines()) < 50
    with pytest.raises(MachineBroken, match="replicas differ"):
        run(machines.Draws, commands, seed=seed)


def test_commands_may_be_made_from_a_draw() -> None:
    report = run(KVStore, lambda draw: ("set", int(draw * 10), draw), lambda draw: ("get", 1))
    assert report.committed > 50


def test_the_environment_says_how_many_seeds(monkeypatch) -> None:
    monkeypatch.setenv("RAFT_SIMULATION_SEEDS", "3")
    assert Simulation().run(KVStore, [("set", "x", 1)]).seeds == [0, 1, 2]


def test_a_picture_stays_as_it_was() -> None:
    state = {"a": [1, {2}], "b": machines.Plain()}
    before = picture(state)
    assert picture(state) == before
    state["a"][1].add(3)
    assert picture(state) != before
    again = picture(state)
    state["b"].values.append(1)
    assert picture(state) != again
