"""What a class of the user can't be: names that ours need for themselves, among others."""

from typing import Any

import pykka

from supervision.foreign import text_of

__all__ = ["check_attributes", "check_names", "check_reply_errors", "is_ours"]


def check_names(cls: type[Any]) -> None:
    """Raise TypeError if a subclass of ours takes the place of a private method of ours.

    What Pykka has too may be overridden: those are its hooks. Our private attributes begin with
    two underscores, so that they are nobody else's.
    """
    if is_ours(cls):
        return
    taken = sorted(
        name
        for name in vars(cls)
        if name.startswith("_") and not name.startswith("__") and not hasattr(pykka.Actor, name)
        if any(name in vars(base) for base in cls.__mro__ if is_ours(base))
    )
    if taken:
        raise TypeError(
            f"{cls.__name__} can't have {', '.join(taken)}, which the machinery of "
            f"{cls.__mro__[1].__name__} needs: rename it"
        )


def check_reply_errors(cls: Any) -> None:
    """Raise TypeError unless exceptions can be tested for these."""
    try:
        issubclass(object, cls.reply_errors)
    except TypeError:
        raise TypeError(
            f"reply_errors of {cls.__name__} must be a tuple of exception classes, not "
            f"{text_of(cls.reply_errors)}"
        ) from None


def check_attributes(process: Any) -> None:
    """Raise TypeError if the process has an attribute in the place of a method of ours.

    What can be called may take its place: a hook for this process alone. The methods of the
    subclass are its own affair.
    """
    ours = [base for base in type(process).__mro__ if is_ours(base)]
    for name, value in tuple(vars(process).items()):  # a thread of its own may add others
        if not callable(value) and any(callable(getattr(base, name, None)) for base in ours):
            raise TypeError(
                f"{type(process).__name__} can't have an attribute {name}, which is a method of a "
                f"{ours[0].__name__}: rename it"
            )


def is_ours(cls: type[Any]) -> bool:
    return cls.__module__.partition(".")[0] == "supervision"
