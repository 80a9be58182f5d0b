"""The list of planted bugs is kept: each can still be planted, and a few are, in every run.

All of them: python -m tests.mutations (docs/mutations.md has the table).
"""

import pytest

from tests.mutations.every import MUTATIONS
from tests.mutations.planting import Catch, catch, misplaced
from tests.mutations.table import NOTHING, TABLE, known_rows, split_table, summary

NAMED = {mutation.name: mutation for mutation in MUTATIONS}


@pytest.mark.seeds
def test_each_text_to_replace_stands_once() -> None:
    assert [text for text in map(misplaced, MUTATIONS) if text] == []


def test_there_are_enough_and_no_two_of_a_name() -> None:
    assert len(NAMED) == len(MUTATIONS) >= 25


@pytest.mark.seeds
def test_the_document_tells_of_each_and_of_none_that_survives() -> None:
    """For a new one: python -m tests.mutations NAME --write."""
    _before, table, _after = split_table(TABLE.read_text())
    rows = known_rows(table)
    assert [*rows] == [*NAMED]
    assert NOTHING not in table
    assert summary([*rows.values()]) in table


@pytest.mark.seeds
@pytest.mark.parametrize(
    ("name", "net"),
    [
        ("index_and_term_swapped", "tests/core/test_elections.py"),
        ("figure_8_commit", "tests/scenarios"),
        ("vote_not_durable", ""),
    ],
)
def test_a_planted_bug_is_caught(name: str, net: str) -> None:
    caught = catch(NAMED[name], nets=[net] if net else [], simulate=not net)
    assert caught.test if net else caught.simulation


@pytest.mark.seeds
def test_a_net_that_holds_nothing_says_so() -> None:
    """Else every bug would seem to be caught."""
    nets = ["tests/core/test_elections.py"]
    assert catch(NAMED["one_entry_for_each_append"], nets=nets, simulate=False) == Catch("", "")
