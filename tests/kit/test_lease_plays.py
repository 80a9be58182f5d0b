"""No two holders by the order of their tokens, whatever clocks, messages and leaders do."""

import pytest

from tests.kit.lease_play import Play

SECONDS = 200.0


@pytest.mark.parametrize("seed", range(12))
def test_who_is_sure_to_hold_the_lock_is_its_only_holder(seed, monkeypatch):
    """Planted: a holder that counts from the answer; one that allows for no drift of clocks."""
    play = Play(seed, monkeypatch)
    play.run(SECONDS)
    assert play.acts > 100
    assert play.losses > 5
    assert len(play.tokens) > 20
