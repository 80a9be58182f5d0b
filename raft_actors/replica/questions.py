"""Questions: what parked calls wait for. A question says what its asker has seen already.

A question is answered when the replica has something that is newer. So the same question may be
asked at another member when one goes: a member that is behind does not answer before it has caught
up, and the asker sees nothing twice and misses nothing.
"""

from dataclasses import dataclass
from reprlib import repr as shortened
from typing import Any

from raft_actors.core.configuration import is_address
from raft_actors.machine.topics import TOPIC_BYTES_MAX
from raft_actors.names import Address

__all__ = ["NUMBER_MAX", "Applied", "EndCalls", "Leading", "ParkedCall", "Published", "Question",
           "SourceLost", "View", "numbers_of", "question_of"]  # fmt: skip

NUMBER_MAX = (1 << 64) - 1
TOPICS_ASKED_MAX = 64
"""How many topics and prefixes one call may wait for."""

View = tuple[int, Address | None, bool, int]
"""What a member knows of the leader: term, leader, whether the first entry of the term is
committed, and the index of the newest configuration in the member's log.
"""


@dataclass(frozen=True, slots=True)
class Leading:
    """Who leads? Answered when the member's view differs from `after`, and is not of an older term.
    None: at once.
    """

    after: View | None = None

    def encodable(self) -> tuple[Any, ...]:
        return ("leading", self.after)


@dataclass(frozen=True, slots=True)
class Applied:
    """Is the entry `index` applied? Answered when it is."""

    index: int

    def encodable(self) -> tuple[Any, ...]:
        return ("applied", self.index)


@dataclass(frozen=True, slots=True)
class Published:
    """Which of these topics, and of the topics that begin with one of these prefixes, did commands
    publish after the entry `after`? Answered when there is one. None: at once, with the index from
    which on to ask.
    """

    after: int | None
    topics: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()

    def encodable(self) -> tuple[Any, ...]:
        return ("published", self.after, self.topics, self.prefixes)


Question = Leading | Applied | Published


@dataclass(slots=True, eq=False)
class ParkedCall:
    """A call that stays open until there is an answer to its question.

    ticket   gets the answer
    source   the node of the asker
    number   distinguishes the calls of one source
    size     the bytes of the question as it was sent
    until    when it is answered although nothing has changed, in seconds of the replica's clock
    network  where the asker comes from, if it is a guest; else ""
    """

    question: Any
    ticket: Any
    source: str
    number: int
    size: int
    until: float = 0.0
    network: str = ""


@dataclass(frozen=True, slots=True)
class EndCalls:
    """The asker has gone away: take out these calls. Nobody is answered."""

    source: str
    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SourceLost:
    """The connection to the node `source` is broken: take out all its calls."""

    source: str


def question_of(value: Any) -> Question:
    """Return the question that another node has sent. Raises ValueError if it is none."""
    match value:
        case ("leading", None):
            return Leading()
        case ("leading", (term, leader, bool() as ready, configured)) if (
            is_index(term) and is_index(configured) and (leader is None or is_address(leader))
        ):
            return Leading((term, leader, ready, configured))
        case ("applied", index) if is_index(index):
            return Applied(index)
        case ("published", after, tuple() as topics, tuple() as prefixes) if (
            (after is None or is_index(after))
            and 0 < len(topics) + len(prefixes) <= TOPICS_ASKED_MAX
            and all(map(is_topic, (*topics, *prefixes)))
        ):
            return Published(after, topics, prefixes)
    raise ValueError(f"{shortened(value)} is no question that a call may wait for")


def numbers_of(value: Any) -> tuple[int, ...]:
    """Return the numbers of calls that another node takes back. Raises ValueError for others."""
    if type(value) is tuple and all(map(is_index, value)):
        return value
    raise ValueError(f"{shortened(value)} are no numbers of calls")


def is_index(value: Any) -> bool:
    return type(value) is int and 0 <= value <= NUMBER_MAX


def is_topic(value: Any) -> bool:
    return type(value) is str and len(value) <= TOPIC_BYTES_MAX
