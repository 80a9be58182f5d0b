"""The errors that raft_actors raises. Each message says what to do next."""

from typing import Any

__all__ = [
    "REJOIN",
    "BadName",
    "BadTls",
    "CommandTooLarge",
    "DataDirInUse",
    "FrameTooLarge",
    "HostError",
    "LogCompacted",
    "MachineTooOld",
    "NameTaken",
    "NoConnection",
    "NoLeader",
    "NoNode",
    "NoProcess",
    "NotAllowed",
    "NotApplied",
    "OutcomeUnknown",
    "Overloaded",
    "RaftError",
    "ReplyLost",
    "SessionExpired",
    "StoreCorrupt",
    "StoreError",
    "TooStale",
    "Unavailable",
    "UpgradeFailed",
    "class_name",
    "in_text",
]

REJOIN = (
    "stop this peer, move its data directory away, and call Raft.join(Machine, name=..., via=a "
    "member) on its node: it is removed from its group and added again, and gets all from its "
    "leader"
)
"""What to do about a data directory that is damaged, while a majority of the others is alive."""


TEXT_MAX = 10_000
"""Characters of an exception's text that travel, and are kept."""
CLASS_NAME: Any = type.__dict__["__qualname__"]
BARE_NAME: Any = type.__dict__["__name__"]
"""Also where a metaclass has a name of its own."""


def in_text(error: BaseException) -> tuple[str, str]:
    """Return the name of an exception's type and its text, whatever the user's code makes of both:
    bounded, and without lone surrogates, which no UTF-8 holds.
    """
    try:
        text = str.__getitem__(str(error), slice(TEXT_MAX))
    except BaseException:
        text = "an exception that can't say what it is"
    return whole(CLASS_NAME.__get__(type(error))), whole(text)


def class_name(thing: object) -> str:
    """Return the name of its class, also where a metaclass has a name of its own."""
    name: str = BARE_NAME.__get__(type(thing))
    return name


def whole(text: str) -> str:
    return str.encode(text, errors="backslashreplace").decode()


class RaftError(Exception):
    """Root of every error of this package."""


class BadName(RaftError, ValueError):
    """A peer, actor or node name has characters that can't go into an address or a file name."""


class BadTls(RaftError, ValueError):
    """A certificate, a key or a setting of TLS that can't be used; the message names it."""


class NameTaken(RaftError):
    """A node of this name is alive on this host; the message names its process."""


class NoNode(RaftError):
    """This call needs a started node: call `Node.start(name)` first."""


class NoProcess(RaftError):
    """No actor is registered under this name on the node that was asked."""


class NotAllowed(RaftError):
    """The cookie of this node is a client's or a reader's, which may not do that."""


class NoConnection(RaftError):
    """The other node can't be reached, or the link broke before the answer came.

    What was asked may or may not have happened; unless `was_sent` is False: then it has not.
    """

    def __init__(self, message: str = "", *, was_sent: bool = True) -> None:
        super().__init__(message)
        self.was_sent = was_sent


class FrameTooLarge(RaftError, ValueError):
    """A message is larger than `Config.frame_bytes_max`."""


class DataDirInUse(RaftError):
    """Another peer, here or in another process, has this data directory open."""


class StoreCorrupt(RaftError):
    """A store holds what this version can't have written: restore it or remove it by hand."""


class HostError(RaftError):
    """This host has no data, no room or no limits for what the others may do: it must not go on."""


class StoreError(RaftError):
    """The disk refused: full, unreadable, failing. The store takes nothing more until reopened."""


class LogCompacted(RaftError):
    """The entries asked for are no longer in the log; a snapshot covers them."""


class MachineTooOld(RaftError):
    """The group runs a newer version of the state machine than this program has: install that."""


class UpgradeFailed(RaftError):
    """A machine's `upgrade` raised, as it will on every replica: install one that does not."""


class NotApplied(RaftError):
    """What was asked did not happen, and never will: asking again is safe."""


class NoLeader(NotApplied):
    """Members answer, but none of them leads, or knows who does."""


class Unavailable(NotApplied):
    """No member could be reached in time, or none that leads answered."""


class TooStale(NotApplied):
    """No member that was asked has heard from a leader within `max_staleness_s`."""


class Overloaded(NotApplied):
    """The leader refused to queue more all the time: ask again later, and less at once."""


class CommandTooLarge(NotApplied, ValueError):
    """The command is larger than the leader's `Config.command_bytes_max`: split it."""


class OutcomeUnknown(RaftError):
    """A command may have happened, or may still: `cluster.outcome(error.request_id)` settles it."""

    def __init__(self, message: str, request_id: tuple[int, int]) -> None:
        super().__init__(message)
        self.request_id = request_id


class SessionExpired(OutcomeUnknown):
    """A command may have happened, and nobody knows any more: read what it would have changed."""


class ReplyLost(RaftError):
    """The command happened, but its reply is not to be had: read what it changed."""
