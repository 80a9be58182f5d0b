"""Call: one request of a client, through as many attempts as it takes."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from raft_actors.client.session import ClientSession
from raft_actors.core.entry import RequestId
from raft_actors.errors import FrameTooLarge, NoConnection, NoProcess, RaftError
from raft_actors.future import Future
from raft_actors.machine.sessions import REPLY
from raft_actors.names import Address
from raft_actors.replica.requests import WRITE

__all__ = ["Call"]

ATTEMPT_S = 1.0
"""How long the first attempt waits; each further one twice as long."""


@dataclass(slots=True)
class Call:
    """A request under way.

    deadline  for all attempts, on the monotonic clock
    session   whose request id it has; None for what is no command, or not sent yet
    read_targets  whom to ask one after the other; None: who leads
    target    whom the attempt of this moment asks; `future` has its answer
    may_have_happened  whether an attempt may have brought it into a log
    tries     attempts that failed
    reason    why the last of them did, or why nobody could be asked
    why       the same for people, where no connection is the reason
    """

    operation: int
    payload: bytes
    deadline: float
    request: RequestId = (0, 0)
    session: ClientSession | None = None
    read_targets: Iterator[Address] | None = None
    target: Address | None = None
    future: Future[Any] | None = None
    may_have_happened: bool = False
    tries: int = 0
    reason: Any = None
    why: str = ""

    def remaining(self) -> float:
        return self.deadline - time.monotonic()

    def needs_session(self) -> bool:
        """Tell whether it is a command that has no request id, for nothing else runs once."""
        return self.session is None and self.operation == WRITE and self.payload != b""

    def attempt_timeout(self) -> float:
        """How long to wait for this attempt."""
        longest = ATTEMPT_S * 2.0 ** min(self.tries, 10) if self.tries else ATTEMPT_S
        return max(0.0, min(self.deadline - time.monotonic(), longest))

    def answer(self) -> Any:
        """Wait for the answer to this attempt, as the peer gave it; or return why there is none."""
        future = self.future  # another thread, whose wait was cancelled, may still be at it
        if future is None:
            return ("error", self.reason)
        try:
            return future.get(0.0 if future.done() else self.attempt_timeout())
        except TimeoutError:
            future.abandon()
            return ("error", "timeout")
        except NoConnection as error:
            self.may_have_happened |= error.was_sent
            self.why = str(error)
            return ("error", "no_node")
        except NoProcess:  # a node that has not begun to have peers
            return ("error", "no_peer")
        except FrameTooLarge:  # the link came up, and its other end takes less at once
            return ("error", "command_too_large")

    def is_replied(self) -> bool:
        """Tell whether the machine's reply is there, so that nothing is sent again."""
        future = self.future
        if future is None or not future.done():
            return False
        try:
            answer = future.get(0)
        except (RaftError, TimeoutError):  # the last: another thread gets it right now
            return False
        return type(answer) is bytes and answer.startswith(REPLY)

    def answered_by(self) -> Address:
        """Return whom its last attempt asked, once it has its reply."""
        assert self.target is not None, "somebody was asked"
        return self.target

    def give_up(self) -> None:
        """Nobody waits for it any more: a thread that is at it makes no further attempt."""
        self.deadline = 0.0
        self.end()
        if self.future is not None:
            self.future.abandon()

    def end(self) -> None:
        """It is not sent again, so it holds no room in its session."""
        if self.session is not None:
            self.session.done(self.request[1])
