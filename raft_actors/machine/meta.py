"""Meta: what a state machine may know of the entry that is applied, the same on every replica."""

from dataclasses import dataclass
from typing import Protocol

from raft_actors.core.entry import RequestId

__all__ = ["NOWHERE", "Fixed", "Meta", "Place"]


@dataclass(frozen=True, slots=True)
class Meta:
    """The place of one entry in the log, and its time. Equal on every replica.

    index    index of the entry; no two commands of a group have the same
    term     the term of the leader that wrote the entry
    time_ms  replicated time: milliseconds since 1970 by the clocks of the leaders. It never goes
             back: if a leader's clock is behind, the time stands still until the clock has caught
             up. If a leader's clock is ahead, the time stays ahead
    request  (session, sequence) of a command that a `Cluster` has sent: the same for each time that
             this command is sent, and different for every other command. None for a command of
             `Raft.write`, and where no command runs

    >>> from raft_actors import Raft, StateMachine
    >>> class Journal(StateMachine):
    ...     def init(self, name):
    ...         return []
    ...     def handle_write(self, command, state):
    ...         return self.meta.index, [*state, (self.meta.time_ms, command)]
    ...     def handle_read(self, query, state):
    ...         return [text for time_ms, text in state if time_ms >= query]
    >>> leader = Raft.leader(Raft.test_cluster(Journal)[0])
    >>> first, second = Raft.write(leader, "opened"), Raft.write(leader, "closed")
    >>> first < second, Raft.read(leader, 1_700_000_000_000)
    (True, ['opened', 'closed'])
    """

    index: int
    term: int
    time_ms: int
    request: RequestId | None = None


class Place(Protocol):
    """Where a state machine is in the log."""

    def meta(self) -> Meta: ...


class Fixed:
    """A place that a test has chosen; at first the place of a machine that no peer runs."""

    def __init__(self, meta: Meta) -> None:
        self.chosen = meta

    def meta(self) -> Meta:
        return self.chosen


NOWHERE: Place = Fixed(Meta(0, 0, 0))
