"""Timeouts: the check of every number of seconds that a caller passes."""

import math
from numbers import Real

__all__ = ["optional_seconds", "seconds"]


def seconds(value: float, what: str = "timeout") -> float:
    """Return `value`. Infinity waits for ever; a negative timeout has already passed.

    Raises TypeError for a value that is no number, and for True and False; ValueError for nan and
    for a whole number that is too large for a float.
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
    """Like `seconds`, but None is allowed and returned."""
    return None if value is None else seconds(value, what)
