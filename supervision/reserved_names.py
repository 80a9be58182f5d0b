"""Checks of a user's classes: names that this package needs for itself, and `reply_errors`."""

from typing import Any

import pykka

from supervision.foreign import text_of

__all__ = ["check_attributes", "check_names", "check_reply_errors", "is_ours"]


def check_names(cls: type[Any]) -> None:
    """Raise TypeError if a user's subclass overrides a private method of this package.

    Private methods that Pykka has too may be overridden: these are Pykka's hooks. The private
    attributes of this package begin with two underscores, so no subclass can override them.
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
            f"{cls.__name__} can't define {', '.join(taken)}, which {cls.__mro__[1].__name__} uses "
            "itself: rename it"
        )


def check_reply_errors(cls: Any) -> None:
    """Raise TypeError unless `reply_errors` can be the second argument of `issubclass`."""
    try:
        issubclass(object, cls.reply_errors)
    except TypeError:
        raise TypeError(
            f"reply_errors of {cls.__name__} must be a tuple of exception classes, not "
            f"{text_of(cls.reply_errors)}"
        ) from None


def check_attributes(process: Any) -> None:
    """Raise TypeError if an attribute of the process hides a method of this package.

    An attribute that can be called may hide one: it is a hook for this process alone. Attributes
    that hide a method of the user's subclass are not checked.
    """
    ours = [base for base in type(process).__mro__ if is_ours(base)]
    for name, value in tuple(vars(process).items()):  # another thread may add attributes meanwhile
        if not callable(value) and any(callable(getattr(base, name, None)) for base in ours):
            raise TypeError(
                f"{type(process).__name__} can't have an attribute {name}, which is a method of a "
                f"{ours[0].__name__}: rename it"
            )


def is_ours(cls: type[Any]) -> bool:
    return cls.__module__.partition(".")[0] == "supervision"
