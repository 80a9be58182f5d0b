"""Carrier: carries out the effects of commands while this replica leads.

Only the leader of the term in which an entry was written sends the messages of its `Tell`s. Each
term has one leader, who applies each entry once in its life, so a message is sent at most once.

Timers and the outbox are duties of the state (`machine.duties`), so each new leader finds them
there, and begins with all of them anew. What ends a duty is an entry: it is proposed again and
again until it is applied, and the state takes only the first one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from math import inf
from typing import Any

from raft_actors import encoding
from raft_actors.core.messages import Propose
from raft_actors.core.server import Server
from raft_actors.machine.duties import ACKED, FIRED, Duties, Duty
from raft_actors.machine.replicated_state import ReplicatedState
from raft_actors.replica.environment import Environment

__all__ = ["Carrier", "Delivered"]

ASK_S, ASK_S_MAX = 2.0, 60.0
"""A message that is not answered is sent again after ASK_S, then after twice as long, and so on."""
SPARE = 64
OUTSTANDING_MAX = 100
"""So many messages of the outbox are on their way at once."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """An actor has answered a message of the outbox, or the message did not arrive.

    index  the index of the entry that put it into the outbox
    """

    name: str
    index: int
    answered: bool


class NoTicket:
    """The ticket of an entry for which nobody waits."""

    def set(self, _answer: Any) -> None:
        """Do nothing: what was refused is proposed again."""


NO_TICKET = NoTicket()


class Carrier:
    """What this replica, as the leader of `term`, has to do; nothing if `term` is 0.

    due       (when, number, duty, index): when to do something for a duty, in seconds of the core's
              clock. What has ended meanwhile is skipped when its time comes
    tries     how often a message of the outbox was sent
    asked     the messages that are on their way
    answered  the messages that were answered, until the log has noted it
    retry_s   after so many seconds an entry that is not applied yet is proposed again
    """

    def __init__(self, core: Server, environment: Environment) -> None:
        self.core = core
        self.environment = environment
        self.term: int = 0
        self.due: list[tuple[float, int, Duty, int]] = []
        self.number: int = 0
        self.tries: dict[str, int] = {}
        self.asked: dict[str, int] = {}
        self.answered: set[tuple[str, int]] = set()
        self.retry_s: float = core.config.max_election_timeout

    @property
    def alarm(self) -> float:
        """When to look again, in seconds of the core's clock."""
        return self.due[0][0] if self.due else inf

    def has_work(self) -> bool:
        """Return whether `look` is to be called, on the replica's own thread."""
        return self.alarm <= self.core.now

    def look(self, applied: ReplicatedState) -> None:
        """Begin or end to carry out effects with this replica's leadership; do what is due."""
        core, duties = self.core, applied.duties
        leads = core.role.leads and applied.keeps_state and applied.last_term() == core.term
        if self.term and not (leads and self.term == core.term):
            self.stop()
        if leads:
            if not self.term:
                self.term = core.term
                duties.added = duties.all()
            for duty in dict.fromkeys(duties.added):
                self.begin(duties, duty)
        duties.added.clear()
        self.forget_ended(duties)
        while self.due and self.due[0][0] <= core.now:
            _when, _number, duty, index = heappop(self.due)
            if duties.index_of(duty) == index:
                self.work_at(duties, duty, index)
            else:
                self.answered.discard((duty[1], index))

    def forget_ended(self, duties: Duties) -> None:
        """Remove what has ended from `due`, if that is most of it: a timer that is set again and
        again leaves something each time.
        """
        if len(self.due) > SPARE + 2 * (len(duties.timers) + len(duties.outbox)):
            self.due = [each for each in self.due if duties.index_of(each[2]) == each[3]]
            heapify(self.due)
            self.answered = {each for each in self.answered if each[0] in duties.outbox}

    def stop(self) -> None:
        self.term = 0
        self.due.clear()
        self.tries.clear()
        self.asked.clear()
        self.answered.clear()

    def begin(self, duties: Duties, duty: Duty) -> None:
        kind, name = duty
        if index := duties.index_of(duty):
            after_s = duties.timers[name][0] if kind == FIRED else 0.0
            self.add(self.core.now + after_s, duty, index)

    def add(self, when: float, duty: Duty, index: int) -> None:
        self.number += 1
        heappush(self.due, (when, self.number, duty, index))

    def work_at(self, duties: Duties, duty: Duty, index: int) -> None:
        """Do what a duty needs now; and come back to it, unless it has ended by then."""
        kind, name = duty
        if kind == FIRED or (name, index) in self.answered:
            self.propose(duty, index)
            self.add(self.core.now + self.retry_s, duty, index)
            return
        self.asked.pop(name, None)
        if len(self.asked) >= OUTSTANDING_MAX:
            self.add(self.core.now + ASK_S, duty, index)
            return
        to, message, _index = duties.outbox[name]
        tries = self.tries.get(name, 0)
        self.tries[name] = tries + 1
        self.asked[name] = index
        self.environment.ask_actor(to, name, message, self.when_answered(name, index))
        self.add(self.core.now + min(ASK_S * 2.0 ** min(tries, 10), ASK_S_MAX), duty, index)

    def when_answered(self, name: str, index: int) -> Callable[[bool], None]:
        """Return what the environment calls, on any thread, when it knows whether a message was
        answered.
        """
        return lambda answered: self.environment.deliver(Delivered(name, index, answered))

    def delivered(self, event: Delivered) -> None:
        """Handle the answer of an actor: the log is to note it."""
        if self.asked.pop(event.name, 0) != event.index or not event.answered:
            return
        self.answered.add((event.name, event.index))
        self.tries.pop(event.name, None)
        self.add(self.core.now, (ACKED, event.name), event.index)

    def propose(self, duty: Duty, index: int) -> None:
        """Propose the entry that ends a duty. The replica handles it after this batch."""
        kind, name = duty
        payload = encoding.dumps((WORDS[kind], name, index))
        self.environment.deliver(Propose(payload, NO_TICKET, (kind, index)))

    def tell(self, applied: ReplicatedState) -> None:
        """Send the messages of the `Tell`s of the entries that were applied, if they are of this
        leader's term.
        """
        core = self.core
        for term, to, message in applied.tells:
            if core.role.leads and term == core.term:
                self.environment.tell_actor(to, message)
        applied.tells.clear()


WORDS = {FIRED: "timer", ACKED: "acked"}
"""What an entry that ends a duty says in the log."""
