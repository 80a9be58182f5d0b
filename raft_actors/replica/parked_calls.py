"""ParkedCalls: the calls that a replica keeps open until it has news for their askers.

An open call costs nothing while nothing changes: no thread, no message, no look. Its asker is
answered when there is news, or after `PARKED_S` with what the asker knows already, and then calls
again. So the end of an asker that could not say so is noticed, and a member that hangs is noticed
by the asker. See docs/decisions/parked_calls.md.
"""

from collections import deque
from collections.abc import Callable
from math import ceil, inf
from typing import Any

from raft_actors.config import Config
from raft_actors.core.replies import ELECTION_IN_PROGRESS, NO_PEER, OVERLOADED
from raft_actors.core.server import Server
from raft_actors.machine.replicated_state import ReplicatedState
from raft_actors.replica.questions import (
    Applied,
    EndCalls,
    Leading,
    ParkedCall,
    Published,
    SourceLost,
)
from raft_actors.replica.requests import encoded
from raft_actors.replica.waiting import (
    Waiting,
    WaitingForEntries,
    WaitingForLeader,
    WaitingForTopics,
)

__all__ = ["PARKED_S", "PARKING", "ParkedCalls"]

PARKED_S = 60.0
"""A call is answered after so many seconds at the latest."""
TOGETHER_S = 0.5
"""Calls that end for this reason within so many seconds are answered together."""
AT_ONCE_MAX = 1_000
"""So many calls are answered in one batch; then other events get their turn. An answer takes about
10 µs."""
MEAN_BYTES = 1_024
"""The questions of all calls together may have so many bytes for each call that `Config.parked_max`
allows."""
SHARE = 4
"""One source may have this part of all calls, and of their bytes: one in so many."""
LEADERLESS_TIMEOUTS = 2
"""A member that has known no leader for so many longest election timeouts may be cut off from the
others. It sends the askers away that wait for commands."""


PARKING: set[type] = {ParkedCall, EndCalls, SourceLost}


class ParkedCalls:
    """All parked calls of one replica. They are looked at at the end of each batch, when everything
    is saved and applied that an answer may tell.

    calls      those that are open; the one that ends first comes first
    by_source  the same, by source and number
    sizes      the bytes of the questions of each source
    guests     the number of calls of each network of guests, and the bytes of their questions
    arrived    the events of this batch
    answers    (ticket, answer): answers that are due, when there are too many for one batch
    """

    def __init__(
        self, core: Server, config: Config, applied: Callable[[], ReplicatedState]
    ) -> None:
        self.core = core
        self.leaderless_s: float = LEADERLESS_TIMEOUTS * config.max_election_timeout
        self.count_max: int = config.parked_max
        self.topics: WaitingForTopics = WaitingForTopics(core, applied)
        self.leader: WaitingForLeader = WaitingForLeader(core)
        self.kinds: dict[type, Waiting] = {
            Leading: self.leader,
            Applied: WaitingForEntries(applied),
            Published: self.topics,
        }
        self.calls: dict[ParkedCall, None] = {}
        self.by_source: dict[str, dict[int, ParkedCall]] = {}
        self.sizes: dict[str, int] = {}
        self.guests: dict[str, tuple[int, int]] = {}
        self.size: int = 0
        self.arrived: list[ParkedCall | EndCalls | SourceLost] = []
        self.answers: deque[tuple[Any, Any]] = deque()

    @property
    def alarm(self) -> float:
        """When to look again although nothing has happened, in seconds of the core's clock."""
        alarm = next(iter(self.calls)).until if self.calls else inf
        if self.topics.calls and self.core.role.leader is None:
            alarm = min(alarm, self.core.leaderless_at + self.leaderless_s)
        return alarm

    def handle(self, event: Any) -> None:
        self.arrived.append(event)

    def has_work(self) -> bool:
        """Return whether `look` is to be called, on the replica's own thread."""
        return bool(self.arrived or self.answers) or (
            bool(self.calls) and (self.leader.has_news() or self.core.now >= self.alarm)
        )

    def look(self) -> bool:
        """Answer the calls for which there is news, take in those that have arrived, and answer
        those that have waited for long. Return whether answers are left for the next batch.
        """
        if self.calls:
            for waiting in self.kinds.values():
                for call, answer in waiting.found():
                    self.answer(call, answer)
            self.send_away()
            self.end_oldest()
        arrived, self.arrived = self.arrived, []
        for event in arrived:
            if type(event) is ParkedCall:
                self.take_in(event)
            elif type(event) is EndCalls:
                of_source = self.by_source.get(event.source, {})
                for number in event.numbers:
                    if number in of_source:
                        self.take_out(of_source[number])
            else:
                for call in [*self.by_source.get(event.source, {}).values()]:
                    self.take_out(call)
        for _ in range(min(len(self.answers), AT_ONCE_MAX)):
            ticket, answer = self.answers.popleft()
            ticket.set(answer)
        return bool(self.answers)

    def take_in(self, call: ParkedCall) -> None:
        """Answer a call that has arrived, or keep it open."""
        waiting = self.kinds[type(call.question)]
        answer = waiting.answer(call.question) or self.refusal_of(call)
        if answer is not None:
            call.ticket.set(answer)
        else:
            call.until = ceil((self.core.now + PARKED_S) / TOGETHER_S) * TOGETHER_S
            self.calls[call] = None
            self.by_source.setdefault(call.source, {})[call.number] = call
            self.sizes[call.source] = self.sizes.get(call.source, 0) + call.size
            self.size += call.size
            self.count_guest(call, 1)
            waiting.add(call)

    def take_out(self, call: ParkedCall) -> None:
        self.kinds[type(call.question)].discard(call)
        del self.calls[call]
        self.size -= call.size
        self.count_guest(call, -1)
        of_source = self.by_source[call.source]
        del of_source[call.number]
        self.sizes[call.source] -= call.size
        if not of_source:
            del self.by_source[call.source], self.sizes[call.source]

    def answer(self, call: ParkedCall, answer: Any) -> None:
        self.take_out(call)
        self.answers.append((call.ticket, answer))

    def count_guest(self, call: ParkedCall, more: int) -> None:
        if call.network:
            count, size = self.guests.pop(call.network, (0, 0))
            if count + more:
                self.guests[call.network] = count + more, size + more * call.size

    def is_full(self, call: ParkedCall) -> bool:
        """Return whether one call more would be too many, for this replica, of its source, or of a
        network of guests: this may have as many as are left free, by whatever names its nodes go.
        """
        count_max, bytes_max = self.count_max, self.count_max * MEAN_BYTES
        of_guests, of_guests_bytes = self.guests.get(call.network, (0, 0))
        return (
            len(self.calls) + len(self.answers) + of_guests >= count_max
            or self.size + of_guests_bytes + call.size > bytes_max
            or len(self.by_source.get(call.source, ())) >= max(count_max // SHARE, 1)
            or self.sizes.get(call.source, 0) + call.size > max(bytes_max // SHARE, MEAN_BYTES)
        )

    def refusal_of(self, call: ParkedCall) -> Any:
        """Return why this replica does not keep the call open; None if it does."""
        if call.number in self.by_source.get(call.source, ()):
            return encoded(("error", ("bad_request", "a call with this number is open already")))
        if type(call.question) is Published and (why := self.why_no_topics()) is not None:
            return why
        return encoded(OVERLOADED) if self.is_full(call) else None

    def why_no_topics(self) -> Any:
        """Return the answer for those who wait for commands, if they had better wait at another
        member: the addresses of the others, or an error; else None.

        A witness does not run commands, and a member whose state is wrong must not tell of them; a
        peer that was removed gets none; and a member without a leader may be cut off from the
        others, which go on.
        """
        core = self.core
        configuration = core.configuration
        is_out = bool(configuration.members) and core.peer not in configuration.everyone
        if is_out or core.has_no_state:
            others = [
                list(member)
                for member in configuration.members
                if member != core.peer and member not in configuration.witnesses
            ]
            return others or encoded(NO_PEER)
        if core.role.leader is None and core.now >= core.leaderless_at + self.leaderless_s:
            return encoded(ELECTION_IN_PROGRESS)
        return None

    def send_away(self) -> None:
        """Answer those who wait for commands, if they had better wait at another member."""
        if self.topics.calls and (answer := self.why_no_topics()) is not None:
            for call in [*self.topics.calls]:
                self.answer(call, answer)

    def end_oldest(self) -> None:
        """Answer the calls that have waited for `PARKED_S`."""
        while self.calls:
            call = next(iter(self.calls))
            if self.core.now < call.until:
                return
            self.answer(call, self.kinds[type(call.question)].present(call.question))

    def end(self) -> None:
        """Answer all calls, because the replica ends."""
        answers = [
            *self.answers,
            *((call.ticket, encoded(NO_PEER)) for call in self.calls),
            *((each.ticket, encoded(NO_PEER)) for each in self.arrived if type(each) is ParkedCall),
        ]
        for ticket, answer in answers:
            ticket.set(answer)
