"""Leaders of real nodes end in each way, and no two programs work at once; python -m tests.lead
plays a thousand ends.
"""

import subprocess
import sys
from pathlib import Path

from tests.lead.ends import KINDS, judged

ROOT = Path(__file__).parents[2]
A, B, C = (1, 101, "a"), (2, 102, "b"), (3, 103, "c")


def test_no_two_programs_work_at_once_however_a_leader_ends() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.lead", "--each", "--stop-within", "0.4"],
        cwd=ROOT, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(f"{kind:18}    1 drawn" in done.stdout for kind in KINDS), done.stdout
    assert "never two at once" in done.stdout


def test_runs_one_after_another_are_right() -> None:
    verdict = judged([A, A, B, C, C])
    assert (verdict.starts, verdict.overlaps) == (3, [])


def test_a_program_that_works_on_beside_a_newer_one_is_found() -> None:
    verdict = judged([A, B, A, B, C])
    assert verdict.late == {A}
    assert verdict.overlaps == [f"{A} works after {B}", f"{B} works after {A}"]


def test_an_old_token_after_a_newer_one_is_found() -> None:
    """Also if nothing worked at the same time: a token must rise."""
    assert judged([B, A]).late == {A}


def test_a_program_that_is_started_again_by_the_same_token_is_right_unless_both_work() -> None:
    again = (A[0], 111, A[2])
    assert judged([A, again, again, B]).overlaps == []
    assert judged([A, again, A]).late == {A}
