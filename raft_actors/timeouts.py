"""Timeouts: the one check of what a caller gives as a number of seconds."""

import math
from numbers import Real

__all__ = ["optional_seconds", "seconds"]


def seconds(value: float, what: str = "timeout") -> float:
    """Return `value`. Infinity waits for ever; what is negative is over already.

    Raises TypeError for what is no number, True among it, and ValueError for nan and for a whole
    number that no float is as large as.
    """
    if type(value) is not float and (isinstance(value, bool) or not isinstance(value, Real)):
        raise TypeError(f"{what} must be a number of seconds, not {value!r}")
    try:
        if not math.isnan(value):
            return value
    except OverflowError:
        raise ValueError(f"{what} is too large: math.inf waits for ever") from None
    raise ValueError(f"{what} must be a number of seconds, not nan")


def optional_seconds(value: float | None, what: str = "timeout") -> float | None:
    """As `seconds`, where None has a meaning of its own."""
    return None if value is None else seconds(value, what)
