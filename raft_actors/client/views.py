"""Views: the answers of a peer about itself, as dicts that IPython prints well."""

from typing import TYPE_CHECKING, Any, Literal, NotRequired, TypedDict

from raft_actors.names import Address

__all__ = ["ConfigurationView", "Entry", "SessionLimits", "Status", "in_view", "viewed"]


class View(dict[str, Any]):
    """A dict that IPython prints with one field in each line, in the order of the dict."""

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        name = type(self).__name__.removesuffix("View")
        if cycle:
            printer.text(f"{name}(...)")
            return
        width = max(map(len, self), default=0)
        with printer.group(2, f"{name}("):
            for key, value in self.items():
                printer.break_()
                printer.text(f"{key:<{width}}  ")
                with printer.indent(width + 2):
                    show(printer, value)
        printer.text(")")


def show(printer: Any, value: Any) -> None:
    """Print each member in a line of its own, and never break an address into two lines."""
    match value:
        case (str(), str()):
            printer.text(repr(value))
        case [(str(), str()), *_] if type(value) is list:
            with printer.group(1, "[", "]"):
                for position, address in enumerate(value):
                    if position:
                        printer.text(",")
                        printer.break_()
                    printer.text(repr(address))
        case _:
            printer.pretty(value)


class SessionLimits(TypedDict):
    """How many sessions a group keeps, and for how many seconds without a command."""

    sessions_max: int
    session_s: float


class SessionsView(SessionLimits):
    """The limits of sessions, and how many there are."""

    open: int


class DigestView(TypedDict):
    """The newest digest of a state: of the state after `index`; equal to that of the others
    after `equal_at`.
    """

    index: int
    digest: str
    equal_at: int


class FollowerView(TypedDict):
    """What a leader knows of one follower. The times are in seconds, and None if not known;
    `snapshot` is (bytes sent, of how many), or None while none is sent.
    """

    match: int
    next: int
    inflight: int
    lag_entries: int
    lag_s: float | None
    heard_s: float | None
    connected: bool
    snapshot: tuple[int, int] | None


class QueuesView(TypedDict):
    """How much waits at a peer: writes and reads without an answer, and committed entries that the
    machine has not applied.
    """

    writes: int
    reads: int
    to_apply: int


if TYPE_CHECKING:

    class ConfigurationView(TypedDict):
        """The members of a group. `learners`, `witnesses` and `old_members` are there only if there
        are any.
        """

        state: Literal["none", "stable", "transitional"]
        members: list[Address]
        learners: NotRequired[list[Address]]
        witnesses: NotRequired[list[Address]]
        old_members: NotRequired[list[Address]]
        index: int

    class Status(TypedDict):
        """A peer's answer to `Raft.status`. `sessions` are missing at a witness; `followers`,
        `digest` and `troubles` are there only if there are any.
        """

        name: str
        node: str
        current_state: Literal["follower", "pre_candidate", "candidate", "leader"]
        leader: Address | None
        since_s: float
        current_term: int
        configuration: ConfigurationView
        last_index: int
        last_term: int
        commit_index: int
        last_applied: int
        ready: bool
        last_save_s: float
        parked: int
        queues: QueuesView
        first_index: int
        snapshot_index: int
        machine_version: int
        group: str
        incarnation: int
        incarnations: dict[Address, int]
        followers: NotRequired[dict[Address, FollowerView]]
        sessions: NotRequired[SessionsView]
        digest: NotRequired[DigestView]
        troubles: NotRequired[list[str]]
        trouble_codes: NotRequired[list[str]]

    class Entry(TypedDict):
        """A log entry. Its `data` depends on its type: a command is a value of the user's."""

        index: int
        term: int
        type: Literal["command", "config", "version", "noop", "digests", "session", "unknown"]
        data: Any

else:

    class ConfigurationView(View):
        """The members of a group: `state`, `members`, `index`."""

    class Status(View):
        """A peer's answer to `Raft.status`."""

    class Entry(View):
        """A log entry: `index`, `term`, `type`, `data`."""


CONFIGURATION: type[Any] = ConfigurationView
"""For type checkers a TypedDict, which can't be made from any dict; here a View."""


def viewed(answer: Any, view: type[Any]) -> Any:
    """Return `("ok", fields)` with the fields as a view, and any other answer as it is."""
    match answer:
        case ("ok", dict() as fields):
            return ("ok", in_view(fields, view))
    return answer


def in_view(fields: dict[str, Any], view: type[Any]) -> Any:
    """Return the fields as a view, with the configuration among them as a ConfigurationView."""
    for key, value in fields.items():
        if key == "configuration" or (key == "data" and fields.get("type") == "config"):
            fields[key] = CONFIGURATION(value)
    return view(fields)
