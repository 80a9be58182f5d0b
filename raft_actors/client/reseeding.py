"""Reseeding: has a peer get the state of its leader in place of its own."""

import time

from raft_actors.client.answers import Answer
from raft_actors.client.rpc import PeerRef, ask
from raft_actors.core.replies import ELECTION_IN_PROGRESS
from raft_actors.replica.requests import RESEED
from raft_actors.timeouts import seconds

__all__ = ["reseed"]

ASKED_AGAIN_S = 0.1


def reseed(peer: PeerRef, timeout: float) -> Answer[int]:
    """Return ("ok", index), or an error. While the peer is a candidate it is asked again."""
    deadline = time.monotonic() + seconds(timeout)
    while True:
        answer: Answer[int] = ask(peer, RESEED, (), max(deadline - time.monotonic(), 0.0))
        if answer != ELECTION_IN_PROGRESS or time.monotonic() + ASKED_AGAIN_S >= deadline:
            return answer
        time.sleep(ASKED_AGAIN_S)
