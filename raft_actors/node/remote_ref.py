"""Remote actors: a ref of an actor on another node.

Its frames have the kind ACTOR; `ActorServer` answers them on the other node. Messages and results
are encoded values (package `encoding`), as bytes:

    cast  ["tell", name, message]                             no answer
    call  ["ask", name, message]                              answered when the actor has answered
    call  ["stop", name], ["alive", name]
    call  ["watch", name, number]                             answered when the actor has ended
    cast  ["unwatch", name, number]
    answers  ["ok", value] | ["noproc"] | ["raised", type name, text]

A watch is a call whose answer is the exit reason. If the link breaks first, the call fails as all
calls do, and the watcher gets the reason "noconnection".
"""

import contextlib
from collections.abc import Callable, Generator
from typing import Any

import pykka

from raft_actors import encoding
from raft_actors.errors import (
    FrameTooLarge,
    NoConnection,
    NoNode,
    NoProcess,
    RaftError,
    in_text,
)
from raft_actors.future import Future
from raft_actors.node.channel import Channel
from raft_actors.timeouts import optional_seconds
from raft_actors.wire.frame_codec import ACTOR

__all__ = ["AskTimeout", "RemoteError", "RemoteFuture", "RemoteProxy", "RemoteRef"]

ALIVE_S = 5.0
PROXY_CALL, PROXY_GET, PROXY_SET = "call", "get", "set"


class RemoteError(RaftError):
    """The actor on the other node raised an exception: the name of its type, and its text."""

    def __init__(self, type_name: str, text: str) -> None:
        super().__init__(f"{type_name}: {text}" if text else type_name)
        self.type_name = type_name
        self.text = text


class AskTimeout(pykka.Timeout, TimeoutError):
    """No answer in time. The actor may still do what it was asked to do."""


class RemoteFuture:
    """The future answer of an actor on another node."""

    __slots__ = ("_answer", "_asked")

    def __init__(self, answer: Future[Any], asked: str) -> None:
        self._answer = answer
        self._asked = asked

    def __del__(self) -> None:
        """Forget the call: nothing can read the answer any more. After a Ctrl-C in `__init__` there
        may be no `_answer`.
        """
        answer = getattr(self, "_answer", None)
        if answer is not None:
            answer.abandon()

    def get(self, *, timeout: float | None = None) -> Any:
        """Wait for the answer, at most `timeout` seconds, and return it.

        Raises RemoteError if the actor raised an exception, NoProcess, NoConnection, AskTimeout.
        """
        try:
            answer = self._answer.get(optional_seconds(timeout))
        except TimeoutError:
            raise AskTimeout(f"no answer from {self._asked} within {timeout} s") from None
        match answer:
            case ["ok", bytes(value)]:
                return encoding.loads(value)
            case ["noproc"]:
                raise NoProcess(f"no actor is registered as {self._asked}")
            case ["raised", str(type_name), str(text)]:
                raise RemoteError(type_name, text)
        raise RemoteError("ProtocolError", f"an answer of a wrong form from {self._asked}")

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait in asyncio, without blocking the event loop. Raises as `get` does."""
        import asyncio  # here, because it takes a third of the time to import raft_actors

        loop = asyncio.get_running_loop()
        answered = asyncio.Event()

        def on_answer(_answer: Future[Any]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: no task waits any more
                loop.call_soon_threadsafe(answered.set)

        self._answer.add_done_callback(on_answer)
        yield from answered.wait().__await__()
        return self.get(timeout=0)

    def done(self) -> bool:
        return self._answer.done()

    def add_done_callback(self, callback: "Callable[[RemoteFuture], None]") -> None:
        """Call `callback(self)` when the answer arrives, on the bridge thread; it must be quick."""
        self._answer.add_done_callback(lambda _answer: callback(self))


class RemoteRef:
    """An actor of another node, by its registered name. Made by `Node.whereis`.

    A message goes to the actor that has the name when the message arrives.
    """

    __slots__ = ("_node", "_watch_numbers", "address")

    def __init__(self, node: Channel, name: str, node_name: str) -> None:
        self._node = node
        self.address: tuple[str, str] = (name, node_name)

    def __repr__(self) -> str:
        return f"<RemoteRef {self}>"

    def __str__(self) -> str:
        name, node = self.address
        return f"{name!r} on {node}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemoteRef) and self.address == other.address

    def __hash__(self) -> int:
        return hash(self.address)

    def tell(self, message: Any) -> None:
        """Send `message`, and don't wait. The message is lost if there is no such actor.

        Raises TypeError, which names the part of `message` that can't be encoded, and
        FrameTooLarge.
        """
        name, node = self.address
        self._node.cast(node, ACTOR, ["tell", name, encode(message)])
        self._node.flush()

    def ask(self, message: Any, *, block: bool = True, timeout: float | None = None) -> Any:
        """Send `message`, and return the answer; wait for it at most `timeout` seconds.

        With `block=False` a RemoteFuture is returned at once. `ask`, or the future, raises
        RemoteError if the actor raised an exception, NoProcess, NoConnection and AskTimeout. `ask`
        itself raises TypeError, which names the part of `message` that can't be encoded, and
        FrameTooLarge.
        """
        optional_seconds(timeout)
        future = self._call("ask", encode(message))
        return future.get(timeout=timeout) if block else future

    def proxy(self) -> "RemoteProxy":
        """Return a proxy of the actor. Its attributes and calls return futures."""
        return RemoteProxy(self)

    def is_alive(self) -> bool:
        """Ask the other node whether an actor has the name and runs. Returns False if the node
        can't be reached.
        """
        try:
            return bool(self._call("alive").get(timeout=ALIVE_S))
        except (NoProcess, NoConnection, AskTimeout):
            return False

    def stop(self, *, block: bool = True, timeout: float | None = None) -> Any:
        """Ask the actor to stop after the messages in its mailbox, as Pykka's `ActorRef.stop`.

        Returns True when the actor has stopped, False if no actor has the name. With `block=False`
        a future of this is returned at once.
        """
        optional_seconds(timeout)
        future = self._call("stop", kind=StopFuture)
        return future.get(timeout=timeout) if block else future

    def watch(self, callback: Callable[[Any], None]) -> Callable[[], None]:
        """Call `callback(reason)` when the actor has ended. Returns a function that cancels this.

        The callback runs on the bridge thread and must be quick. The reason is "noproc" if no actor
        has the name, and "noconnection" if the node can't be reached or the link broke.
        """
        return self._node.watch_actor(self.address, callback)

    def _call(
        self, verb: str, *arguments: Any, kind: "type[RemoteFuture] | None" = None
    ) -> RemoteFuture:
        name, node = self.address
        answer = self._node.call(node, ACTOR, [verb, name, *arguments])
        self._node.flush()
        return (kind or RemoteFuture)(answer, str(self))


class StopFuture(RemoteFuture):
    """Whether an actor was stopped."""

    __slots__ = ()

    def get(self, *, timeout: float | None = None) -> Any:
        try:
            super().get(timeout=timeout)
        except NoProcess:
            return False
        return True


class RemoteProxy:
    """Attributes and methods of an actor on another node, as with Pykka's ActorProxy.

    `proxy.size.get()` reads, `proxy.size = 3` writes and waits, `proxy.add(1)` calls and returns a
    future, `proxy.add.defer(1)` calls and does not wait. Only the other node knows the actor's
    attributes, so for a wrong name the future raises RemoteError. Private names are refused.
    """

    __slots__ = ("_path", "_ref")

    _ref: RemoteRef
    _path: tuple[str, ...]

    def __init__(self, ref: RemoteRef, path: tuple[str, ...] = ()) -> None:
        object.__setattr__(self, "_ref", ref)
        object.__setattr__(self, "_path", path)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {'.'.join((str(self._ref), *self._path))}>"

    def __getattr__(self, name: str) -> "RemoteAttribute":
        if name.startswith("_"):
            raise AttributeError(f"{name} is private to the actor")
        return RemoteAttribute(self._ref, (*self._path, name))

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            raise AttributeError(f"{name} is private to the actor")
        self._ref._call("proxy", encode((PROXY_SET, (*self._path, name), value))).get()


class RemoteAttribute(RemoteProxy):
    """One attribute or method of the actor. Because this object has `get` and `defer`, attributes
    with these names can't be reached through it.
    """

    __slots__ = ()

    def get(self, *, timeout: float | None = None) -> Any:
        """Read the attribute."""
        optional_seconds(timeout)
        return self._ref._call("proxy", encode((PROXY_GET, self._path))).get(timeout=timeout)

    def __call__(self, *args: Any, **kwargs: Any) -> RemoteFuture:
        """Call the method and return the future of its result."""
        return self._ref._call("proxy", encode((PROXY_CALL, self._path, args, kwargs)))

    def defer(self, *args: Any, **kwargs: Any) -> None:
        """Call the method, and don't wait. If the method raises, the actor ends."""
        name, node = self._ref.address
        order = encode((PROXY_CALL, self._path, args, kwargs))
        self._ref._node.cast(node, ACTOR, ["defer", name, order])
        self._ref._node.flush()


def encode(message: Any) -> bytes:
    return encoding.dumps(message, "message")


def reason_in(answer: Future[Any]) -> Any:
    """Return the exit reason in the answer to a watch."""
    try:
        return RemoteFuture(answer, "").get(timeout=0)
    except (NoConnection, NoNode, FrameTooLarge):
        return "noconnection"
    except (RemoteError, NoProcess, ValueError) as error:  # ValueError: it can't be decoded here
        return ("exception", *in_text(error))
