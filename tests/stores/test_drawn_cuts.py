"""Drawn power cuts, faults and damages of a `FilesStore`: see drawn_cuts.py, which plays more."""

import pytest

from tests.stores.drawn_cuts import PLAYS, played

SEEDS = 25


@pytest.mark.parametrize("play", PLAYS, ids=lambda play: play.__name__)
def test_none_is_silently_wrong(play):
    for seed in range(SEEDS):
        played(play, seed)
