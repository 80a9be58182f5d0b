"""Step: what a verb of a kind of object gets when its command runs, and how it refuses."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from raft_actors.effects import Effect
from raft_actors.kit.machine.tables import Tables

__all__ = ["Kind", "Refused", "Step", "Verb"]


class Refused(Exception):
    """The command does nothing. Raised before its first change.

    reason  a word, and what belongs to it: ("not_held", token). The client makes an exception of it
    """

    def __init__(self, *reason: Any) -> None:
        super().__init__(*reason)
        self.reason: tuple[Any, ...] = reason


@dataclass(slots=True)
class Step:
    """One command at its place in the log.

    index    the index of the command's entry. A grant of this command has it as its fencing token
    kinds    all kinds of objects: what ends together may be of several
    effects  what is to be done when the command is committed; verbs append to it
    """

    tables: Tables
    index: int
    kinds: "Mapping[str, Kind]"
    effects: list[Effect] = field(default_factory=list)


Verb = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object.

    verbs    its commands: functions (step, name, *arguments) that return the reply
    queries  its reads: functions (tables, name, *arguments) that return the reply
    release  gives up what one object has on a lease that has ended: (step, name, *what), where
             `what` is what `leases.hang` was called with. None: its objects have nothing on leases
    """

    verbs: Mapping[str, Verb]
    queries: Mapping[str, Verb]
    release: Verb | None = None
