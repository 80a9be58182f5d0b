"""A failing seed is made small, and told in words."""

import sys
from collections.abc import Iterator
from functools import cache
from itertools import islice

import pytest

from raft_actors.core.follower import Follower
from raft_actors.testing.simulation.plan import draw
from raft_actors.testing.simulation.plan_file import BadPlan, keep, kept
from raft_actors.testing.simulation.runner import Failure, play, transcript
from raft_actors.testing.simulation.shrink import shrink
from raft_actors.tools.simulate import run_plan, run_simulation


@pytest.fixture
def two_votes(monkeypatch):
    """Plant a bug: followers vote for whoever asks, and say so before."""

    def on_vote_request(self, request) -> None:
        self.state.vote(request.source)
        self.state.send(self.state.reply_vote(request, granted=True))

    def on_pre_vote_request(self, request) -> None:
        self.state.send(self.state.reply_pre_vote(request, granted=True))

    planted = {
        Follower.on_vote_request: on_vote_request,
        Follower.on_pre_vote_request: on_pre_vote_request,
    }
    handlers = {kind: planted.get(each, each) for kind, each in Follower.handlers.items()}
    assert handlers != Follower.handlers
    monkeypatch.setattr(Follower, "handlers", handlers)


STEPS = 2_000
"""With the planted bug of `two_votes` some of the first seeds fail within so many fates."""


def failures() -> Iterator[Failure]:
    ends = (play(draw(seed, STEPS)) for seed in range(100))
    return (end for end in ends if isinstance(end, Failure))


def first_failure() -> Failure:
    return next(failures())


@cache
def short_failure() -> Failure:
    """The shorter of the first two, so that shrinking it takes no time. Always of `two_votes`."""
    return min(islice(failures(), 2), key=lambda failure: failure.after)


def test_a_failure_shrinks_to_the_fates_that_matter(two_votes) -> None:
    failure = short_failure()
    small = shrink(failure)
    assert small.kind == failure.kind
    assert len(small.plan.fates) < failure.after * 2 / 3
    again = play(small.plan)
    assert isinstance(again, Failure)
    assert again.violation == small.violation


def test_shrinking_has_a_bound(two_votes) -> None:
    failure = first_failure()
    assert shrink(failure, plays_max=1).kind == failure.kind


def test_a_transcript_tells_what_happens_up_to_the_failure(two_votes) -> None:
    lines = transcript(first_failure().plan)
    assert lines[-1].startswith("BROKEN: ")
    assert any("vote?" in line for line in lines)


def test_a_failing_seed_is_explained(two_votes, capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    seed = short_failure().plan.seed
    assert run_simulation(seeds=1, steps=STEPS, first=seed, jobs=1) == 1
    told = capsys.readouterr().out
    assert f"seed {seed} fails" in told
    assert "fates are enough for it" in told
    assert "BROKEN: " in told
    assert f"raft-actors simulate --first {seed} --seeds 1 --steps {STEPS}" in told
    assert f"raft-actors simulate --plan seed-{seed}.plan.json" in told
    broken = told.split("BROKEN: ")[1].split("\n")[0]
    assert run_plan(tmp_path / f"seed-{seed}.plan.json") == 1
    assert f"BROKEN: {broken}" in capsys.readouterr().out


def test_a_kept_plan_is_played_whatever_the_seed_draws(two_votes, tmp_path, monkeypatch) -> None:
    failure = short_failure()
    path = tmp_path / "plans" / "two_votes.json"
    keep(failure.plan, path)
    monkeypatch.setattr("raft_actors.testing.simulation.plan.Random", None)
    plan = kept(path)
    assert plan == failure.plan
    assert play(plan) == failure


@pytest.mark.parametrize(
    ("was", "now", "complaint"),
    [
        ('"format": 1', '"format": 9', "is of format 9, and this version plays 1"),
        ('"deliver"', '"delivers"', "has 'delivers', which is no kind of fate"),
        ('"pace"', '"speed"', "has 'speed', which is no field of a plan"),
        ('"append_bytes_max"', '"append_max"', "has 'append_max', which is no field of Config"),
        ("}", "", "holds no plan of a simulation"),
    ],
)
def test_what_no_version_can_play_is_refused_in_words(tmp_path, was, now, complaint) -> None:
    path = tmp_path / "plan.json"
    keep(draw(7, 50), path)
    text = path.read_text()
    assert was in text
    path.write_text(text.replace(was, now))
    with pytest.raises(BadPlan, match=complaint):
        kept(path)


def test_a_plan_that_is_not_there_is_told_at_the_command_line(tmp_path) -> None:
    import subprocess

    done = subprocess.run(
        [sys.executable, "-m", "raft_actors", "simulate", "--plan", str(tmp_path / "none")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "can't be read: No such file" in done.stderr


@pytest.mark.parametrize("jobs", [1, 2])
def test_sound_seeds_end_in_a_sum(capsys, jobs) -> None:
    assert run_simulation(seeds=25, steps=50, first=100, jobs=jobs) == 0
    told = capsys.readouterr().out
    assert told.startswith("25 seeds, 1,250 steps, ")
    assert told.endswith("no promise broken\n")


def test_the_command_line_knows_it() -> None:
    import subprocess

    done = subprocess.run(
        [sys.executable, "-m", "raft_actors", "simulate", "--seeds", "2", "--steps", "20"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "2 seeds" in done.stdout
