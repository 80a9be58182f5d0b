"""The types of the answers of `Raft`: `("ok", value)`, or `("error", reason)`."""

from typing import Any, Literal, TypeVar

from raft_actors.names import Address

__all__ = ["Answer", "Done", "Failure", "Ok", "Reason", "Started"]

T = TypeVar("T")

About = Literal[
    "in_another_group",
    "newcomers_too_slow",
    "peers_not_responding",
    "remove_first",
    "would_lose_quorum",
]
Explained = Literal[
    "backup_failed",
    "bad_request",
    "has_another_part",
    "in_another_group",
    "last_member",
    "no_group",
    "no_peer",
    "reply_too_large",
    "snapshot_failed",
]
Reason = (
    str
    | tuple[Literal["redirect"], Address | None]
    | tuple[About, list[Address]]
    | tuple[Explained, str]
)
"""A word; or a word and what it is about: the leader, the peers, or a text for people."""

Ok = tuple[Literal["ok"], T]
Failure = tuple[Literal["error"], Reason]
Answer = Ok[T] | Failure
Done = Literal["ok"] | Failure
"""Of a call that has nothing to return."""

Started = Ok[T] | tuple[Literal["error"], Any]
"""A start fails for any reason that the state machine or the disk gives."""
