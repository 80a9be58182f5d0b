"""Effects: what a command asks to be done outside of the state, as data.

`handle_write` returns them as the third part of its result; a method of a `Replicated` class calls
`self.effect(...)`. The command runs on every replica, and again after a restart. Its effects are
carried out by the leader alone, after the command is committed: see docs/machines.md for what
happens to each of them when a leader ends.
"""

from dataclasses import dataclass
from typing import Any

from raft_actors.names import Address

__all__ = ["CancelTimer", "Effect", "Notify", "Outbox", "Tell", "Timer", "TimerFired"]


@dataclass(frozen=True, slots=True)
class Tell:
    """Send `message` to an actor, at most once: it is lost if the leader ends before.

    to   the name of an actor on the leader's node, or the address `(name, node)` of an actor

    >>> from raft_actors.effects import Tell
    >>> Tell(("mailer", "a@host"), ("order", 17))
    Tell(to=('mailer', 'a@host'), message=('order', 17))
    """

    to: Address | str
    message: Any


@dataclass(frozen=True, slots=True)
class Outbox:
    """Send `("outbox", id, message)` to an actor at least once.

    The message stays in the outbox of the group until the actor has answered it, and the log has
    noted that. Until then a leader asks the actor again and again, and so does each new leader. An
    actor that raises an exception has not answered. An actor that must do it only once remembers
    the ids. Messages may arrive in another order.

    to  as for `Tell`
    id  a text that no other message in the outbox has; a message whose id is in the outbox already
        is dropped
    """

    to: Address | str
    message: Any
    id: str


@dataclass(frozen=True, slots=True)
class Timer:
    """Have a TimerFired run as a command in `after_s` seconds, once. A timer of the same name is
    replaced.

    The seconds are counted by the leader's monotonic clock. A new leader begins to count them anew,
    in full, because it can't know how many have passed. So a timer never fires early.
    """

    name: str
    after_s: float


@dataclass(frozen=True, slots=True)
class CancelTimer:
    """Forget the timer of this name, if there is one: it will not fire."""

    name: str


@dataclass(frozen=True, slots=True)
class Notify:
    """Tell clients that wait for `topic` that what it stands for has changed: a key of the state,
    for example. Each replica tells the clients that wait at it.

    topic  a text of up to 512 bytes
    """

    topic: str


@dataclass(frozen=True, slots=True)
class TimerFired:
    """The command that runs when a timer fires. Only the library makes it: no client can send one.

    name   the name of the timer
    index  the index of the entry that set it
    """

    name: str
    index: int


Effect = Tell | Outbox | Timer | CancelTimer | Notify
