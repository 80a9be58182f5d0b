"""NamedRef: the ref of a name. The process that has the name is looked up at each use."""

from collections.abc import Callable
from typing import Any, Protocol

from pykka import ActorDeadError

from supervision.foreign import text_of
from supervision.lifeline import Cancel
from supervision.reply_future import ReplyFuture

__all__ = ["Book", "NamedProxy", "NamedRef"]


class Book(Protocol):
    """Where names are looked up: a Registry, a node, or anything else that has `whereis`."""

    def whereis(self, name: Any, /) -> Any | None:
        """Return the ref that has the name, or None."""


class NamedRef:
    """A ref that survives restarts: it is used as the ref of the process that has the name now.

    registry   a Registry; or anything else that has `whereis`, such as `raft_actors.Node`, whose
               names may be those of actors on other nodes
    name       the name in this registry

    It can be given to all functions and calls that take a ref. If no process has the name, `tell`
    raises ActorDeadError, `ask` raises it or gives it to its future, and a watcher is called with
    "noproc". Nothing is sent a second time: a message to a process that ends before it has handled
    the message is lost or refused, as with every ref.

    >>> from supervision import NamedRef, Process, names, stop
    >>> class Echo(Process):
    ...     def on_receive(self, message):
    ...         return message
    >>> echo = names.ref("echo")
    >>> echo.is_alive()
    False
    >>> ok, first = Echo.start_link(name="echo")
    >>> echo.ask("hello")
    'hello'
    >>> stop(first)
    'ok'
    >>> ok, second = Echo.start_link(name="echo")
    >>> echo.ask("hello again")
    'hello again'
    >>> stop(echo)
    'ok'
    """

    __slots__ = ("name", "registry")

    def __init__(self, registry: Book, name: Any) -> None:
        self.registry: Book = registry
        self.name: Any = name

    def whereis(self) -> Any | None:
        """Return the ref of the process that has the name now, or None.

        >>> echo.whereis() is None
        True
        """
        return self.registry.whereis(self.name)

    def tell(self, message: Any, *, priority: bool = False) -> None:
        """Send a message, and don't wait; see `ProcessRef.tell`. Raises ActorDeadError if no
        process has the name.

        >>> ok, third = Echo.start_link(name="echo")
        >>> echo.tell("nobody waits for the echo")
        """
        options = {"priority": True} if priority else {}
        self._found().tell(message, **options)

    def ask(self, message: Any, *, block: bool = True, timeout: float | None = None) -> Any:
        """Send a message, and return the answer, or its future if `block` is False.

        >>> echo.ask("later", block=False).get()
        'later'
        """
        ref = self.whereis()
        if ref is not None:
            return ref.ask(message, block=block, timeout=timeout)
        if block:
            raise self._dead()
        future = ReplyFuture()
        future.set_exception((ActorDeadError, self._dead(), None))
        return future

    def proxy(self) -> "NamedProxy":
        """Return a proxy. Each use of one of its attributes looks the process up.

        >>> echo.proxy().actor_urn.get() == third.actor_urn
        True
        """
        return NamedProxy(self)

    def is_alive(self) -> bool:
        """Return whether a process has the name and runs.

        >>> echo.is_alive()
        True
        """
        ref = self.whereis()
        return ref is not None and bool(ref.is_alive())

    def stop(self, *, block: bool = True, timeout: float | None = None) -> Any:
        """Stop the process, as Pykka's `ActorRef.stop`. False if no process has the name.

        >>> echo.stop()
        True
        """
        ref = self.whereis()
        if ref is not None:
            return ref.stop(block=block, timeout=timeout)
        if block:
            return False
        future = ReplyFuture()
        future.set(False)
        return future

    def watch(self, callback: Callable[[Any], None]) -> Cancel:
        """Call `callback(reason)` when the process that has the name now ends; at once with
        "noproc" if none has it. Returns a function that cancels this.

        >>> cancel = echo.watch(print)
        noproc
        """
        ref = self.whereis()
        if ref is None:
            callback("noproc")
            return lambda: None
        cancel: Cancel = ref.watch(callback)
        return cancel

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, NamedRef)
            and self.registry is other.registry
            and bool(self.name == other.name)
        )

    def __hash__(self) -> int:
        return hash((id(self.registry), self.name))

    def __repr__(self) -> str:
        return f"<NamedRef {text_of(self.name)}>"

    def _found(self) -> Any:
        ref = self.whereis()
        if ref is None:
            raise self._dead()
        return ref

    def _dead(self) -> ActorDeadError:
        return ActorDeadError(f"no process is named {text_of(self.name)}")


class NamedProxy:
    """The proxy of a NamedRef. It keeps Pykka's proxy as long as the same process has the name."""

    __slots__ = ("_known", "actor_ref")

    actor_ref: NamedRef

    def __init__(self, ref: NamedRef) -> None:
        object.__setattr__(self, "actor_ref", ref)
        object.__setattr__(self, "_known", (None, None))

    def _now(self) -> Any:
        ref, (known, proxy) = self.actor_ref._found(), self._known
        if known is not ref:
            proxy = ref.proxy()
            object.__setattr__(self, "_known", (ref, proxy))
        return proxy

    def __getattr__(self, name: str) -> Any:
        return getattr(self._now(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._now(), name, value)

    def __dir__(self) -> list[str]:
        return dir(self._now())

    def __repr__(self) -> str:
        return f"<NamedProxy of {self.actor_ref!r}>"
