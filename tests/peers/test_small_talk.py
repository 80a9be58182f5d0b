"""What may wait for other peers' messages, and what hurries."""

from dataclasses import replace

import pytest

from raft_actors.core.messages import AppendEntries, AppendReply, RequestPreVote
from raft_actors.small_talk import SmallTalk

A, B, C = ("kv", "a@one"), ("kv", "b@two"), ("kv", "c@three")
BEAT = AppendEntries(
    source=A, target=B, group="g", term=1, prev_index=5, prev_term=1, commit=5, round=3
)
REPLY = AppendReply(source=B, target=A, group="g", term=1, match=5, round=3)


@pytest.mark.parametrize("said", [BEAT, REPLY])
def test_what_was_said_before_may_wait(said):
    talk = SmallTalk()
    assert not talk.is_all([said])
    assert talk.is_all([said])
    assert talk.is_all([])


@pytest.mark.parametrize(
    "news",
    [
        replace(BEAT, commit=6), replace(BEAT, round=4), replace(BEAT, term=2),
        replace(BEAT, entries=[b"x"]), replace(BEAT, target=C), replace(BEAT, prev_index=4),
        replace(REPLY, match=6), replace(REPLY, round=4), replace(REPLY, target=C),
        RequestPreVote(source=A, target=B, group="g", term=1, last_index=5, last_term=1),
    ],
)  # fmt: skip
def test_what_somebody_may_wait_for_hurries(news):
    """Planted: leave the round out, and reads on a node of many peers take milliseconds more."""
    talk = SmallTalk()
    talk.is_all([BEAT, REPLY])
    assert not talk.is_all([BEAT, REPLY, news])
