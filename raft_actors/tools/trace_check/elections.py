"""Elections: who may be a candidate, get votes, and lead (§5.2, §5.4.1; thesis 9.6, 3.10)."""

from typing import Any

from raft_actors.names import Address
from raft_actors.tools.trace_check.files import address
from raft_actors.tools.trace_check.log_view import ConfigurationLine
from raft_actors.tools.trace_check.peer_state import Disk, Message, PeerState

__all__ = [
    "is_majority",
    "judge_election",
    "judge_term",
    "judge_vote",
    "note_pre_vote_request",
    "note_promise",
    "note_timeout_now",
    "note_vote",
]

# What a peer receives.


def note_pre_vote_request(peer: PeerState, message: Message, source: Address) -> None:
    if (
        message["term"] >= peer.before["term"]
        and not peer.hears_a_leader()
        and is_up_to_date(peer, message)
    ):
        peer.promised.add((source, message["term"] + 1))


def note_promise(peer: PeerState, message: Message, source: Address) -> None:
    if message["granted"]:
        peer.promises[message["asked"]].add((source, message["source_incarnation"]))


def note_vote(peer: PeerState, message: Message, source: Address) -> None:
    if message["granted"] and message["term"] == peer.before["term"]:
        peer.votes.add((source, message["source_incarnation"]))


def note_timeout_now(peer: PeerState, message: Message, _source: Address) -> None:
    peer.ordered_term = message["term"] + 1


# How the state of a peer changed.


def judge_term(peer: PeerState, highest_term: int) -> None:
    """Judge the term. `highest_term` is the highest term that this peer knows."""
    before, what = peer.before["term"], peer.what["term"]
    if what < before:
        peer.fail("term_falls", f"term {what} after {before}")
    campaigns = what == highest_term + 1 and peer.what["role"] in {"candidate", "leader"}
    if what > highest_term and not campaigns:
        peer.fail("term_rises", f"term {what} after {before}, as {peer.what['role']}")
    if campaigns:
        peer.votes = {peer.own_disk}
        promised = peer.promises[what] | {peer.own_disk}
        if peer.ordered_term != what and not is_majority(promised, peer.voters):
            peer.fail(
                "pre_vote_first",
                f"a candidate in term {what}, with the pre-votes of {sorted(promised)}",
            )


def judge_vote(peer: PeerState, asked_by: Message | None) -> None:
    before, what = peer.before, peer.what
    vote, role = what["vote"], what["role"]
    if what["term"] == before["term"] and vote == before["vote"]:
        return
    if what["term"] == before["term"] and before["vote"] is not None:
        peer.fail("one_vote", f"voted for {vote} in term {what['term']}, after {before['vote']}")
    if vote is None:
        if role in {"candidate", "leader"}:
            peer.fail("vote_asked", f"{role} without its own vote")
        return
    if vote == peer.peer:
        if role not in {"candidate", "leader"}:
            peer.fail("vote_asked", f"voted for itself as {role}")
        return
    if (
        asked_by is None
        or asked_by["kind"] != "RequestVote"
        or asked_by["source"] != vote
        or asked_by["term"] != what["term"]
    ):
        peer.fail("vote_asked", f"voted for {vote}, which did not ask in term {what['term']}")
        return
    if not is_up_to_date(peer, asked_by):
        peer.fail(
            "up_to_date",
            f"voted for {vote}, whose log ends at {asked_by['last_index']} in term "
            f"{asked_by['last_term']}; its own at {before['last']} in {before['last_term']}",
        )


def judge_election(peer: PeerState) -> None:
    before, what = peer.before, peer.what
    if what["vote"] != peer.peer:
        peer.fail("vote_asked", "leader without its own vote")
    if before["role"] != "candidate" and what["term"] == before["term"]:
        peer.fail("majority", f"leader, straight from {before['role']}")
    if not is_majority(peer.votes, peer.voters):
        peer.fail("majority", f"leader of term {what['term']} by the votes of {sorted(peer.votes)}")
    peer.matches = {}
    peer.led = what["term"]


def is_up_to_date(peer: PeerState, request: dict[str, Any]) -> bool:
    theirs = request["last_term"], request["last_index"]
    return bool(theirs >= (peer.before["last_term"], peer.before["last"]))


def is_majority(disks: set[Disk], configuration: ConfigurationLine | None) -> bool:
    """Return whether these are more than half of the voters, and of the old voters if there are any
    (§6).

    A disk counts for its peer only if the configuration names its incarnation, or names none at
    all. If it is not known who votes, the result is True.
    """
    if configuration is None:
        return True
    known = {address(peer): number for peer, number in configuration.get("incarnations", ())}
    peers = {peer for peer, number in disks if not known or known.get(peer) == number}
    for part in (configuration["members"], configuration.get("old")):
        if part and 2 * len(peers.intersection(map(address, part))) <= len(part):
            return False
    return True
