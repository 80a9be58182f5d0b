"""What user code made: turned into text, compared and logged, whatever its methods do.

Exceptions, exit reasons, names, ids and messages come from outside. Their `__str__`, `__repr__`,
`__eq__`, `__hash__` and `__class__` may raise, and must not end or hang the process that only
looks at them. So nothing in this package formats, compares or tests such an object but by these.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any, TypeGuard, TypeVar

__all__ = [
    "Key",
    "class_name",
    "equal",
    "exc_info",
    "is_a",
    "is_count",
    "is_interrupt",
    "is_number",
    "log",
    "part",
    "says",
    "text_of",
]

logger = logging.getLogger("supervision")
logger.addHandler(logging.NullHandler())

T = TypeVar("T")

_name_of_class: Any = type.__dict__["__name__"]  # also where a metaclass has a name of its own


def text_of(thing: Any, convert: Callable[[Any], str] = repr) -> str:
    """`repr(thing)`, or `str(thing)` if `convert` is str: plain text that UTF-8 can hold.

    If that raises, the text says so, and of what class the thing is.
    """
    try:
        return str.encode(convert(thing), errors="backslashreplace").decode()
    except BaseException as error:
        if is_interrupt(error):
            raise
        return f"<{class_name(thing)} whose {convert.__name__}() fails>"


def class_name(thing: Any) -> str:
    name: str = _name_of_class.__get__(type(thing))
    return name


def is_a(thing: Any, kind: type[T] | tuple[type[T], ...]) -> TypeGuard[T]:
    """`isinstance` by the true class: `__class__` of the thing is not asked."""
    return issubclass(type(thing), kind)


def is_number(value: Any) -> TypeGuard[float]:
    """Whether it is an int or a float. True is neither."""
    return is_a(value, (int, float)) and not is_a(value, bool)


def is_count(value: Any) -> TypeGuard[int]:
    """Whether it is a whole number from 0 on. True is none."""
    return is_number(value) and is_a(value, int) and value >= 0


def says(thing: Any, word: str) -> bool:
    """Whether the thing is this string."""
    return is_a(thing, str) and str.__eq__(thing, word)


def equal(one: Any, other: Any) -> bool:
    """Whether they are the same or `one == other`. What can't be compared is not equal."""
    try:
        return one is other or bool(one == other)
    except BaseException as error:
        if is_interrupt(error):
            raise
        return False


class Key:
    """A foreign object as the key of a dict: hashed once, and compared by `equal`."""

    __slots__ = ("_hash", "thing")

    def __init__(self, thing: Any) -> None:
        self.thing = thing
        self._hash = hash(thing)

    @staticmethod
    def of(thing: Any) -> "Key | str":
        """The key for this thing; a string is its own. Raises what its `__hash__` raises."""
        return thing if type(thing) is str else Key(thing)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return equal(self.thing, other.thing if isinstance(other, Key) else other)


def part(error: BaseException, name: str) -> Any:
    """Its `__dict__`, `__cause__` or `__traceback__`, whatever its class makes of attributes."""
    return BaseException.__dict__[name].__get__(error)


def exc_info(error: BaseException) -> tuple[type[BaseException], BaseException, Any]:
    """As `sys.exc_info()` where it was caught."""
    return type(error), error, part(error, "__traceback__")


def is_interrupt(error: BaseException) -> bool:
    """Whether this is a Ctrl-C: meant for the main program, whatever it happened to be doing."""
    return is_a(error, KeyboardInterrupt) and (
        threading.current_thread() is threading.main_thread()
    )


def log(level: int, message: str, *things: Any, error: BaseException | None = None) -> None:
    """Log to "supervision". Each thing is text, or one of ours; the program's handlers may raise.

    error   shown with its traceback
    """
    try:
        shown = None if error is None else exc_info(error)
        logger.log(level, message, *things, exc_info=shown, stacklevel=2)
    except BaseException as failure:
        if is_interrupt(failure):
            raise
