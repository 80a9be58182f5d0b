"""Call: one request of a client, with all its attempts."""

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
"""How long the first attempt waits for an answer; each further attempt waits twice as long."""


@dataclass(slots=True)
class Call:
    """A request that is under way.

    deadline  for all attempts together, on the monotonic clock
    request   the request id: session number and sequence number; (0, 0) if it has none
    session   the session of the request id; None for a request that is no command, and for a
              command that was not sent yet
    read_targets  the peers to ask, one after the other; None: ask the leader
    target    the peer that the present attempt asks
    future    the answer to the present attempt
    waited_s  how long the present attempt waits for its answer; 0 before the wait
    may_have_happened  whether an attempt may have put the command into a log
    tries     how many attempts have failed
    reason    why the last attempt failed, or why no peer could be asked
    why       the same as a text for people, if the reason is a missing connection
    """

    operation: int
    payload: bytes
    deadline: float
    request: RequestId = (0, 0)
    session: ClientSession | None = None
    read_targets: Iterator[Address] | None = None
    target: Address | None = None
    future: Future[Any] | None = None
    waited_s: float = 0.0
    may_have_happened: bool = False
    tries: int = 0
    reason: Any = None
    why: str = ""

    def remaining(self) -> float:
        return self.deadline - time.monotonic()

    def needs_session(self) -> bool:
        """Return whether this is a command without a request id. Only a command needs one, so that
        it runs once.
        """
        return self.session is None and self.operation == WRITE and self.payload != b""

    def attempt_timeout(self) -> float:
        """Return how many seconds to wait for the answer to this attempt."""
        longest = ATTEMPT_S * 2.0 ** min(self.tries, 10) if self.tries else ATTEMPT_S
        return max(0.0, min(self.deadline - time.monotonic(), longest))

    def begin_wait(self) -> float:
        """Note that the wait for this attempt's answer begins, and return its timeout."""
        self.waited_s = self.attempt_timeout()
        return self.waited_s

    def answer(self) -> Any:
        """Wait for the answer to this attempt, and return it as the peer sent it, or the error that
        says why there is none.
        """
        future = self.future  # read once: a thread whose wait was cancelled may still change it
        if future is None:
            return ("error", self.reason)
        try:
            return future.get(0.0 if future.done() else self.begin_wait())
        except TimeoutError:
            future.abandon()
            return ("error", "timeout")
        except NoConnection as error:
            self.may_have_happened |= error.was_sent
            self.why = str(error)
            return ("error", "no_node")
        except NoProcess:  # no peer has been started on this node yet
            return ("error", "no_peer")
        except FrameTooLarge:  # the link is up now, and the other node accepts only smaller frames
            return ("error", "command_too_large")

    def is_replied(self) -> bool:
        """Return whether the state machine's reply has arrived, so that nothing is sent again."""
        future = self.future
        if future is None or not future.done():
            return False
        try:
            answer = future.get(0)
        except (RaftError, TimeoutError):  # TimeoutError: another thread is in `get` at this moment
            return False
        return type(answer) is bytes and answer.startswith(REPLY)

    def answered_by(self) -> Address:
        """Return the peer that the last attempt asked. Called only after the reply has arrived."""
        assert self.target is not None, "a peer was asked"
        return self.target

    def give_up(self) -> None:
        """End a call whose reply is not wanted any more. If a thread still works on the call, that
        thread makes no further attempt.
        """
        self.deadline = 0.0
        self.end()
        if self.future is not None:
            self.future.abandon()

    def end(self) -> None:
        """Record that the call is not sent again: its sequence number no longer limits its
        session.
        """
        if self.session is not None:
            self.session.under_way.pop(self.request[1], None)
