"""Sent: what a message claims must be true, and durable, when the message is sent."""

from collections.abc import Callable
from typing import Any

from raft_actors.names import Address
from raft_actors.tools.trace_check.files import address
from raft_actors.tools.trace_check.log_view import entries_of
from raft_actors.tools.trace_check.peer_state import Message, PeerState

__all__ = ["check_sent"]


def check_sent(peer: PeerState, message: Message) -> None:
    """Judge a message that is sent now."""
    what = peer.what
    kind, term, saved_term = message["kind"], message["term"], peer.ballot[0]
    if message["source"] != peer.peer:
        peer.fail("append_source", f"a {kind} in the name of {message['source']}")
    if term > what["term"]:
        peer.fail("vote_durable", f"a {kind} of term {term} in term {what['term']}")
    if term > saved_term:
        peer.fail("vote_durable", f"a {kind} of term {term}; {saved_term} is saved")
    if kind in SENT:
        SENT[kind](peer, message, address(message["target"]))


def request_vote(peer: PeerState, message: Message, _target: Address) -> None:
    check_promise(peer, message, peer.peer)
    check_end(peer, message)
    if message["forced"] and peer.ordered_term != message["term"]:
        peer.fail("pre_vote_first", "no leader ordered this forced election")


def request_pre_vote(peer: PeerState, message: Message, _target: Address) -> None:
    check_end(peer, message)


def vote_reply(peer: PeerState, message: Message, _target: Address) -> None:
    if message["granted"]:
        check_promise(peer, message, message["target"])


def check_promise(peer: PeerState, message: Message, candidate: Any) -> None:
    """A vote must be durable. If a newer term is durable, the vote can't be given again either."""
    saved_term, saved_vote = peer.ballot
    if saved_term == message["term"] and saved_vote != candidate:
        peer.fail(
            "vote_durable",
            f"a vote for {candidate} in term {saved_term} is sent; saved is {saved_vote}",
        )


def check_end(peer: PeerState, message: Message) -> None:
    what = peer.what
    end = message["last_index"], message["last_term"]
    asks = {"pre_candidate": "RequestPreVote", "candidate": "RequestVote"}
    if (
        message["term"] == what["term"]
        and asks.get(what["role"]) == message["kind"]
        and end != (what["last"], what["last_term"])
    ):
        peer.fail("up_to_date", f"the message says that the log ends at {end}, and it does not")


def pre_vote_reply(peer: PeerState, message: Message, target: Address) -> None:
    if message["granted"] and (target, message["asked"]) not in peer.promised:
        peer.fail("pre_vote_granted", f"{target} is promised a vote in {message['asked']}")


def append_entries(peer: PeerState, message: Message, _target: Address) -> None:
    what, log = peer.what, peer.log
    if what["role"] != "leader" or message["term"] != what["term"]:
        peer.fail("append_source", f"a {what['role']} of term {what['term']} sends entries")
    prev, views = message["prev_index"], message["entries"]
    if log.term_at(prev) not in (message["prev_term"], None):
        peer.fail(
            "append_true", f"entry {prev} is of term {log.term_at(prev)}, not "
            f"{message['prev_term']}",
        )  # fmt: skip
    if prev >= log.base and log.between(prev + 1, prev + len(views)) != entries_of(views):
        peer.fail("append_true", f"entries after {prev} that are not in its log")
    if message["commit"] > peer.commit:
        peer.fail("append_true", f"commit {message['commit']}; its own is {peer.commit}")


def install_snapshot(peer: PeerState, message: Message, _target: Address) -> None:
    what = peer.what
    if what["role"] != "leader" or message["term"] != what["term"]:
        peer.fail("append_source", f"a {what['role']} of term {what['term']} sends a snapshot")
    if message["index"] > peer.commit:
        peer.fail("snapshot", f"a snapshot of entry {message['index']}, before it is committed")


def append_reply(peer: PeerState, message: Message, target: Address) -> None:
    match, disk = message["match"], peer.disk
    known = peer.log.term_at(match)  # None where the log begins later by now, behind a snapshot
    if match > disk.last or known not in (disk.term_at(match), None):
        peer.fail("reply_saved", f"match {match} is sent; saved is a log that ends at {disk.last}")
    if message["term"] == peer.what["term"]:
        proven = peer.accepted[1] if peer.accepted[0] == message["term"] else 0
        if match > proven:
            peer.fail("reply_matched", f"match {match} is sent; {target} proved {proven}")
        peer.claimed = max(peer.claimed, (message["term"], match))


def timeout_now(peer: PeerState, message: Message, target: Address) -> None:
    if message["term"] != peer.led:
        peer.fail("handed_over", f"a peer that never led the term orders {target} to campaign")


SENT: dict[str, Callable[[PeerState, Message, Address], None]] = {
    "RequestPreVote": request_pre_vote,
    "PreVoteReply": pre_vote_reply,
    "RequestVote": request_vote,
    "VoteReply": vote_reply,
    "AppendEntries": append_entries,
    "AppendReply": append_reply,
    "TimeoutNow": timeout_now,
    "InstallSnapshot": install_snapshot,
}
