"""Ticket: a request of a simulated client."""

from typing import Any, Protocol

from raft_actors.machine.sessions import said_in

__all__ = ["Ticket"]


class TicketWorld(Protocol):
    """What a ticket needs from its world.

    index_shown  the highest log index that is contained in an answer to a client
    """

    @property
    def index_shown(self) -> int: ...

    def boundary(self) -> None:
        """Called between two effects: the process may end here."""

    def answered(self, ticket: "Ticket") -> None: ...


class Ticket:
    """A client's request, and its answer.

    what       "write", "read", "configure", "transfer" or "renew"; `about` describes it in words
    request    its id in the log; (0, 0) if it is no command, (0, n) if it has no session
    index_min  the log index that its answer must include: the highest one that the answers given
               before the request began had included; for a stale read, those given before its bound
    answer     the encoded answer; None while there is none
    """

    __slots__ = ("about", "answer", "desk", "index_min", "request", "what")

    def __init__(
        self, desk: TicketWorld, what: str, about: str = "", request: tuple[int, int] = (0, 0)
    ) -> None:
        self.desk: TicketWorld = desk
        self.what: str = what
        self.about: str = about
        self.request: tuple[int, int] = request
        self.index_min: int = desk.index_shown
        self.answer: bytes | None = None

    def set(self, answer: bytes) -> bool:
        self.desk.boundary()
        assert self.answer is None, f"a {self.what} was answered twice"
        self.answer = answer
        self.desk.answered(self)
        return True

    @property
    def result(self) -> Any:
        return None if self.answer is None else said_in(self.answer)
