"""ClientSession: the client's side of a session: the next sequence number, and the calls under
way.
"""

import time
from itertools import count
from typing import Any, Protocol

from raft_actors.core.entry import RequestId
from raft_actors.errors import Overloaded
from raft_actors.machine.sessions import WINDOW

__all__ = ["SPAN", "ClientSession"]

SPAN = WINDOW * 3 // 4
"""How far the newest sequence number may be ahead of the oldest one under way. It is less than
WINDOW, the span that the replicas remember, because a thread that has taken a sequence number may
be delayed before the number is in `under_way`.
"""

PAUSE_S = 0.005


class SessionCall(Protocol):
    """What a session needs of its calls. `Call` in client/call.py is one."""

    session: Any
    request: RequestId

    def remaining(self) -> float: ...
    def is_replied(self) -> bool: ...
    def give_up(self) -> None: ...


class ClientSession:
    """A session, shared by the threads of a handle. Any of them may call `next`.

    under_way  the calls that may be sent again, by sequence number. `Call.end` takes them out
    in_doubt  whether a caller got OutcomeUnknown for one of its commands. Such a session is not
              ended by the client, because the caller may still ask for the outcome
    """

    __slots__ = ("in_doubt", "limit", "newest", "number", "sequences", "under_way")

    def __init__(self, number: int) -> None:
        self.number: int = number
        self.sequences: count[int] = count(1)
        self.newest: int = 0
        self.under_way: dict[int, SessionCall] = {}
        self.limit: int = SPAN
        self.in_doubt: bool = False

    def next(self, call: SessionCall) -> RequestId:
        """Make `call` a call of this session, and return its request id.

        Waits while the oldest call under way is SPAN behind. Raises Overloaded if that lasts until
        the call's deadline. The caller ends the call in every case, also after an exception here.
        """
        self.newest = sequence = next(self.sequences)
        call.session, call.request = self, (self.number, sequence)
        self.under_way[sequence] = call
        if sequence >= self.limit:
            self.await_free(sequence, call)
        return call.request

    def await_free(self, sequence: int, call: SessionCall) -> None:
        """Wait until `sequence` is less than SPAN ahead of the oldest call under way."""
        while True:
            self.limit = min(list(self.under_way), default=sequence) + SPAN
            if sequence < self.limit:
                return
            if not self.forget_ended():
                if call.remaining() <= 0:
                    raise Overloaded(
                        f"a command that was written {SPAN} commands ago is still under way; "
                        "it did not happen: try again"
                    )
                time.sleep(PAUSE_S)

    def has_free_sequence(self) -> bool:
        """Return whether `next` would return at once. It becomes False some sequence numbers before
        `next` would wait, because several tasks may ask before one of them calls `next`.
        """
        under_way = list(self.under_way)  # nearly sorted, the oldest first
        return not under_way or self.newest - under_way[0] < SPAN * 3 // 4

    def forget_ended(self) -> bool:
        """End the calls that are not sent again although no thread has ended them: those with a
        reply that was not fetched yet, and those past their deadline. Returns whether there were
        any.
        """
        ended = [
            call
            for call in list(self.under_way.values())
            if call.remaining() <= 0 or call.is_replied()
        ]
        for call in ended:
            call.give_up()
        return bool(ended)
