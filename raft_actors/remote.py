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

import itertools
import logging
import sys
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

import pykka
from pykka import messages
from pykka._envelope import Envelope

from raft_actors import terms
from raft_actors.connection import Incoming
from raft_actors.errors import FrameTooLarge, NoConnection, NoNode, NoProcess, RaftError
from raft_actors.future import Future
from raft_actors.wire.codec import ACTOR

if TYPE_CHECKING:
    from raft_actors.bridge import Bridge
    from raft_actors.node import LocalNode

__all__ = ["ActorService", "AskTimeout", "RemoteError", "RemoteFuture", "RemoteProxy", "RemoteRef"]

logger = logging.getLogger("raft_actors.node")

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
    """The answer of an actor on another node, to come."""

    __slots__ = ("_answer", "_asked")

    def __init__(self, answer: Future[Any], asked: str) -> None:
        self._answer = answer
        self._asked = asked

    def get(self, *, timeout: float | None = None) -> Any:
        """Wait for the answer, at most `timeout` seconds.

        Raises RemoteError for what the actor raised, NoProcess, NoConnection, and AskTimeout.
        """
        try:
            answer = self._answer.get(timeout)
        except TimeoutError:
            raise AskTimeout(f"no answer from {self._asked} within {timeout} s") from None
        match answer:
            case ["ok", bytes(value)]:
                return terms.loads(value)
            case ["noproc"]:
                raise NoProcess(f"no actor is registered as {self._asked}")
            case ["raised", str(type_name), str(text)]:
                raise RemoteError(type_name, text)
        raise RemoteError("ProtocolError", f"an answer of an unknown shape from {self._asked}")

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

    def __init__(self, node: "LocalNode", name: str, node_name: str) -> None:
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
        future = StopFuture(self._call("stop")._answer, str(self))
        return future.get(timeout=timeout) if block else future

    def watch(self, callback: Callable[[Any], None]) -> Callable[[], None]:
        """Have `callback(reason)` called once the actor has ended; returns the cancel.

        It runs on the bridge thread and must be quick. "noproc": nobody has the name;
        "noconnection": the node can't be reached, or the link broke.
        """
        return self._node._actors.watch(self.address, callback)

    def _call(self, verb: str, *arguments: Any) -> RemoteFuture:
        name, node = self.address
        answer = self._node.call(node, ACTOR, [verb, name, *arguments])
        self._node.flush()
        return RemoteFuture(answer, str(self))


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
    return terms.dumps(message, "message")


class ActorService:
    """Answers for the actors of one node. All but `watch` runs on the bridge thread."""

    def __init__(self, node: "LocalNode") -> None:
        self._node = node
        self._numbers = itertools.count(1)
        self._watched: dict[tuple[str, int], Callable[[], None]] = {}

    def serve(self, bridge: "Bridge") -> None:
        bridge.on_frames(ACTOR, self._on_frames)

    def watch(
        self, address: tuple[str, str], callback: Callable[[Any], None]
    ) -> Callable[[], None]:
        """Watch an actor of another node; see RemoteRef.watch."""
        name, node = address
        number = next(self._numbers)
        cancelled = False

        def on_answer(answer: Future[Any]) -> None:
            if not cancelled:
                callback(reason_in(answer))

        def cancel() -> None:
            nonlocal cancelled
            if not cancelled:
                cancelled = True
                try:
                    self._node.cast(node, ACTOR, ["unwatch", name, number])
                    self._node.flush()
                except NoNode:
                    logger.debug("nobody to be told that %s is watched no more", name)

        self._node.call(node, ACTOR, ["watch", name, number]).add_done_callback(on_answer)
        self._node.flush()
        return cancel

    def lost(self, node: str) -> None:
        """Forget what a node has watched here: the link to it broke."""
        for key in [key for key in self._watched if key[0] == node]:
            self._watched.pop(key)()

    def _on_frames(self, frames: list[Incoming]) -> None:
        for frame in frames:
            try:
                self._serve_one(frame)
            except Exception as error:
                logger.warning(
                    "%s sent %r, which can't be served: %r", frame.node, frame.body, error
                )
                if frame.call is not None:
                    Answer(self._node, frame).raised(error)

    def _serve_one(self, frame: Incoming) -> None:
        verb, name, *arguments = frame.body
        ref = self._node.registry.whereis(name)
        if verb == "unwatch":
            cancel = self._watched.pop((frame.node, arguments[0]), None)
            if cancel is not None:
                cancel()
            return
        if ref is None:
            if frame.call is not None:
                frame.reply(["ok", terms.dumps("noproc")] if verb == "watch" else ["noproc"])
            else:
                logger.debug("%s sent something to %r, which nobody is", frame.node, name)
            return
        self.VERBS[verb](self, ref, frame, *arguments)

    def _tell(self, ref: Any, frame: Incoming, message: bytes) -> None:
        try:
            ref.tell(terms.loads(message))
        except pykka.ActorDeadError:
            logger.debug("%s sent something to %s, which has ended", frame.node, ref)

    def _defer(self, ref: Any, frame: Incoming, order: bytes) -> None:
        try:
            ref.tell(proxy_message(terms.loads(order)))
        except pykka.ActorDeadError:
            logger.debug("%s called %s, which has ended", frame.node, ref)

    def _ask(self, ref: Any, frame: Incoming, message: bytes) -> None:
        self._put(ref, frame, terms.loads(message))

    def _proxy(self, ref: Any, frame: Incoming, order: bytes) -> None:
        self._put(ref, frame, proxy_message(terms.loads(order)))

    def _stop(self, ref: Any, frame: Incoming) -> None:
        self._put(ref, frame, messages._ActorStop())

    def _alive(self, ref: Any, frame: Incoming) -> None:
        frame.reply(["ok", terms.dumps(bool(ref.is_alive()))])

    def _watch(self, ref: Any, frame: Incoming, number: int) -> None:
        key = (frame.node, number)

        def on_end(reason: Any) -> None:
            self._watched.pop(key, None)
            Answer(self._node, frame).set(reason)

        self._watched[key] = lambda: None
        cancel = ref.watch(on_end)
        if key in self._watched:
            self._watched[key] = cancel

    def _put(self, ref: Any, frame: Incoming, message: Any) -> None:
        """Put an ask into the actor's inbox, with a future that answers over the wire."""
        answer = Answer(self._node, frame)
        if not ref.is_alive():
            answer.noproc()
            return
        ref.actor_inbox.put(Envelope(message, reply_to=answer))  # type: ignore[arg-type]

    VERBS: dict[str, Callable[..., None]] = {  # noqa: RUF012
        "tell": _tell, "defer": _defer, "ask": _ask, "proxy": _proxy, "stop": _stop,
        "alive": _alive, "watch": _watch,
    }  # fmt: skip


class Answer:
    """Takes the place of a Pykka future in an ask from another node: sends what it is given.

    Pykka calls `set` or `set_exception` on the actor's thread.
    """

    __slots__ = ("_frame", "_node")

    def __init__(self, node: "LocalNode", frame: Incoming) -> None:
        self._node = node
        self._frame = frame

    def set(self, value: Any = None) -> None:
        try:
            self._send(["ok", terms.dumps(value, "answer")])
        except (TypeError, ValueError) as error:  # no term, or too large for a frame
            self.raised(error)

    def set_exception(
        self,
        exc_info: tuple[type[BaseException], BaseException, TracebackType | None] | None = None,
    ) -> None:
        error = exc_info[1] if exc_info is not None else sys.exc_info()[1]
        if isinstance(error, pykka.ActorDeadError):
            self.noproc()
        else:
            self.raised(error if error is not None else RuntimeError("no exception was given"))

    def noproc(self) -> None:
        self._send(["noproc"])

    def raised(self, error: BaseException) -> None:
        self._send(["raised", type(error).__qualname__, str(error)[:TEXT_MAX]])

    def _send(self, body: list[Any]) -> None:
        self._frame.reply(body)
        self._node.flush()


TEXT_MAX = 10_000  # characters of an exception's text that travel


def proxy_message(order: Any) -> Any:
    """Return Pykka's message for an order of a RemoteProxy. Private names: AttributeError."""
    match order:
        case (str(what), tuple(path), *rest) if path and all(isinstance(n, str) for n in path):
            pass
        case _:
            raise ValueError("a proxy's order of an unknown shape")
    for name in path:
        if name.startswith("_"):
            raise AttributeError(f"{name} is private to the actor")
    match (what, *rest):
        case ("call", tuple(args), dict(kwargs)):
            return messages.ProxyCall(path, args, kwargs)
        case ("get",):
            return messages.ProxyGetAttr(path)
        case ("set", value):
            return messages.ProxySetAttr(path, value)
    raise ValueError("a proxy's order of an unknown shape")


def reason_in(answer: Future[Any]) -> Any:
    """Return the exit reason that a watch was answered with."""
    try:
        return RemoteFuture(answer, "").get(timeout=0)
    except (NoConnection, NoNode, FrameTooLarge):
        return "noconnection"
    except (RemoteError, NoProcess) as error:
        return ("exception", type(error).__name__, str(error))
