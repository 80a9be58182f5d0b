"""ActorServer: gives messages of other nodes to the actors of this node, and sends the answers.

The frames are described in remote_ref.py.
"""

import inspect
import itertools
import logging
import sys
from collections.abc import Callable
from reprlib import repr as shortened
from types import TracebackType
from typing import Any

import pykka
from pykka import messages
from pykka._envelope import Envelope

from raft_actors import encoding
from raft_actors.errors import NoNode, NotAllowed, Overloaded, in_text
from raft_actors.future import Future
from raft_actors.node.access import Transport
from raft_actors.node.channel import Channel
from raft_actors.node.denials import Denials
from raft_actors.node.remote_ref import reason_in
from raft_actors.node.watches import Watches
from raft_actors.transport.incoming import Incoming
from raft_actors.wire.frame_codec import ACTOR
from raft_actors.wire.roles import MEMBER, RIGHTS
from supervision import Inbox, Process
from supervision.supervisor_base import SupervisorBase

__all__ = ["ActorServer"]

logger: logging.Logger = logging.getLogger("raft_actors.node")


class ActorServer:
    """Serves the actors of one node. Its methods run on the bridge thread, except `watch`."""

    def __init__(self, node: Channel, find: Callable[[str], Any], denials: Denials) -> None:
        """`find` returns the ref of the actor that other nodes reach by a name, or None."""
        self._denials = denials
        self._node = node
        self._find = find
        self._numbers = itertools.count(1)
        self._watches = Watches()

    def serve(self, transport: Transport) -> None:
        transport.on_frames(ACTOR, self._on_frames)

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
            if not cancelled and not answer.done():  # an answered watch has ended by itself
                cancelled = True
                answer.abandon()
                try:
                    self._node.cast(node, ACTOR, ["unwatch", name, number])
                    self._node.flush()
                except NoNode:
                    logger.debug("this process is no node: %s can't be unwatched", name)

        answer = self._node.call(node, ACTOR, ["watch", name, number])
        answer.add_done_callback(on_answer)
        self._node.flush()
        return cancel

    def lost(self, node: str) -> None:
        """End the watches of a node: its link is down."""
        for cancel in self._watches.take_all(node):
            cancel()

    def _on_frames(self, frames: list[Incoming]) -> None:
        for frame in frames:
            try:
                self._serve_one(frame)
            except Exception as error:
                self._denials.note_nonsense(
                    frame.node, f"sent a frame for an actor that was refused: {shortened(error)}"
                )
                if frame.call is not None:
                    Answer(self._node, frame).raised(error)

    def _serve_one(self, frame: Incoming) -> None:
        verb, name, *arguments = frame.body
        if verb not in (CASTS if frame.call is None else {*self.VERBS, *CASTS}):
            raise ValueError(
                f"{shortened(verb)} is no operation on an actor, or was not sent as a call"
            )
        if frame.role != MEMBER and verb not in RIGHTS[frame.role].actors:
            self._deny(frame, f"{verb} an actor")
            return
        ref = self._find(name)
        if verb == "unwatch":
            cancel = self._watches.take(frame.node, arguments[0])
            if cancel is not None:
                cancel()
            return
        if ref is None:
            if frame.call is not None:
                frame.reply(["ok", encoding.dumps("noproc")] if verb == "watch" else ["noproc"])
            else:
                logger.debug("%s sent a message to %r: there is no such actor", frame.node, name)
            return
        if (
            frame.role != MEMBER
            and verb in MESSAGES
            and is_internal(getattr(ref, "actor_class", object))
        ):
            self._deny(frame, f"{verb} a peer or a supervisor")
            return
        if frame.network and verb in MESSAGES and is_full(ref.actor_inbox, arguments):
            self._refuse(frame, name)
            return
        self.VERBS[verb](self, ref, frame, *arguments)

    def _refuse(self, frame: Incoming, name: str) -> None:
        """Drop the message of a guest: as many wait for the actor as may."""
        self._denials.note_nonsense(
            frame.node, f"sends messages to {name} faster than it handles them; they are dropped"
        )
        if frame.call is not None:
            Answer(self._node, frame).raised(
                Overloaded(f"{name} has as many messages as may wait for it; try again later")
            )

    def _deny(self, frame: Incoming, what: str) -> None:
        self._denials.note(frame.node, frame.role, what)
        if frame.call is not None:
            Answer(self._node, frame).raised(NotAllowed(f"a {frame.role} may not {what}"))

    def _tell(self, ref: Any, frame: Incoming, message: bytes) -> None:
        try:
            ref.tell(encoding.loads(message))
        except pykka.ActorDeadError:
            logger.debug("%s sent a message to %s, which has ended", frame.node, ref)

    def _defer(self, ref: Any, frame: Incoming, order: bytes) -> None:
        try:
            message = proxy_message(encoding.loads(order))
            if self._is_allowed(ref, frame, message):
                ref.tell(message)
        except pykka.ActorDeadError:
            logger.debug("%s called %s, which has ended", frame.node, ref)

    def _ask(self, ref: Any, frame: Incoming, message: bytes) -> None:
        self._put(ref, frame, encoding.loads(message))

    def _proxy(self, ref: Any, frame: Incoming, order: bytes) -> None:
        message = proxy_message(encoding.loads(order))
        if self._is_allowed(ref, frame, message):
            self._put(ref, frame, message)

    def _is_allowed(self, ref: Any, frame: Incoming, message: Any) -> bool:
        """Return whether a proxy may do this; if not, it is answered, or this raises."""
        name = message.attr_path[0]
        if frame.role != MEMBER and hasattr(Process, name):
            self._deny(frame, f"use {name} of an actor, by which the actor is run")
            return False
        check_allowed(ref, message)
        return True

    def _stop(self, ref: Any, frame: Incoming) -> None:
        self._put(ref, frame, messages._ActorStop())

    def _alive(self, ref: Any, frame: Incoming) -> None:
        frame.reply(["ok", encoding.dumps(bool(ref.is_alive()))])

    def _watch(self, ref: Any, frame: Incoming, number: int) -> None:
        self._watches.add(frame.node, number)

        def on_end(reason: Any) -> None:
            self._watches.take(frame.node, number)
            Answer(self._node, frame).set(reason)

        self._watches.set_cancel(frame.node, number, ref.watch(on_end))

    def _put(self, ref: Any, frame: Incoming, message: Any) -> None:
        """Put an ask into the actor's inbox, with an Answer that sends the reply to the asker."""
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
    """Stands in for Pykka's future when another node asks: sends the result to that node.

    Pykka calls `set` or `set_exception` on the actor's thread.
    """

    __slots__ = ("_frame", "_node")

    def __init__(self, node: Channel, frame: Incoming) -> None:
        self._node = node
        self._frame = frame

    def set(self, value: Any = None) -> None:
        try:
            self._send(["ok", encoding.dumps(value, "answer")])
        except Exception as error:  # not encodable, nested too deep, or too large for a frame
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
        self._send(["raised", *in_text(error)])

    def _send(self, body: list[Any]) -> None:
        self._frame.reply(body)
        self._node.flush()


WAITING_MAX, WAITING_BYTES_MAX = 1_000, 64 * 1024 * 1024
"""So many messages, and so many bytes of them, may wait for an actor before guests are refused."""

MESSAGES = {"tell", "ask", "defer", "proxy"}
CASTS = {"tell", "defer", "unwatch"}
"""The operations without an answer. All others must come as calls, because they are answered."""


def is_full(inbox: Any, arguments: list[Any]) -> bool:
    """Return whether so many messages wait for an actor that it gets no more of guests. Bytes are
    counted as if all that wait were as large as this one.
    """
    waiting: int = inbox.waiting() if isinstance(inbox, Inbox) else inbox.qsize()
    size = sum(len(each) for each in arguments if type(each) is bytes)
    return waiting >= WAITING_MAX or waiting * size > WAITING_BYTES_MAX


def is_internal(actor_class: type[Any]) -> bool:
    """Return whether clients have nothing to say to this actor: they ask peers by requests."""
    return issubclass(actor_class, SupervisorBase) or not getattr(
        actor_class, "takes_messages_of_guests", True
    )


def proxy_message(order: Any) -> Any:
    """Return Pykka's message for the order of a RemoteProxy.

    Raises AttributeError for private names, ValueError for an order of a wrong form.
    """
    match order:
        case (str(what), tuple(path), *rest) if path and all(isinstance(n, str) for n in path):
            pass
        case _:
            raise ValueError("a proxy sent an order of a wrong form")
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
    raise ValueError("a proxy sent an order of a wrong form")


def check_allowed(ref: Any, message: Any) -> None:
    """Raise AttributeError if a proxy of another node may not do this, or the actor has no such
    attribute: a typo on another node must not end the actor.

    The rules are those of Pykka's own proxies: attributes of an attribute are reached only if it is
    marked `pykka.traversable`. Moreover, another node can't replace the attributes by which an
    actor is run. This runs on the bridge thread, so it only looks up attributes and calls nothing.
    """
    actor = ref._actor_weakref()
    if actor is None:
        return
    if issubclass(type(actor), SupervisorBase):
        raise AttributeError("a supervisor answers no proxy of another node")  # noqa: TRY004
    owner, (*parents, last) = actor, message.attr_path
    for name in parents:
        if not is_traversable(inspect.getattr_static(owner, name)):
            raise AttributeError(
                f"{name} is not marked traversable, so a proxy can't reach its attributes"
            )
        owner = getattr(owner, name)
    if isinstance(message, messages.ProxySetAttr):
        if owner is actor and (last.startswith("actor_") or hasattr(Process, last)):
            raise AttributeError(f"{last} can't be replaced by another node: it runs the actor")
        return
    found = inspect.getattr_static(owner, last)
    if isinstance(message, messages.ProxyCall) and not callable(found):
        raise AttributeError(f"{last} can't be called")  # noqa: TRY004 - so does Pykka's proxy


def is_traversable(attribute: Any) -> bool:
    return any(
        getattr(attribute, mark, False) is True
        for mark in ("_pykka_traversable", "pykka_traversable")
    )
