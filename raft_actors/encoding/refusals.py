"""Refusals: finds the part of a value that is no term, for the error message. The search is slow,
so it is made only after the encoding has failed.
"""

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, time
from reprlib import repr as shortened
from typing import Any

from raft_actors.encoding.bounds import DEPTH_MAX, STORED_DEPTH_MAX
from raft_actors.encoding.value_types import value_type_of
from raft_actors.encoding.writing import TooDeep, encode

__all__ = ["written"]


def written(value: Any, what: str, *, stored: bool, check_hashes: bool) -> bytes:
    try:
        return encode(value, stored=stored, check_hashes=check_hashes)
    except (TypeError, ValueError) as error:
        raise explained(error, value, what, stored=stored, check_hashes=check_hashes) from None


def explained(
    error: Exception, value: Any, what: str, *, stored: bool, check_hashes: bool
) -> Exception:
    """Return `error` with a message that names the innermost part that can't be encoded."""
    if isinstance(error, TooDeep):
        levels = STORED_DEPTH_MAX if stored else DEPTH_MAX
        return ValueError(
            f"{what} is nested deeper than {levels} levels, or contains itself; send it in a "
            "flatter form"
        )
    for path, part in parts_of(value):
        try:
            encode(part, stored=stored, check_hashes=check_hashes)
        except (TypeError, ValueError) as inner:
            return explained(
                inner, part, path.format(what), stored=stored, check_hashes=check_hashes
            )
    if isinstance(error, UnicodeEncodeError):
        return ValueError(f"{what}: {shortened(value)} has a lone surrogate; send it as bytes")
    return type(error)(f"{what}: {error}")


def parts_of(value: Any) -> Iterator[tuple[str, Any]]:
    kind = type(value)
    if kind is tuple or kind is list:
        for position, part in enumerate(value):
            yield f"{{}}[{position}]", part
    elif kind is set or kind is frozenset:
        for part in value:
            yield "a member of {}", part
    elif kind is dict:
        for key, part in value.items():
            yield "a key of {}", key
            yield f"{{}}[{named(key).replace('{', '{{').replace('}', '}}')}]", part
    elif kind is datetime or kind is time:
        yield "{}.tzinfo", value.tzinfo
    elif (registered := value_type_of(kind)) is not None:
        with suppress(AttributeError):  # a field that has no value
            for name, part in registered.items_of(value):
                yield f"{{}}.{name}", part


def named(key: Any) -> str:
    try:
        return shortened(key)
    except ValueError:  # an int with more digits than Python writes as text, see `machine.digits`
        return "..."
