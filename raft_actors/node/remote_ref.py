"""Remote actors: a ref of an actor on another node, and the service that answers it there.

On the wire these are frames of kind ACTOR. What they carry of a user's is a term, as bytes:

    cast  ["tell", name, message]                             no answer
    call  ["ask", name, message]                              answered when the actor has answered
    call  ["stop", name], ["alive", name]
    call  ["watch", name, number]                             answered when the actor has ended
    cast  ["unwatch", name, number]
    answers  ["ok", term] | ["noproc"] | ["raised", type name, text]

A watch is a call that is answered by the exit reason: if the link breaks first it fails as all
calls do, and that is "noconnection".
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
    """The actor on the other node raised an exception; here are its type's name and its text."""

    def __init__(self, type_name: str, text: str) -> None:
        super().__init__(f"{type_name}: {text}" if text else type_name)
        self.type_name = type_name
        self.text = text


class AskTimeout(pykka.Timeout, TimeoutError):
    """No answer in time. What was asked may still happen."""


class RemoteFuture:
    """The future answer of an actor on another node."""

    __slots__ = ("_answer", "_asked")

    def __init__(self, answer: Future[Any], asked: str) -> None:
        self._answer = answer
        self._asked = asked

    def __del__(self) -> None:
        """Nobody can ask for the answer any more. Ctrl-C may have left it without one."""
        answer = getattr(self, "_answer", None)
        if answer is not None:
            answer.abandon()

    def get(self, *, timeout: float | None = None) -> Any:
        """Wait for the answer, at most `timeout` seconds.

        Raises RemoteError for what the actor raised, NoProcess, NoConnection, and AskTimeout.
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
        raise RemoteError("ProtocolError", f"an answer of an unknown shape from {self._asked}")

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait in asyncio, without holding up its loop. Raises as `get` does."""
        import asyncio  # a third of what it takes to import all of raft_actors

        loop = asyncio.get_running_loop()
        there = asyncio.Event()

        def on_answer(_answer: Future[Any]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(there.set)

        self._answer.add_done_callback(on_answer)
        yield from there.wait().__await__()
        return self.get(timeout=0)

    def done(self) -> bool:
        return self._answer.done()

    def add_done_callback(self, callback: "Callable[[RemoteFuture], None]") -> None:
        """Call `callback(self)` once the answer is there: quick work, on the bridge thread."""
        self._answer.add_done_callback(lambda _answer: callback(self))


class RemoteRef:
    """An actor of another node, by its registered name. Made by `Node.whereis`.

    Whoever has the name when a message arrives gets it.
    """

    __slots__ = ("_node", "_watch_numbers", "address")

    def __init__(self, node: Channel, name: str, node_name: str) -> None:
        self._node = node
        self.address = (name, node_name)

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
        """Send `message`, a term, and don't wait. It is lost if nobody is there.

        Raises TypeError naming the part of it that is no term, and FrameTooLarge.
        """
        name, node = self.address
        self._node.cast(node, ACTOR, ["tell", name, encode(message)])
        self._node.flush()

    def ask(self, message: Any, *, block: bool = True, timeout: float | None = None) -> Any:
        """Send `message`, a term, and wait for the answer, at most `timeout` seconds.

        With `block=False` a RemoteFuture is returned instead. Raises, here or there: RemoteError
        for what the actor raised, NoProcess, NoConnection, AskTimeout; and here TypeError naming
        the part of `message` that is no term, and FrameTooLarge.
        """
        optional_seconds(timeout)
        future = self._call("ask", encode(message))
        return future.get(timeout=timeout) if block else future

    def proxy(self) -> "RemoteProxy":
        """Return a proxy of the actor, whose attributes and calls give futures."""
        return RemoteProxy(self)

    def is_alive(self) -> bool:
        """Ask whether an actor has the name and lives. False when the node can't be reached."""
        try:
            return bool(self._call("alive").get(timeout=ALIVE_S))
        except (NoProcess, NoConnection, AskTimeout):
            return False

    def stop(self, *, block: bool = True, timeout: float | None = None) -> Any:
        """Ask the actor to stop after the messages that wait, as Pykka's `ActorRef.stop`.

        Returns True when it has, False if none has the name; with `block=False` a future of that.
        """
        optional_seconds(timeout)
        future = self._call("stop", kind=StopFuture)
        return future.get(timeout=timeout) if block else future

    def watch(self, callback: Callable[[Any], None]) -> Callable[[], None]:
        """Have `callback(reason)` called once the actor has ended; returns the cancel.

        It runs on the bridge thread and must be quick. "noproc": nobody has the name;
        "noconnection": the node can't be reached, or the link broke.
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

    `proxy.size.get()` reads, `proxy.size = 3` writes and waits, `proxy.add(1)` calls and gives a
    future, `proxy.add.defer(1)` tells. What an attribute is turns out on the other node, so a name
    that isn't there raises RemoteError from the future. Private names are refused.
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
    """One attribute or method. On it `get` and `defer` mean the future's and the method's."""

    __slots__ = ()

    def get(self, *, timeout: float | None = None) -> Any:
        """Read the attribute."""
        optional_seconds(timeout)
        return self._ref._call("proxy", encode((PROXY_GET, self._path))).get(timeout=timeout)

    def __call__(self, *args: Any, **kwargs: Any) -> RemoteFuture:
        """Call the method and return the future of its result."""
        return self._ref._call("proxy", encode((PROXY_CALL, self._path, args, kwargs)))

    def defer(self, *args: Any, **kwargs: Any) -> None:
        """Call the method and don't wait. An exception in it ends the actor."""
        name, node = self._ref.address
        order = encode((PROXY_CALL, self._path, args, kwargs))
        self._ref._node.cast(node, ACTOR, ["defer", name, order])
        self._ref._node.flush()


def encode(message: Any) -> bytes:
    return encoding.dumps(message, "message")


def reason_in(answer: Future[Any]) -> Any:
    """Return the exit reason that a watch was answered with."""
    try:
        return RemoteFuture(answer, "").get(timeout=0)
    except (NoConnection, NoNode, FrameTooLarge):
        return "noconnection"
    except (RemoteError, NoProcess, ValueError) as error:  # ValueError: no term that is known here
        return ("exception", *in_text(error))
