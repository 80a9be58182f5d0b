"""What can go wrong, and the words for why a process ended.

An exit reason is a plain term, so that it can be compared, logged and sent to another node:
`"normal"`, `"shutdown"`, `("shutdown", detail)`, `"killed"`, `"noproc"` (there was nobody),
`"noconnection"` (its node is out of reach), or `("exception", type_name, text)`.
"""

from typing import Any

from supervision.foreign import class_name, is_a, part, says, text_of

__all__ = [
    "CallingSelf",
    "ChildSpecError",
    "Exited",
    "Ignore",
    "OptionError",
    "Reason",
    "StartError",
    "Stop",
    "SupervisionError",
    "is_abnormal",
    "reason_for",
]

Reason = Any
"""An exit reason: any term. The module's docstring lists the usual ones."""


class SupervisionError(Exception):
    """Root of the errors of this package."""


class StartError(SupervisionError):
    """A process did not get through its start; `reason` says why."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(f"start failed: {text_of(reason)}")
        self.reason = reason


class Exited(SupervisionError):
    """A process that was to be stopped had ended, or then ended, for another reason: `reason`."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(f"process ended: {text_of(reason)}")
        self.reason = reason


class CallingSelf(SupervisionError):
    """A process waits for itself, or for one that waits for its start or its end: for ever.

    Call the method directly; or tell oneself something in `init`, and ask when that arrives. Who is
    being ended tells the other, and does not wait for the answer.
    """


class ChildSpecError(SupervisionError, ValueError):
    """A child spec is not valid; `reason` is OTP's term for it."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class OptionError(SupervisionError, ValueError):
    """An option of a supervisor is not valid; `reason` is OTP's term for it."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Ignore(Exception):
    """Raise it in `init`: nothing is to be started, and that is no failure."""


class Stop(Exception):
    """Raise it in a process to end it there and then with the exit reason of your choice."""

    def __init__(self, reason: Reason = "normal") -> None:
        super().__init__(reason)
        self.reason = reason


def reason_for(error: BaseException, *, starting: bool = False) -> Reason:
    """The exit reason of a process that ends by this exception.

    starting   it did not get through its start; then the start of another that failed in it gives
               its own reason. Later that is a crash as any other
    """
    if is_a(error, (Stop, StartError) if starting else Stop):
        attributes = part(error, "__dict__")
        if "reason" in attributes:
            return attributes["reason"]
    return ("exception", class_name(error), text_of(error, str))


def is_abnormal(reason: Reason) -> bool:
    """Whether a transient child that ended so is started again.

    All reasons are abnormal but `"normal"`, `"shutdown"` and `("shutdown", detail)`.
    """
    if is_a(reason, tuple) and tuple.__len__(reason) == 2:
        return not says(tuple.__getitem__(reason, 0), "shutdown")
    return not (says(reason, "normal") or says(reason, "shutdown"))
