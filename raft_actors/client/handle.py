"""Handle: a replicated object as its clients see it. A call of a method is a command, or a read."""

from collections.abc import Awaitable, Callable, Mapping
from functools import update_wrapper
from inspect import Signature
from typing import Any, Protocol

from raft_actors.errors import CommandTooNew, MethodRaised, MethodRefused, RaftError
from raft_actors.machine.methods import Method

__all__ = ["AwaitedMethod", "BoundMethod", "Group", "Handle"]


class Group(Protocol):
    """What a handle asks: a `Cluster`, or the cluster of the fixture `raft_cluster`."""

    def write(self, command: Any) -> Any: ...
    def read(self, query: Any) -> Any: ...


class Handle:
    """Stands for the replicated object of one group: `Counter.at(cluster)`. Only its updates and
    queries can be called.
    """

    __slots__ = ("_raft_group", "_raft_kind", "_raft_methods")

    def __init__(
        self, kind: type, methods: Mapping[str, Method[..., Any]], group: Any, *,
        bound: "type[BoundMethod]", write_options: dict[str, Any], read_options: dict[str, Any],
    ) -> None:  # fmt: skip
        self._raft_kind = kind
        self._raft_group = group
        self._raft_methods = {
            name: bound(method, group.write, write_options)
            if method.changes
            else bound(method, group.read, read_options)
            for name, method in methods.items()
        }

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        """Return a method. The type is that for an AsyncCluster: for a Cluster type checkers take
        the handle for the object itself.
        """
        try:
            return self._raft_methods[name]
        except KeyError:
            raise AttributeError(self._why_not(name)) from None

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in Handle.__slots__:
            raise AttributeError(
                f"{self._raft_kind.__name__}.{name} is set by an update, at every replica: a "
                "handle only calls methods"
            )
        super().__setattr__(name, value)

    def _why_not(self, name: str) -> str:
        kind = self._raft_kind
        if hasattr(kind, name):
            return (
                f"{kind.__name__}.{name} is neither an update nor a query, so it is only there for "
                f"the methods of {kind.__name__}: decorate it with @query or @update"
            )
        return (
            f"{kind.__name__} has no update or query {name!r}; an attribute is read by a query. It "
            f"has {', '.join(self._raft_methods)}"
        )

    def __dir__(self) -> list[str]:
        return [*self._raft_methods]

    def __repr__(self) -> str:
        return f"<{self._raft_kind.__name__} at {self._raft_group!r}>"


class BoundMethod:
    """One method of a handle. A call waits for the reply and returns it.

    Raises what `Cluster.write` or `Cluster.read` raises; MethodRaised if the method raised;
    MethodRefused, or its subclass CommandTooNew, if the replicas do not run it; TypeError, before
    anything is sent, if the arguments do not fit or can't be encoded.
    """

    def __init__(
        self, method: Method[..., Any], send: Callable[..., Any], options: dict[str, Any]
    ) -> None:
        update_wrapper(self, method.function)
        self.__signature__: Signature = method.signature
        self.__self__: object = send.__self__  # type: ignore[attr-defined]
        self._method = method
        self._send = send
        self._options = options

    def __repr__(self) -> str:
        return f"<{self._method!r} at {self.__self__!r}>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        call = self._method.command(*args, **kwargs)
        return result(self._send(call, **self._options), self._method)


class AwaitedMethod(BoundMethod):
    """The same, awaited."""

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        call = self._method.command(*args, **kwargs)
        return result(await self._send(call, **self._options), self._method)


def result(reply: Any, method: Method[..., Any]) -> Any:
    """Return what the method has returned, from the reply of `ObjectMachine`."""
    name = method.function.__qualname__
    match reply:
        case ("ok", value):
            return value
        case ("error", ("exception", str(type_name), str(text))):
            raise MethodRaised(name, type_name, text)
        case ("error", ("method_too_new", int(needed), int(runs))):
            raise CommandTooNew(
                f"{name} is there from version {needed} on, and the group runs version {runs}: it "
                "moves on when every member's program has the new version. Nothing happened"
            )
        case ("error", ("no_such_method", str())):
            raise MethodRefused(
                f"the class that the group runs has no method {name}: is this program newer than "
                "its members', or is it another class? Nothing happened"
            )
        case ("error", ("wrong_arguments", str(text))):
            raise MethodRefused(
                f"{name}, as the group has it, does not take these arguments: {text}. Nothing "
                "happened"
            )
    raise RaftError(
        f"{name} was answered {reply!r}: does the group run another state machine than "
        f"{name.partition('.')[0]}?"
    )
