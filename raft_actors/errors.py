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
    "LeadLost",
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
    "UnknownType",
    "UpgradeFailed",
    "class_name",
    "in_text",
]

REJOIN = (
    "stop this peer, move its data directory away, and call Raft.join(Machine, name=..., via=a "
    "member) on its node: it is removed from its group and added again, and gets all from its "
    "leader"
)
"""Advice for a damaged data directory while a majority of the other members is alive. Messages of
errors include this text."""


TEXT_MAX = 10_000
"""Characters of an exception's text that are sent to other nodes or stored. The rest is cut off."""
CLASS_NAME: Any = type.__dict__["__qualname__"]
BARE_NAME: Any = type.__dict__["__name__"]
"""The descriptors of `type` itself: they return a class's name also where its metaclass defines
another `__qualname__` or `__name__`."""


def in_text(error: BaseException) -> tuple[str, str]:
    """Return the name of an exception's type and the exception's text.

    The text is at most TEXT_MAX characters long. Neither has lone surrogates, which can't be
    encoded as UTF-8. A `__str__` or a metaclass of the user that fails does no harm.
    """
    try:
        text = str.__getitem__(str(error), slice(TEXT_MAX))
    except BaseException:
        text = "an exception that can't say what it is"
    return whole(CLASS_NAME.__get__(type(error))), whole(text)


def class_name(thing: object) -> str:
    """Return the name of the class of `thing`, also where its metaclass defines another
    `__name__`."""
    name: str = BARE_NAME.__get__(type(thing))
    return name


def whole(text: str) -> str:
    return str.encode(text, errors="backslashreplace").decode()


class RaftError(Exception):
    """Base class of every error of this package."""


class BadName(RaftError, ValueError):
    """The name of a peer, actor or node has characters that no address or file name may have."""


class BadTls(RaftError, ValueError):
    """A certificate, a key or a setting of TLS can't be used. The message names which one."""


class NameTaken(RaftError):
    """Another process on this host runs a node with this name. The message names that process."""


class NoNode(RaftError):
    """This call needs a node, and none was started here: call `Node.start(name)` first."""


class NoProcess(RaftError):
    """No actor is registered under this name on that node."""


class NotAllowed(RaftError):
    """The cookie of this node is a client's or a reader's, which may not do that."""


class NoConnection(RaftError):
    """The other node can't be reached, or the connection broke before the answer came.

    If `was_sent` is False, the request was not sent and was not carried out. If `was_sent` is True,
    the other node may have carried it out or not.
    """

    def __init__(self, message: str = "", *, was_sent: bool = True) -> None:
        super().__init__(message)
        self.was_sent = was_sent


class FrameTooLarge(RaftError, ValueError):
    """A message is larger than `Config.frame_bytes_max`."""


class DataDirInUse(RaftError):
    """Another peer, of this process or of another one, has this data directory open."""


class StoreCorrupt(RaftError):
    """A store has content that this version can't have written: the disk damaged it, or another
    program or version wrote it. Restore the data directory, or remove it by hand.
    """


class HostError(RaftError):
    """This host can't do what the other replicas can, because of its data files, its memory or its
    limits. The replica must end: with another result of a command it would differ from the others.
    """


class UnknownType(HostError):
    """A value has an object of a class that this program has not registered with `value_type`, or
    knows in an older or another form. Import the module that registers it, or install the version
    of the program that the others have.
    """


class StoreError(RaftError):
    """The disk failed: it is full, can't be read, or reports errors. The store saves nothing more
    until it is opened again.
    """


class LeadLost(RaftError):
    """The child of a LeaderSupervisor may not go on: this node may not lead any more."""


class LogCompacted(RaftError):
    """These entries are no longer in the log; a snapshot has replaced them."""


class MachineTooOld(RaftError):
    """The group uses a newer version of the state machine than this program has: install the newer
    version.
    """


class UpgradeFailed(RaftError):
    """The state machine's `upgrade` raised an exception, as it will on every replica: install a
    version whose `upgrade` does not.
    """


class NotApplied(RaftError):
    """The request was not carried out, and never will be: sending it again is safe."""


class NoLeader(NotApplied):
    """Members answered, but none of them is the leader or knows the leader."""


class Unavailable(NotApplied):
    """No member answered in time, or the leader did not."""


class TooStale(NotApplied):
    """No member that was asked has confirmed its commit index with a leader within
    `max_staleness_s`.
    """


class Overloaded(NotApplied):
    """The leader had too many waiting requests until the timeout: send the request later, and fewer
    requests at once.
    """


class CommandTooLarge(NotApplied, ValueError):
    """The command is larger than the leader's `Config.command_bytes_max`: split it."""


class MethodRefused(NotApplied):
    """The members do not run this method of a replicated object: they have another class, or an
    older program. Nothing happened.
    """


class CommandTooNew(MethodRefused):
    """The group runs an older version of the class, which does not have this method yet. Nothing
    happened: call again when every member has the new program.
    """


class MethodRaised(RaftError):
    """A method of a replicated object raised an exception, the same on every replica. If it is an
    update, no attribute has changed.

    type_name  name of the exception's class, like "ValueError"
    text       the text of the exception
    """

    def __init__(self, method: str, type_name: str, text: str) -> None:
        super().__init__(f"{method} raised {type_name}{': ' if text else ''}{text}")
        self.type_name = type_name
        self.text = text


class OutcomeUnknown(RaftError):
    """A command may have run, or may run later. `cluster.outcome(error.request_id)` finds out."""

    def __init__(self, message: str, request_id: tuple[int, int]) -> None:
        super().__init__(message)
        self.request_id = request_id


class SessionExpired(OutcomeUnknown):
    """A command may have run, and the group has forgotten whether: read the state that the command
    would have changed.
    """


class ReplyLost(RaftError):
    """The command ran, but its reply is lost: read the state that the command changed."""
