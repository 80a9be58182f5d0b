"""Methods: the decorators `update` and `query`, and the methods that a class has with them.

An update becomes a command of the log, and a query a read: `("add", (2,), {})`, which is the name
of the method, its arguments, and its keyword arguments.
"""

import inspect
from collections.abc import Awaitable, Callable
from functools import cached_property, partial, update_wrapper
from types import FunctionType, MethodType
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from raft_actors.machine.contract import VERSION_MAX

__all__ = ["Awaited", "Call", "Method", "check_class", "methods_of", "query", "update"]

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

Call = tuple[str, tuple[Any, ...], dict[str, Any]]
"""Name, arguments and keyword arguments of a method: a command, or a query."""

MUTABLE = (list, dict, set, bytearray)
OUR_OWN = ("__", "_raft_")
"""How names begin that Python or this library has put into a class."""


class Awaited:
    """A base that tells type checkers that the methods of a handle are awaited.

    At runtime `Counter.at(async_cluster)` is enough. But no type checker can know that each of its
    methods gives an awaitable. With this base it knows:

    >>> from raft_actors import Awaited, Replicated, query
    >>> class Greeter(Replicated):
    ...     @query
    ...     def greet(self, name: str) -> str:
    ...         return f"Hello {name}"
    >>> class AsyncGreeter(Awaited, Greeter):
    ...     pass

    `await AsyncGreeter.at(async_cluster).greet("Ann")` is then a str for mypy and pyright.
    """

    __slots__ = ()


class Method(Generic[P, R_co]):
    """One update or query of a class. On an object it is an ordinary method.

    changes  whether it is an update
    version  the first version of the machine that has it
    """

    def __init__(
        self, function: Callable[Concatenate[Any, P], R_co], *, changes: bool, version: int
    ) -> None:
        update_wrapper(self, function)  # type: ignore[arg-type]
        self.function = function
        self.changes = changes
        self.version = version

    @overload
    def __get__(self, instance: None, owner: type) -> "Method[P, R_co]": ...
    @overload
    def __get__(self, instance: Awaited, owner: type) -> Callable[P, Awaitable[R_co]]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> Callable[P, R_co]: ...
    def __get__(self, instance: Any, owner: Any) -> Any:
        return self if instance is None else MethodType(self.function, instance)

    def __repr__(self) -> str:
        return f"<{'update' if self.changes else 'query'} {self.name}{self.signature}>"

    @property
    def name(self) -> str:
        return self.function.__name__

    @cached_property
    def signature(self) -> inspect.Signature:
        """The signature of a call, without `self`."""
        signature = inspect.signature(self.function)
        return signature.replace(parameters=[*signature.parameters.values()][1:])

    def command(self, *args: P.args, **kwargs: P.kwargs) -> Call:
        """Return the command, or the query, that a call with these arguments is.

        Raises TypeError if the arguments do not fit.
        """
        try:
            self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self.function.__qualname__}{self.signature}: {error}") from None
        return self.name, args, kwargs


@overload
def update(function: Callable[Concatenate[Any, P], R], /) -> Method[P, R]: ...
@overload
def update(*, version: int) -> Callable[[Callable[Concatenate[Any, P], R]], Method[P, R]]: ...
def update(function: Any = None, /, *, version: int = 1) -> Any:
    """Make a method of a `Replicated` class a command: it runs on every replica, in the order of
    the log, and may change the attributes.

    version  the first version of the class that has the method. Before the group runs this version,
             calls are refused with CommandTooNew. A method that is added to a class that is in use
             needs it, because a replica whose program lacks the method would differ from the others

    >>> from raft_actors import Replicated, update
    >>> class Basket(Replicated):
    ...     def __init__(self) -> None:
    ...         self.items: list[str] = []
    ...     @update
    ...     def put(self, item: str) -> int:
    ...         self.items.append(item)
    ...         return len(self.items)
    ...     @update(version=2)
    ...     def empty(self) -> None:
    ...         self.items.clear()
    >>> Basket().put("apple")
    1
    """
    if function is None:
        return partial(method, changes=True, version=version)
    return method(function, changes=True, version=version)


@overload
def query(function: Callable[Concatenate[Any, P], R], /) -> Method[P, R]: ...
@overload
def query(*, version: int) -> Callable[[Callable[Concatenate[Any, P], R]], Method[P, R]]: ...
def query(function: Any = None, /, *, version: int = 1) -> Any:
    """Make a method of a `Replicated` class a query: it runs on one replica, and may not change the
    attributes.

    version  as for `update`
    """
    if function is None:
        return partial(method, changes=False, version=version)
    return method(function, changes=False, version=version)


def method(function: Any, *, changes: bool, version: int) -> Method[..., Any]:
    """Return the method of a function. Raises TypeError for a function that can't be one."""
    what = "an update" if changes else "a query"
    if not isinstance(function, FunctionType):
        raise TypeError(f"{what} is a method of a class, a function, not {function!r}")
    name = function.__name__
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(
            f"async def {name}: {what} runs to its end on the replica's thread, and can't await. "
            "Write `def`, and await in the client"
        )
    if inspect.isgeneratorfunction(function):
        raise TypeError(f"{name} is a generator, which can't be a reply: return a list")
    if name.startswith("_"):
        raise TypeError(f"{name} is a private name, and clients call {what}: give it another name")
    if type(version) is not int or not 1 <= version < VERSION_MAX:
        raise TypeError(f"{name}: version must be a whole number from 1 on, not {version!r}")
    if not inspect.signature(function).parameters:
        raise TypeError(f"def {name}() needs `self`")
    return Method(function, changes=changes, version=version)


def methods_of(kind: type, reserved: frozenset[str]) -> dict[str, Method[..., Any]]:
    """Return the updates and queries of a class and its bases, by name.

    reserved  names that the library uses

    Raises TypeError for a class that can't be replicated as its author means it.
    """
    found: dict[str, Method[..., Any]] = {}
    for base in reversed(kind.__mro__):
        for name, value in vars(base).items():
            if isinstance(value, Method):
                if name in reserved:
                    raise TypeError(
                        f"{kind.__name__}.{name}: raft_actors uses this name itself: take another"
                    )
                if name != value.name:
                    raise TypeError(
                        f"{kind.__name__}.{name} is the method {value.name} under another name"
                    )
                found[name] = value
            elif name in found:
                what = "an update" if found[name].changes else "a query"
                raise TypeError(
                    f"{base.__name__}.{name} replaces {what}, and is neither an update nor a "
                    "query itself: decorate it"
                )
    return found


def check_class(kind: type, top: type) -> None:
    """Raise TypeError if a class has attributes that would not be a part of the state, although
    they can change. `top` is the base that has slots of its own.
    """
    for base in kind.__mro__:
        if base is not top and vars(base).get("__slots__"):
            raise TypeError(
                f"{base.__name__} has __slots__, and the state is what is in __dict__: leave them "
                "out"
            )
    for name, value in vars(kind).items():
        if isinstance(value, MUTABLE) and not name.isupper() and not name.startswith(OUR_OWN):
            raise TypeError(
                f"{kind.__name__}.{name} is an attribute of the class, which no snapshot holds, "
                "and it can change: assign it in __init__. A constant has a name in capitals"
            )
