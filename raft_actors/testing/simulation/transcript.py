"""Transcript: messages and answers as text, for transcripts that people read."""

from collections.abc import Iterable
from typing import Any

from raft_actors.core.messages import (
    AppendEntries,
    AppendRejected,
    AppendReply,
    InstallSnapshot,
    Message,
    PreVoteReply,
    ReadIndex,
    ReadIndexReply,
    RequestPreVote,
    RequestVote,
    SnapshotReply,
    TimeoutNow,
    VoteReply,
)
from raft_actors.names import Address
from supervision.foreign import text_of

__all__ = ["answer_in_words", "described"]


def described(message: Message) -> str:
    """Return a message as one line: sender, receiver, content. `7@2` is index 7 in term 2."""
    return f"{message.source[0]} > {message.target[0]}  {said(message)}"


def said(message: Message) -> str:
    term = message.term
    match message:
        case AppendEntries():
            after = f"after {message.prev_index}@{message.prev_term}"
            entries = f"+{len(message.entries)}" if message.entries else "heartbeat"
            asked = f", round {message.round}" if message.round else ""
            return f"append    term {term}, {after}, {entries}, commit {message.commit}{asked}"
        case AppendReply():
            asked = f", round {message.round}" if message.round else ""
            return f"match     term {term}, {message.match}{asked}"
        case AppendRejected():
            at = f"not after {message.prev_index}, try {message.hint}@{message.hint_term}"
            return f"reject    term {term}, {at}"
        case InstallSnapshot():
            ends = message.offset + len(message.data) == message.size
            part = "last" if ends else "next" if message.offset else "first"
            part = "all of it" if ends and not message.offset else f"{part} part"
            return f"snapshot  term {term}, {message.index}@{message.last_term}, {part}"
        case SnapshotReply():
            word = "so far   " if message.accepted else "go back  "
            return f"{word} term {term}, {message.index}"
        case RequestPreVote():
            return f"would you term {term} + 1, log {message.last_index}@{message.last_term}"
        case PreVoteReply():
            return f"{'I would  ' if message.granted else 'would not'} term {message.asked}"
        case TimeoutNow():
            return f"stand!    term {term}"
        case ReadIndex():
            return f"read?     term {term}"
        case ReadIndexReply():
            return f"read at   term {term}, {message.index}"
        case RequestVote():
            return f"vote?     term {term}, log {message.last_index}@{message.last_term}"
        case VoteReply():
            return f"{'vote     ' if message.granted else 'no vote  '} term {term}"
        case _:
            return type(message).__name__


def answer_in_words(result: Any) -> str:
    """Return an answer as text: a peer by its name, a configuration by its members."""
    match result:
        case ("ok", {"members": members, "index": index} as view):
            more = "".join(
                f", {what} {names(view[key])}"
                for key, what in (("learners", "learners"), ("old_members", "old"))
                if key in view
            )
            return f"ok, members {names(members)}{more}, entry {index}"
        case ("error", (str() as reason, [(str(), str()), *_] as peers)):
            return f"error, {reason} {names(peers)}"
        case ("error", ("redirect", None)):
            return "error, no leader known"
        case ("error", ("redirect", (name, _node))):
            return f"error, ask {name}"
        case (str() as word, (str() as name, str())):
            return f"{word}, {name}"
        case ("error", str() as reason):
            return f"error, {reason}"
        case _:
            return text_of(result)


def names(addresses: Iterable[Address]) -> str:
    return " ".join(name for name, _node in addresses)
