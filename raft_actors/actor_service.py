"""ActorService: answers what other nodes send to the actors of this one; see remote.py."""

import inspect
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
from raft_actors.errors import NoNode
from raft_actors.future import Future
from raft_actors.remote import reason_in
from raft_actors.wire.codec import ACTOR

if TYPE_CHECKING:
    from raft_actors.bridge import Bridge
    from raft_actors.local_node import LocalNode

__all__ = ["ActorService"]

logger = logging.getLogger("raft_actors.node")


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
                logger.warning("%s sent what can't be served: %r", frame.node, error)
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
            message = proxy_message(terms.loads(order))
            check_there(ref, message)
            ref.tell(message)
        except pykka.ActorDeadError:
            logger.debug("%s called %s, which has ended", frame.node, ref)

    def _ask(self, ref: Any, frame: Incoming, message: bytes) -> None:
        self._put(ref, frame, terms.loads(message))

    def _proxy(self, ref: Any, frame: Incoming, order: bytes) -> None:
        message = proxy_message(terms.loads(order))
        check_there(ref, message)
        self._put(ref, frame, message)

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


def check_there(ref: Any, message: Any) -> None:
    """Raise AttributeError for a path that isn't there: a typo elsewhere must not end the actor.

    Looks as Pykka's own proxy does, on the caller's thread, which is the bridge's here.
    """
    actor = ref._actor_weakref()
    if actor is None or isinstance(message, messages.ProxySetAttr):
        return
    *parents, last = message.attr_path
    for name in parents:
        inspect.getattr_static(actor, name)
        actor = getattr(actor, name)
    inspect.getattr_static(actor, last)
