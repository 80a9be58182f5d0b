"""Duties: what the leader of a group has still to do, as a part of the replicated state: to let
timers fire, and to send the messages of the outbox.

A command adds a duty by an effect. An entry of the log that the leader writes ends it: that the
timer fires, or that the message was answered. So a new leader knows what is left to do.
"""

import sys
from collections.abc import Iterable, Iterator
from typing import Any

from raft_actors import encoding
from raft_actors.effects import CancelTimer, Effect, Notify, Outbox, Tell, Timer
from raft_actors.machine.topics import check_topic
from raft_actors.names import Address, check_name, check_node_name

__all__ = ["ACKED", "FIRED", "Duties", "Duty", "checked"]

FIRED, ACKED = (1 << 64) - 3, (1 << 64) - 4
"""Numbers in the place of a session: the entry ends a duty. The sequence is the index of the entry
that added the duty, and the payload has its name."""
DUTIES_MAX = 100_000
"""Most timers, and most messages in the outbox. A command that adds one more raises."""
NAME_CHARACTERS_MAX = 256

Duty = tuple[int, str]
"""(FIRED, name of a timer) or (ACKED, id of a message)."""


class Duties:
    """The duties of a group's leader.

    timers  (seconds, index of the entry that set it) of each timer, by name
    outbox  (receiver, encoded message, index of the entry) of each message, by id
    added   the duties that were added since the leader's `Carrier` has looked
    """

    __slots__ = ("added", "outbox", "timers")

    def __init__(self) -> None:
        self.timers: dict[str, tuple[float, int]] = {}
        self.outbox: dict[str, tuple[Address | str, bytes, int]] = {}
        self.added: list[Duty] = []

    def exist(self) -> bool:
        """Return whether there is a duty, or was one that the leader's `Carrier` has to forget."""
        return bool(self.added or self.timers or self.outbox)

    def check_room(self, effects: list[Effect]) -> None:
        """Raise ValueError if there would be too many duties."""
        more = len(effects)
        if more and max(len(self.timers), len(self.outbox)) + more > DUTIES_MAX:
            raise ValueError(f"more than {DUTIES_MAX} timers, or messages in the outbox")

    def take(self, effect: Effect, index: int) -> None:
        """Add the duty of an effect of the entry `index`, or cancel one."""
        match effect:
            case Timer(name, after_s):
                self.timers[name] = (float(after_s), index)
                self.added.append((FIRED, name))
            case CancelTimer(name):
                self.timers.pop(name, None)
            case Outbox(to, message, name) if name not in self.outbox:
                self.outbox[name] = (to, encoding.dumps(message, "message"), index)
                self.added.append((ACKED, name))

    def index_of(self, duty: Duty) -> int:
        """Return the index of the entry that added a duty; 0 if it is done, or cancelled."""
        kind, name = duty
        return (
            self.timers.get(name, (0, 0))[1] if kind == FIRED else self.outbox.get(name, (0,))[-1]
        )

    def end(self, duty: Duty, index: int) -> bool:
        """End the duty that the entry `index` has added. Return False if it has ended already: two
        leaders may have written so.
        """
        if not index or self.index_of(duty) != index:
            return False
        kind, name = duty
        if kind == FIRED:
            del self.timers[name]
        else:
            del self.outbox[name]
        return True

    def all(self) -> list[Duty]:
        """Return all duties, the oldest first."""
        found = [(FIRED, name) for name in self.timers] + [(ACKED, name) for name in self.outbox]
        return sorted(found, key=self.index_of)

    def stored(self) -> Iterator[Any]:
        """Yield one value for each duty, for a snapshot."""
        for name, (after_s, index) in self.timers.items():
            yield FIRED, name, after_s, index
        for name, (to, message, index) in self.outbox.items():
            yield ACKED, name, to, message, index

    def restore(self, stored: Iterable[Any]) -> None:
        """Add the duties that `stored` has yielded."""
        for kind, name, *rest in stored:
            if kind == FIRED:
                self.timers[name] = tuple(rest)
            else:
                self.outbox[name] = tuple(rest)


def checked(effects: Any, *, on_disk: bool) -> list[Effect]:
    """Return the effects that `handle_write` has returned.

    Raises TypeError or ValueError, and BadName, for what is no effect: the same on every replica.
    """
    if isinstance(effects, Effect):
        raise TypeError(f"effects are a list: return (reply, state, [{effects!r}])")
    found = list(effects)
    for effect in found:
        match effect:
            case Tell(to, message):
                check_receiver(to)
                encoding.dumps(message, "message")
            case Outbox(to, message, name):
                check_receiver(to)
                encoding.dumps(message, "message")
                check_text(name, "the id of a message")
            case Timer(name, after_s):
                check_text(name, "the name of a timer")
                if type(after_s) not in (int, float) or not 0 <= after_s <= sys.float_info.max:
                    raise ValueError(f"a timer fires after some seconds, not after {after_s!r}")
            case CancelTimer(name):
                check_text(name, "the name of a timer")
            case Notify(topic):
                check_topic(topic)
            case _:
                raise TypeError(f"{effect!r} is no effect of raft_actors.effects")
        if on_disk and isinstance(effect, Timer | CancelTimer | Outbox):
            raise TypeError(
                "timers and the outbox belong to a state in memory: a state on disk does not run "
                "its commands again, which would set them"
            )
    return found


def check_receiver(to: Any) -> None:
    match to:
        case str():
            check_name(to, "an actor's name")
        case (str() as name, str() as node) if type(to) is tuple:
            check_name(name, "an actor's name")
            check_node_name(node)
        case _:
            raise TypeError(f"an actor is given by its name, or (name, node), not {to!r}")


def check_text(text: Any, what: str) -> None:
    if type(text) is not str:
        raise TypeError(f"{what} is a text, not {text!r}")
    if not 0 < len(text.encode()) <= NAME_CHARACTERS_MAX:
        raise ValueError(f"{what} has 1 to {NAME_CHARACTERS_MAX} bytes, not {text[:40]!r}")
