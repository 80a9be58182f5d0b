"""Ticket: a request of a simulated client."""

from typing import Any, Protocol

from raft_actors.machine.sessions import said_in

__all__ = ["Ticket"]


class TicketWorld(Protocol):
    """What a ticket asks of the world that it is in.

    index_shown  the highest log index that an answer to a client had seen
    """

    @property
    def index_shown(self) -> int: ...

    def boundary(self) -> None:
        """A place between two effects, where a process may end."""

    def answered(self, ticket: "Ticket") -> None: ...


class Ticket:
    """A client's request, and what came of it.

    what       "write", "read", "configure" or "transfer"; `about` says of what, in words
    request    its id in the log; (0, 0) for what is no command, (0, n) for what is of no session
    index_min  the log index that its answer must have seen: the highest that any answer given
               before the request began had seen; for a stale read, before its bound
    answer     encoded; None while there is none
    """

    __slots__ = ("about", "answer", "desk", "index_min", "request", "what")

    def __init__(
        self, desk: TicketWorld, what: str, about: str = "", request: tuple[int, int] = (0, 0)
    ) -> None:
        self.desk = desk
        self.what = what
        self.about = about
        self.request = request
        self.index_min = desk.index_shown
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
