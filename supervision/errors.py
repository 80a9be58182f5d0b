"""The errors of this package, and exit reasons: the values that say why a process ended.

An exit reason is a plain value, so that it can be compared, logged and sent to another node:
`"normal"`, `"shutdown"`, `("shutdown", detail)`, `"killed"`, `"noproc"` (there was no such
process), `"noconnection"` (the node of the process can't be reached), or
`("exception", type_name, text)`.
"""

from typing import Any

from supervision.foreign import class_name, is_a, is_string, part, text_of

__all__ = [
    "CallingSelf",
    "ChildSpecError",
    "Continue",
    "Exited",
    "Ignore",
    "InboxFull",
    "OptionError",
    "Reason",
    "StartError",
    "Stop",
    "SupervisionError",
    "is_abnormal",
    "reason_for",
]

Reason = Any
"""An exit reason: any value. The module's docstring lists the usual ones."""


class SupervisionError(Exception):
    """Base class of the errors of this package."""


class StartError(SupervisionError):
    """The start of a process failed; `reason` says why."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(f"start failed: {text_of(reason)}")
        self.reason = reason


class Exited(SupervisionError):
    """`stop` found that the process had ended already, or that it ended for another reason than the
    one that `stop` gave. `reason` is the reason for which it ended.
    """

    def __init__(self, reason: Reason) -> None:
        super().__init__(f"process ended: {text_of(reason)}")
        self.reason = reason


class InboxFull(SupervisionError):
    """A message was refused or dropped, because the inbox of the process is full; see Bounded."""


class CallingSelf(SupervisionError):
    """A process would wait for ever: for itself, or for another process that waits for it.

    - A process that asks itself: call the method directly.
    - A process that, in `init`, asks the process that waits for its start: in `init`, send a
      message to the own ref, and ask when this message arrives.
    - A process that, while it ends, asks the process that waits for its end: use `tell`, and do
      not wait for an answer.
    """


class ChildSpecError(SupervisionError, ValueError):
    """A child spec is not valid; `reason` is the value that OTP has for this error."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class OptionError(SupervisionError, ValueError):
    """An option of a supervisor is not valid; `reason` is the value that OTP has for this error."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Ignore(Exception):
    """Raise it in `init` if the process is not needed: it is not started, and that is no error."""


class Continue:
    """What `init` returns if the start goes on when the starter no longer waits.

    argument   what `on_continue` is called with
    """

    __slots__ = ("argument",)

    def __init__(self, argument: Any = None) -> None:
        self.argument: Any = argument


class Stop(Exception):
    """Raise it in a process to end this process at once, with the exit reason that you give."""

    def __init__(self, reason: Reason = "normal") -> None:
        super().__init__(reason)
        self.reason = reason


def reason_for(error: BaseException, *, starting: bool = False) -> Reason:
    """Return the exit reason of a process that ends by this exception.

    starting   True if the exception ended the start of the process. Then the reason of a StartError
               becomes the reason of this process. Later a StartError is an exception as any other
    """
    if is_a(error, (Stop, StartError) if starting else Stop):
        attributes = part(error, "__dict__")
        if "reason" in attributes:
            return attributes["reason"]
    return ("exception", class_name(error), text_of(error, str))


def is_abnormal(reason: Reason) -> bool:
    """Return whether a transient child that ended for this reason is started again.

    All reasons are abnormal, except `"normal"`, `"shutdown"` and `("shutdown", detail)`.
    """
    if is_a(reason, tuple) and tuple.__len__(reason) == 2:
        return not is_string(tuple.__getitem__(reason, 0), "shutdown")
    return not (is_string(reason, "normal") or is_string(reason, "shutdown"))
