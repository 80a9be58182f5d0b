"""Messenger: sends the messages of effects to actors, on this node and on others."""

import logging
from collections.abc import Callable
from typing import Any

import pykka
from pykka._envelope import Envelope

from raft_actors import encoding
from raft_actors.errors import RaftError
from raft_actors.names import Address
from raft_actors.node.remote_ref import RemoteFuture, RemoteRef

__all__ = ["Messenger"]

WhenAnswered = Callable[[bool], None]

logger: logging.Logger = logging.getLogger("raft_actors.peer")


class Messenger:
    """Sends messages for one peer. `find` returns the ref of an actor by its name or address; None
    if this node has no such actor.
    """

    def __init__(self, name: str, find: Callable[[Address | str], Any]) -> None:
        self.name = name
        self.find = find

    def tell(self, to: Address | str, message: bytes) -> None:
        """Send a message, and do not wait. It is lost if nobody is there."""
        try:
            ref = self.find(to)
            if ref is not None:
                ref.tell(encoding.loads(message))
                return
            reason: Any = "there is no such actor"
        except (RaftError, pykka.ActorDeadError) as error:
            reason = error
        logger.debug("%s: a message for %s is lost: %s", self.name, to, reason)

    def ask(
        self, to: Address | str, name: str, message: bytes, when_answered: WhenAnswered
    ) -> None:
        """Send `("outbox", name, message)`. `when_answered` is called, on any thread, with True if
        the actor has answered, and with False if it can't, or has raised an exception.
        """
        try:
            ref = self.find(to)
            question = ("outbox", name, encoding.loads(message))
            if isinstance(ref, RemoteRef):
                future: RemoteFuture = ref.ask(question, block=False)
                future.add_done_callback(lambda answer: when_answered(succeeded(answer)))
                return
            if ref is not None and ref.is_alive():
                answer: Any = Answer(when_answered)
                ref.actor_inbox.put(Envelope(question, reply_to=answer))
                return
            reason: Any = "there is no such actor"
        except (RaftError, pykka.ActorDeadError) as error:
            reason = error
        logger.debug("%s: the message %r for %s waits: %s", self.name, name, to, reason)
        when_answered(False)


def succeeded(future: RemoteFuture) -> bool:
    try:
        future.get(timeout=0)
    except Exception:
        return False
    return True


class Answer:
    """Stands in for the future of an ask: Pykka calls it on the actor's thread."""

    __slots__ = ("when_answered",)

    def __init__(self, when_answered: Callable[[bool], None]) -> None:
        self.when_answered: Callable[[bool], None] = when_answered

    def set(self, _value: Any = None) -> None:
        self.when_answered(True)

    def set_exception(self, _exc_info: Any = None) -> None:
        self.when_answered(False)
