"""ClientSession: a client's side of a session: the next sequence, and which are under way."""

import time
from itertools import count
from typing import Any, Protocol

from raft_actors.core.entry import RequestId
from raft_actors.errors import Overloaded
from raft_actors.machine.sessions import WINDOW

__all__ = ["SPAN", "ClientSession"]

SPAN = WINDOW * 3 // 4
"""How far the newest sequence may be ahead of the oldest under way. Less than the replicas know: a
thread that was given a sequence may take its time before anyone hears of it."""

PAUSE_S = 0.005


class SessionCall(Protocol):
    """What a session asks of a call that is made in it; `client.call.Call` is one."""

    session: Any
    request: RequestId

    def remaining(self) -> float: ...
    def is_replied(self) -> bool: ...
    def give_up(self) -> None: ...


class ClientSession:
    """A session as the handle's threads share it. `next` is safe from any of them.

    in_doubt  whether somebody was told that nobody knows what became of one of its commands
    """

    __slots__ = ("in_doubt", "limit", "newest", "number", "sequences", "under_way")

    def __init__(self, number: int) -> None:
        self.number = number
        self.sequences = count(1)
        self.newest = 0
        self.under_way: dict[int, SessionCall] = {}
        self.limit = SPAN
        self.in_doubt = False

    def next(self, call: SessionCall) -> RequestId:
        """Make `call` one of this session, and return its request id.

        Waits while an older one holds the window up. Whatever comes of it, even Ctrl-C in here:
        the caller ends the call. Raises Overloaded when that lasts until the call's deadline.
        """
        self.newest = sequence = next(self.sequences)
        call.session, call.request = self, (self.number, sequence)
        self.under_way[sequence] = call
        if sequence >= self.limit:
            self.await_room(sequence, call)
        return call.request

    def await_room(self, sequence: int, call: SessionCall) -> None:
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

    def has_room(self) -> bool:
        """Tell whether `next` gives a request id without waiting, and by a wide margin."""
        under_way = list(self.under_way)  # oldest first, give or take a few
        return not under_way or self.newest - under_way[0] < SPAN * 3 // 4

    def done(self, sequence: int) -> None:
        """This sequence is not sent again."""
        self.under_way.pop(sequence, None)

    def forget_ended(self) -> bool:
        """Leave out those that nobody has ended, and that are not sent again all the same. Any?

        They have their reply, which nobody has fetched yet, or are past their deadline.
        """
        ended = [
            call
            for call in list(self.under_way.values())
            if call.remaining() <= 0 or call.is_replied()
        ]
        for call in ended:
            call.give_up()
        return bool(ended)
