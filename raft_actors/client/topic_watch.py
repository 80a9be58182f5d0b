"""TopicWatch: the topics that commands have published, as a stream for a client.

One member serves the watch: the leader if it is known, because it applies each command first. When
this member ends, hangs, or may be cut off from the others, another one goes on where it has
stopped: a call says up to which entry the reader has seen everything. So no change is missed, and
none comes before an older one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from random import choice
from typing import Any

from raft_actors.client.leader_finder import LeaderFinder
from raft_actors.client.parking import Parked, Parking, Pause, refusal_in
from raft_actors.client.watch import Watch
from raft_actors.machine.topics import check_topic
from raft_actors.names import Address
from raft_actors.replica.questions import Published, question_of

__all__ = ["Changes", "TopicWatch", "topic_wait"]


@dataclass(frozen=True, slots=True)
class Changes:
    """What commands have published since the changes before.

    index   everything up to this entry is contained. Those of one watch rise
    topics  the topics that were published; None: any of those that are watched may have been
    """

    index: int
    topics: tuple[str, ...] | None


class TopicWait:
    """The state of a watch: which member serves it, and up to where the reader has seen everything.

    after   the entry up to which everything was returned, or is known to be no change
    member  the member that is asked, or was asked last; at first any of them
    leader  the leader, as the last answer has it
    news    the changes that were not returned yet
    """

    def __init__(self, finder: LeaderFinder, parking: Parking, question: Published) -> None:
        self.finder = finder
        self.parking = parking
        self.question = question
        self.after: int | None = question.after
        self.member: Address = choice(finder.candidates())  # noqa: S311 - each member gets some
        self.leader: Address | None = None
        self.parked: Parked | None = None
        self.pauses: dict[Address, Pause] = {}
        self.refusals: dict[Address, Any] = {}
        self.news: Changes | None = None

    def begin(self, now: float) -> None:
        """Nothing to do: what has arrived while nobody looked is as new as ever."""

    def work(self, now: float) -> float:
        """Ask a member, if none is asked. Return when to call this again."""
        parked = self.parked
        if parked is not None and parked.until <= now:
            self.parking.drop([parked])
            self.fail(parked, "it does not answer any more", now)
        if self.parked is None and self.news is None:
            member = self.next_member(now)
            if member is None:
                return min(pause.until for pause in self.pauses.values())
            question = Published(self.after, self.question.topics, self.question.prefixes)
            self.member = member
            self.parked = self.parking.park(self, member, question, now)
            self.parking.flush(at_once=self.after is None)
        return inf if self.parked is None else self.parked.until

    def next_member(self, now: float) -> Address | None:
        """Return the member to ask: the leader, or the one that has served last, or else the next
        one. None: all of them have failed a moment ago.
        """
        members = self.finder.candidates()
        for member in [*self.pauses]:
            if member not in members and member != self.leader:
                del self.pauses[member]
        first = index_of(self.member, members)
        leader = () if self.leader is None else (self.leader,)
        for member in leader + members[first:] + members[:first]:
            if member not in self.pauses or self.pauses[member].until <= now:
                return member
        return None

    def take(self, parked: Parked, now: float) -> None:
        if parked is not self.parked:
            return
        match parked.answer():
            case ("ok", (index, topics, leader)):
                self.parked, self.leader = None, leader
                self.pauses.pop(parked.member, None)
                if topics != () and self.after is not None:
                    self.news = Changes(index, topics)
                self.after = index
            case answer:
                if type(answer) is list:
                    self.finder.add_members(answer)
                self.fail(parked, refusal_in(answer), now)

    def fail(self, parked: Parked, why: Any, now: float) -> None:
        self.parked = None
        self.refusals = {parked.member: why}
        self.pauses.setdefault(parked.member, Pause()).begin(why, now)

    def result(self, now: float) -> Changes | None:  # noqa: ARG002
        news, self.news = self.news, None
        return news


def index_of(member: Address, members: tuple[Address, ...]) -> int:
    return members.index(member) if member in members else 0


class TopicWatch(Watch[Changes]):
    """A stream of changes. One thread reads it; any may close it."""

    _what = "change"


def topic_wait(
    finder: LeaderFinder,
    parking: Parking,
    topics: Iterable[str] = (),
    prefixes: Iterable[str] = (),
    after: int | None = None,
) -> TopicWait:
    """Return the state of a new watch.

    topics    the topics to watch
    prefixes  all topics that begin with one of these are watched, too; "" for all topics
    after     the entry up to which the reader knows everything; None: from now on

    Raises TypeError and ValueError if these can't be asked for.
    """
    wanted = tuple(map(check_topic, topics)), tuple(map(check_topic, prefixes))
    question = question_of(Published(after, *wanted).encodable())
    assert isinstance(question, Published)
    return TopicWait(finder, parking, question)
