"""Names that the classes of this package need for themselves."""

from typing import Any

import pykka

__all__ = ["check_attributes", "check_names", "is_ours"]


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


def check_attributes(process: Any) -> None:
    """Raise TypeError if the process has an attribute in the place of a method of ours.

    What can be called may take its place: a hook for this process alone.
    """
    cls = type(process)
    for name, value in vars(process).items():
        if callable(getattr(cls, name, None)) and not callable(value):
            raise TypeError(
                f"{cls.__name__} can't have an attribute {name}, which is a method of a Process: "
                "rename it"
            )


def is_ours(cls: type[Any]) -> bool:
    return cls.__module__.partition(".")[0] == "supervision"
