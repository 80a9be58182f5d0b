"""Reseeding: a replica gets the state of its leader in place of its own, which is wrong.

    1  the replica asks in its append replies for a snapshot that ends at `least` or later
    2  the leader takes one, if it has none that is new enough, and sends it
    3  the replica installs it, and applies the entries after it from its own log
    4  the leader has the digests of the states compared

Only the state is replaced. The ballot and the log stay: they are right, and other peers count on
what this peer has voted and acknowledged. Meanwhile the peer answers nobody, as if it were a
witness.
"""

from typing import Any

from raft_actors.core.knowledge import Reseeding
from raft_actors.core.replies import TIMEOUT
from raft_actors.core.state import State

__all__ = ["give_up_if_alone", "reseed"]

ALONE_TIMEOUTS = 20
"""A peer that has had no other leader for so many longest election timeouts gives it up."""


def reseed(state: State, ticket: Any) -> None:
    """Begin to ask for a state, or have one more client wait for it."""
    if state.is_witness:
        state.answer(ticket, ("error", "keeps_no_state"))
    elif state.reseeding is not None:
        state.reseeding.tickets.append(ticket)
    else:
        state.reseeding = Reseeding(state.commit_index + 1, [ticket], state.now)


def give_up_if_alone(state: State, *, is_led: bool) -> None:
    """Give it up if there is nobody who could send a state. Without that, two replicas that wait
    for a third one would answer nobody for as long as it is away.
    """
    reseeding = state.reseeding
    if reseeding is None:
        return
    if is_led:
        reseeding.led_at = state.now
    elif state.now - reseeding.led_at >= ALONE_TIMEOUTS * state.config.max_election_timeout:
        state.reseeding = None
        for ticket in reseeding.tickets:
            state.answer(ticket, TIMEOUT)
