"""Restart: a peer must load from its store what it has saved, as far as the traces show it."""

from typing import Any

from raft_actors.tools.trace_check.log_view import LogView
from raft_actors.tools.trace_check.peer_state import PeerState

__all__ = ["check_loaded"]


def check_loaded(peer: PeerState, loaded: LogView, ballot: tuple[int, Any], owed: int) -> None:
    """Compare what was loaded from the store with what was saved, as far as the trace shows it.

    A killed run may have saved one batch more than it could tell. Behind a damaged entry nothing
    is loaded; then the peer must owe all entries that were saved.

    owed  up to which index the peer owes entries that its disk has damaged; 0 for none
    """
    saved_term, saved_vote = peer.ballot
    term, vote = ballot
    if term < saved_term:
        peer.fail("term_falls", f"term {term} is loaded, {saved_term} was saved")
    if term == saved_term and vote != saved_vote and (peer.ended or saved_vote is not None):
        peer.fail("one_vote", f"vote {vote} is loaded, {saved_vote} was saved")
    if peer.ended and term != saved_term:
        peer.fail("loaded", f"term {term} is loaded, {saved_term} was saved")
    disk = peer.disk
    if loaded.base > disk.base and disk.term_at(loaded.base) != loaded.base_term:
        return  # it begins behind a leader's snapshot, of another history than its log was
    first = max(disk.base, loaded.base) + 1
    last = min(disk.last, loaded.last)
    mine, theirs = disk.between(first, last), loaded.between(first, last)
    same = next((n for n, pair in enumerate(zip(mine, theirs, strict=True))
                 if pair[0] != pair[1]), len(mine))  # fmt: skip
    differs_at = first + same
    if differs_at > last and loaded.last < disk.last <= owed:
        return
    if peer.ended and (differs_at <= last or disk.last != loaded.last):
        peer.fail(
            "loaded",
            f"a log of {loaded.last} entries is loaded, {disk.last} were saved; they differ "
            f"from entry {differs_at} on",
        )
    if differs_at <= min(disk.last, peer.commit):
        peer.fail("committed", f"entry {differs_at}, committed, is gone from the store")
    claimed = peer.claimed[1] if peer.claimed[0] == term else 0
    if differs_at <= min(disk.last, claimed):
        peer.fail("loaded", f"entry {differs_at}, saved and claimed, is gone from the store")
    if differs_at > last and loaded.last < disk.last:
        peer.fail("loaded", f"entries {loaded.last + 1} to {disk.last} are gone")
