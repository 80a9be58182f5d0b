"""Foreign objects, made by user code: safe functions that format, compare, test and log them.

Exceptions, exit reasons, names, ids and messages come from user code. Their `__str__`, `__repr__`,
`__eq__`, `__hash__` and `__class__` may raise, and this must not end the process that only formats
or compares them. So this package formats, compares and tests such objects only by the functions of
this file.
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
    "is_string",
    "log",
    "part",
    "text_of",
]

logger: logging.Logger = logging.getLogger("supervision")
logger.addHandler(logging.NullHandler())

T = TypeVar("T")

_name_of_class: Any = type.__dict__["__name__"]  # a metaclass may define another `__name__`


def text_of(thing: Any, convert: Callable[[Any], str] = repr) -> str:
    """Return `repr(thing)`, or `str(thing)` if `convert` is str: plain text that UTF-8 can encode.

    If that raises, the text says so, and names the class of the thing.
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
    """As `isinstance`, by the true class: the attribute `__class__` of the thing is not read."""
    return issubclass(type(thing), kind)


def is_number(value: Any) -> TypeGuard[float]:
    """Return whether the value is an int or a float. True and False are not."""
    return is_a(value, (int, float)) and not is_a(value, bool)


def is_count(value: Any) -> TypeGuard[int]:
    """Return whether the value is an int, 0 or more. True and False are not."""
    return is_number(value) and is_a(value, int) and value >= 0


def is_string(thing: Any, word: str) -> bool:
    """Return whether the thing is this string."""
    return is_a(thing, str) and str.__eq__(thing, word)


def equal(one: Any, other: Any) -> bool:
    """Return whether both are the same object, or `one == other`. False if `==` raises."""
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
        self.thing: Any = thing
        self._hash = hash(thing)

    @staticmethod
    def of(thing: Any) -> "Key | str":
        """Return the key for this thing: a string itself, else a Key. Raises what the thing's
        `__hash__` raises.
        """
        return thing if type(thing) is str else Key(thing)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return equal(self.thing, other.thing if isinstance(other, Key) else other)


def part(error: BaseException, name: str) -> Any:
    """Return `__dict__`, `__cause__` or `__traceback__` of an exception, also if its class defines
    how attributes are read.
    """
    return BaseException.__dict__[name].__get__(error)


def exc_info(error: BaseException) -> tuple[type[BaseException], BaseException, Any]:
    """Return what `sys.exc_info()` returns where this exception is caught."""
    return type(error), error, part(error, "__traceback__")


def is_interrupt(error: BaseException) -> bool:
    """Return whether this is a Ctrl-C: a KeyboardInterrupt on the main thread. It is meant for the
    main program, so code that handles all other exceptions raises a Ctrl-C again.
    """
    return is_a(error, KeyboardInterrupt) and (
        threading.current_thread() is threading.main_thread()
    )


def log(level: int, message: str, *things: Any, error: BaseException | None = None) -> None:
    """Log to the logger "supervision". An exception of a log handler of the program is not raised.

    things  the arguments of `message`: text, or objects of this package
    error   an exception that is logged with its traceback
    """
    try:
        shown = None if error is None else exc_info(error)
        logger.log(level, message, *things, exc_info=shown, stacklevel=2)
    except BaseException as failure:
        if is_interrupt(failure):
            raise
