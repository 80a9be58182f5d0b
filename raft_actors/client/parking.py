"""Parking: the calls of one asker that members keep open until they have news.

No thread waits for a member: an answer comes into a queue, on whatever thread it is set. The asker
takes it out when it looks: on its own thread (`await_result`), or on its loop (`result_soon` in
`async_parking`). What it then does is decided by a `Wait`, which never waits itself.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache, partial
from math import inf
from queue import Empty, SimpleQueue
from random import uniform
from typing import Any, Protocol, TypeVar

from raft_actors import encoding
from raft_actors.errors import NoConnection, RaftError
from raft_actors.future import Future
from raft_actors.names import Address
from raft_actors.replica.parked_calls import PARKED_S
from raft_actors.replica.questions import Question
from raft_actors.replica.requests import PARK, next_request

__all__ = ["PAUSE_S_MAX", "Parked", "Parking", "Pause", "Wait", "answers_at_once", "await_result",
           "refusal_in"]  # fmt: skip

LATE_S = 15.0
"""A member that answers a call so many seconds too late does not work: ask another one."""
PAUSE_S, PAUSE_S_MAX = 0.05, 2.0
"""The pause after a call that has failed: PAUSE_S at first, then twice as long each time."""
FULL_PAUSE_S, FULL_PAUSE_S_MAX = 1.0, 15.0
"""The same for a member that has too many calls."""
SHORT = 2_048
"""Answers of so many bytes, or fewer, are decoded only once for all askers."""

T = TypeVar("T", covariant=True)


class Router(Protocol):
    """How requests get to peers. `peer.router.Router` is one."""

    def request(self, address: Address, body: list[Any], *, flush: bool = True) -> Future[Any]: ...
    def unpark(self, address: Address, numbers: list[int]) -> None: ...

    @property
    def node(self) -> Any: ...


class Finder(Protocol):
    """Knows the router of this process's node. `LeaderFinder` is one."""

    @property
    def router(self) -> Any: ...

    def follow_node(self) -> None: ...
    def add_members(self, members: list[Any]) -> None: ...
    def check_node(self) -> None: ...


class Owner(Protocol):
    """The part of an asker that has parked a call."""

    def take(self, parked: "Parked", now: float) -> None:
        """Take the answer of a call that has arrived."""


class Parked:
    """A call that is open, or was.

    member  the peer that was asked
    until   when this peer should have answered, on the monotonic clock
    """

    __slots__ = ("future", "member", "number", "owner", "question", "until")

    def __init__(
        self, owner: Owner, member: Address, question: Question, number: int, until: float
    ) -> None:
        self.owner: Owner = owner
        self.member: Address = member
        self.question: Question = question
        self.number: int = number
        self.until: float = until
        self.future: Future[Any] = Future()

    def answer(self) -> Any:
        """Return ("ok", news), or an error that says why there are none; or the addresses of other
        members, which are to be asked instead.
        """
        try:
            answer = self.future.get(0)
        except (RaftError, TimeoutError) as error:
            return ("error", error)
        if type(answer) is list:
            return [(name, node) for name, node in answer]
        return decoded(answer) if len(answer) <= SHORT else encoding.loads_stored(answer)


class Pause:
    """How long to wait before a member is asked again that has failed: longer each time, and not
    equally long for all askers.
    """

    __slots__ = ("length_s", "longest_s", "until")

    def __init__(self, longest_s: float = PAUSE_S_MAX) -> None:
        self.longest_s: float = longest_s
        self.length_s: float = 0.0
        self.until: float = -inf

    def begin(self, why: Any, now: float) -> None:
        least, most = PAUSE_S, self.longest_s
        if why == "overloaded":
            least, most = FULL_PAUSE_S, FULL_PAUSE_S_MAX
        self.length_s = min(max(self.length_s * 2, least), most)
        self.until = now + self.length_s * uniform(0.75, 1.0)  # noqa: S311


class Parking:
    """The parked calls of one asker, and their answers. One thread or loop uses it; any may close
    it.

    opened   the calls that are open
    arrived  those that were answered, or have failed; None wakes the asker
    wake     called when one has arrived, for an asker that waits elsewhere than in `arrived`
    """

    def __init__(self, finder: Finder) -> None:
        self.finder = finder
        self.opened: dict[int, Parked] = {}
        self.arrived: SimpleQueue[Parked | None] = SimpleQueue()
        self.wake: Callable[[], None] | None = None
        self.closed: bool = False

    def park(self, owner: Owner, member: Address, question: Question, now: float) -> Parked:
        """Ask `member`. Raises NoNode after a fork. `flush` sends it."""
        finder = self.finder
        finder.follow_node()
        request = next_request()
        parked = Parked(owner, member, question, request[1], now + PARKED_S + LATE_S)
        payload = encoded(question)
        self.opened[parked.number] = parked
        try:
            body = [PARK, member[0], payload, *request]
            parked.future = finder.router.request(member, body, flush=False)
        except NoConnection as error:  # this node is being stopped
            parked.future.set_exception(error)
        except BaseException:
            del self.opened[parked.number]
            raise
        parked.future.add_done_callback(partial(self.on_answer, parked))
        if self.closed:  # meanwhile, by another thread
            self.drop([parked])
        return parked

    def flush(self, *, at_once: bool) -> None:
        """Send what was parked. Calls that are not answered at once may wait a millisecond: then
        those of many askers are sent together.
        """
        node = self.finder.router.node
        if at_once:
            node.flush()
        else:
            node.flush_soon()

    def on_answer(self, parked: Parked, _future: Future[Any]) -> None:
        self.arrived.put(parked)
        if self.wake is not None:
            self.wake()

    def drop(self, dropped: list[Parked]) -> None:
        """Take back calls. No answer of theirs arrives any more, but for one that has already."""
        open_ones = [each for each in dropped if self.opened.pop(each.number, None) is not None]
        if not open_ones:  # then a handle that was never used need not begin to be
            return
        router, by_member = self.finder.router, dict[Address, list[int]]()
        for parked in open_ones:
            if not parked.future.done():
                parked.future.abandon()
                if not answers_at_once(parked.question):
                    by_member.setdefault(parked.member, []).append(parked.number)
        if router.node.forked:  # the calls are the parent's
            return
        for member, numbers in by_member.items():
            router.unpark(member, numbers)
        if by_member:
            router.node.flush_soon()

    def take(self, parked: Parked | None) -> Parked | None:
        """Return a call that has arrived, unless it was dropped."""
        if parked is None:
            return None
        return self.opened.pop(parked.number, None)

    def next(self, timeout_s: float) -> Parked | None:
        """Wait for a call that is answered, or has failed. None: there is none in time, or it was
        dropped, or the asker is to look whether it was closed.
        """
        try:
            return self.take(self.arrived.get(timeout=max(0.0, min(timeout_s, 1e6))))
        except Empty:
            return None

    def next_now(self) -> Parked | None:
        """Return a call that has arrived, or None."""
        while not self.arrived.empty():
            with suppress(Empty):
                parked = self.take(self.arrived.get_nowait())
                if parked is not None:
                    return parked
        return None

    def close(self) -> None:
        """Take back all calls, and wake the asker. Any thread may call it, again and again."""
        self.closed = True
        self.drop([*self.opened.values()])
        self.arrived.put(None)
        if self.wake is not None:
            self.wake()


@lru_cache(maxsize=128)
def encoded(question: Question) -> bytes:
    return encoding.dumps(question.encodable())


@lru_cache(maxsize=128)
def decoded(answer: bytes) -> Any:
    """Return what is in an answer. Many askers may get equal ones, and nobody changes them."""
    return encoding.loads_stored(answer)


def answers_at_once(question: Question) -> bool:
    return getattr(question, "after", question) is None


def refusal_in(answer: Any) -> Any:
    """Return the reason in an error; "no_peer" for the addresses of others."""
    return "no_peer" if type(answer) is list else answer[1]


class Wait(Protocol[T]):
    """What an asker waits for. It parks calls, and never waits itself. Their answers are given to
    their owners.

    `now` is a time of the monotonic clock.
    """

    @property
    def parking(self) -> Parking: ...

    def work(self, now: float) -> float:
        """Park what is to be parked now. Return when to call it again, if nothing arrives."""

    def result(self, now: float) -> T | None:
        """Return what was waited for; None while it is not there."""


def await_result(wait: Wait[T], deadline: float) -> T | None:
    """Wait for the result on this thread. None: it did not come in time, or the asker is closed."""
    parking = wait.parking
    while not parking.closed:
        now = time.monotonic()
        look_at = wait.work(now)
        found = wait.result(now)
        if found is not None:
            return found
        if now >= deadline:
            return None
        parked = parking.next(min(look_at, deadline) - now)
        while parked is not None:
            parked.owner.take(parked, time.monotonic())
            parked = parking.next_now()
    return None
