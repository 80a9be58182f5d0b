"""Telling: messages in words, for transcripts that people read."""

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

__all__ = ["described"]


def described(message: Message) -> str:
    """One line: who says what to whom. `7@2` is index 7 in term 2."""
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
