"""The errors of a kit. Each message says what to do next."""

from threading import BrokenBarrierError
from typing import Any, NoReturn

from raft_actors.errors import RaftError

__all__ = ["ConfigurationConflict", "Conflict", "Forgotten", "KitError", "LeaseLost", "LockLost",
           "raise_refusal"]  # fmt: skip


class KitError(RaftError):
    """A kit's command was refused, and changed nothing."""


class ConfigurationConflict(KitError):
    """An object with this name has another number of permits or parties."""


class Conflict(KitError):
    """A key has not the version that was asked for, so it was not changed.

    entry  what the key has now; None if it is not there
    """

    def __init__(self, text: str, entry: Any = None) -> None:
        super().__init__(text)
        self.entry: Any = entry


class Forgotten(KitError):
    """The changes since that entry are not all known any more: read the whole state."""


class LeaseLost(KitError):
    """A lease has ended, or may have ended: what hung on it belongs to others now."""


class LockLost(LeaseLost):
    """A lock is not held any more, or may not be: another holder may work already. Stop what the
    lock protects, and acquire it again.
    """


def raise_refusal(what: str, reason: tuple[Any, ...]) -> NoReturn:
    """Raise what a refusal of `Batteries` means. `what` names the object for the message."""
    match reason:
        case ("lease_lost", lease):
            raise LeaseLost(
                f"{what}: the lease {lease} has ended, because no keepalive arrived in its time: "
                "acquire again"
            )
        case ("forgotten", index):
            raise Forgotten(
                f"{what}: its changes up to the entry {index} are not known any more: read the "
                "whole of it, and go on from there"
            )
        case ("job_lost", job):
            raise KitError(
                f"{what}: the job {job} is not this worker's any more: another one has got it, or "
                "it is done; its `attempt` tells the other that it was begun before"
            )
        case ("not_held", token):
            now = f"the holder has token {token}" if token else "nobody holds it"
            raise LockLost(f"{what} is not held with this token: {now}")
        case ("configuration", known, wanted):
            raise ConfigurationConflict(
                f"{what} has {known} permits or parties, not {wanted}: use the same number "
                "everywhere, or another name; `kit.resize` changes the permits of a semaphore"
            )
        case ("broken",):
            raise BrokenBarrierError(
                f"{what} is broken: one that waited has left it or has ended; `reset` mends it"
            )
        case ("unknown", kind, verb):
            raise KitError(
                f"{what}: the members do not know {verb!r} of the kind {kind!r}: install the same "
                "release of raft_actors on the members as here"
            )
        case ("bad_argument", text):
            raise ValueError(f"{what}: {text}")
        case _:
            raise KitError(f"{what} was refused: {reason!r}")
