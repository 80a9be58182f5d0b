"""Waiting: the open calls of one kind, and how a replica finds those for which there is news."""

from bisect import bisect_left, insort
from collections.abc import Callable
from itertools import count
from typing import Any, Protocol

from raft_actors import encoding
from raft_actors.core.server import Server
from raft_actors.machine.replicated_state import ReplicatedState
from raft_actors.replica.questions import (
    Applied,
    Leading,
    ParkedCall,
    Published,
    Question,
    View,
)
from raft_actors.replica.requests import configuration_view

__all__ = ["Waiting", "WaitingForEntries", "WaitingForLeader", "WaitingForTopics"]

CHANGED_MAX = 1_000
"""An answer names so many topics at most. With more it says that any of them may have changed."""


class Waiting(Protocol):
    """The calls that wait for one kind of news."""

    def add(self, call: ParkedCall) -> None: ...
    def discard(self, call: ParkedCall) -> None: ...

    def has_news(self) -> bool:
        """Return whether `found` may find something. It is called often, and is cheap."""

    def found(self) -> list[tuple[ParkedCall, bytes]]:
        """Return the calls for which there is news since the last `found`, with their answers. They
        stay until they are discarded.
        """

    def answer(self, question: Any) -> bytes | None:
        """Return the answer to a question; None if its asker knows everything already."""

    def present(self, question: Any) -> bytes:
        """Return the answer that says how it is now, although the asker knows it already."""


class WaitingForLeader:
    """Calls with the question `Leading`."""

    def __init__(self, core: Server) -> None:
        self.core = core
        self.calls: dict[ParkedCall, None] = {}
        self.view: View = view_of(core)
        self.encoded: tuple[View | None, bytes] = (None, b"")

    def add(self, call: ParkedCall) -> None:
        if not self.calls:
            self.view = view_of(self.core)
        self.calls[call] = None

    def discard(self, call: ParkedCall) -> None:
        self.calls.pop(call, None)

    def has_news(self) -> bool:
        return bool(self.calls) and view_of(self.core) != self.view

    def found(self) -> list[tuple[ParkedCall, bytes]]:
        if not self.has_news():
            return []
        self.view = view = view_of(self.core)
        return [
            (call, self.present(call.question))
            for call in self.calls
            if is_newer(view, call.question.after)
        ]

    def answer(self, question: Leading) -> bytes | None:
        return self.present(question) if is_newer(view_of(self.core), question.after) else None

    def present(self, _question: Leading) -> bytes:
        core, view = self.core, view_of(self.core)
        if self.encoded[0] != view:  # one encoding for all calls
            term, leader, ready, _configured = view
            answer = (
                "ok",
                {
                    "current_state": core.role.name,
                    "current_term": term,
                    "leader": leader,
                    "ready": ready,
                    "configuration": configuration_view(core.configuration),
                },
            )
            self.encoded = view, encoding.dumps_stored(answer)
        return self.encoded[1]


def view_of(core: Server) -> View:
    return (core.term, core.role.leader, core.knows_a_ready_leader(), core.configuration.index)


def is_newer(view: View, after: View | None) -> bool:
    """Return whether a member's view is news for an asker that has seen `after`. A view of an older
    term is none: the member is behind another one.
    """
    return after is None or (view[0] >= after[0] and view != after)


class WaitingForEntries:
    """Calls with the question `Applied`, sorted by the index that they wait for."""

    def __init__(self, applied: Callable[[], ReplicatedState]) -> None:
        self.applied = applied
        self.calls: list[tuple[int, int, ParkedCall]] = []
        self.orders: dict[ParkedCall, int] = {}  # of the calls with one index
        self.next_order: count[int] = count()

    def add(self, call: ParkedCall) -> None:
        self.orders[call] = order = next(self.next_order)
        insort(self.calls, (call.question.index, order, call), key=place_of)

    def discard(self, call: ParkedCall) -> None:
        order = self.orders.pop(call, None)
        if order is not None:
            del self.calls[bisect_left(self.calls, (call.question.index, order), key=place_of)]

    def has_news(self) -> bool:
        return bool(self.calls) and self.calls[0][0] <= self.applied().index

    def found(self) -> list[tuple[ParkedCall, bytes]]:
        reached = bisect_left(self.calls, (self.applied().index + 1, 0), key=place_of)
        if not reached:
            return []
        answer = self.present(None)
        return [(call, answer) for _index, _order, call in self.calls[:reached]]

    def answer(self, question: Applied) -> bytes | None:
        return self.present(question) if question.index <= self.applied().index else None

    def present(self, _question: Applied | None) -> bytes:
        return encoding.dumps(("ok", self.applied().index), "answer")


def place_of(entry: tuple[int, int, ParkedCall]) -> tuple[int, int]:
    return entry[:2]


class WaitingForTopics:
    """Calls with the question `Published`, by the topics and prefixes that they wait for.

    seen  the last entry whose topics were looked at
    """

    def __init__(self, core: Server, applied: Callable[[], ReplicatedState]) -> None:
        self.core = core
        self.applied = applied
        self.calls: dict[ParkedCall, None] = {}
        self.by_topic: dict[str, dict[ParkedCall, None]] = {}
        self.by_prefix: dict[str, dict[ParkedCall, None]] = {}
        self.seen: int = 0

    def add(self, call: ParkedCall) -> None:
        if not self.calls:
            self.seen = self.applied().index
        self.calls[call] = None
        for table, wanted in self.tables(call.question):
            for text in wanted:
                table.setdefault(text, {})[call] = None

    def discard(self, call: ParkedCall) -> None:
        if call not in self.calls:
            return
        del self.calls[call]
        for table, wanted in self.tables(call.question):
            for text in wanted:
                waiting = table.get(text, {})
                waiting.pop(call, None)
                if not waiting:
                    table.pop(text, None)

    def tables(
        self, question: Published
    ) -> tuple[tuple[dict[str, dict[ParkedCall, None]], tuple[str, ...]], ...]:
        return (self.by_topic, question.topics), (self.by_prefix, question.prefixes)

    def has_news(self) -> bool:
        return bool(self.calls) and self.applied().index != self.seen

    def found(self) -> list[tuple[ParkedCall, bytes]]:
        if not self.has_news():
            return []
        answers: dict[Question, bytes | None] = {}
        found = []
        for call in self.touched():
            question = call.question
            if question not in answers:
                answers[question] = self.answer(question)
            answer = answers[question]
            if answer is not None:
                found.append((call, answer))
        self.seen = self.applied().index
        return found

    def touched(self) -> dict[ParkedCall, None]:
        """Return the calls for whose topics something was published since the last look."""
        topics = self.applied().topics
        if topics.floor > self.seen:  # the state was restored: it is not known what has changed
            return self.calls.copy()
        touched: dict[ParkedCall, None] = {}
        lengths = sorted({len(prefix) for prefix in self.by_prefix})
        for topic in topics.since(self.seen):
            touched |= self.by_topic.get(topic, {})
            for length in lengths:
                touched |= self.by_prefix.get(topic[:length], {})
        return touched

    def answer(self, question: Published) -> bytes | None:
        after = question.after
        if not self.applied().keeps_state or self.core.has_no_state:
            return None  # a witness runs no commands, and a wrong state tells nothing
        if after is None:
            return self.present(question)
        changed = self.applied().topics.changed_after(after, question.topics, question.prefixes)
        if changed == []:
            return None
        if changed is not None and len(changed) > CHANGED_MAX:
            changed = None
        return self.encoded(question, changed)

    def present(self, question: Published) -> bytes:
        return self.encoded(question, [])

    def encoded(self, question: Published, changed: list[str] | None) -> bytes:
        """Return the answer: the index up to which everything is in it, the topics, and the leader,
        which applies each command first. For an asker that has seen more than this replica, the
        index is the asker's.
        """
        index = max(self.applied().index, question.after or 0)
        topics = None if changed is None else tuple(changed)
        return encoding.dumps(("ok", (index, topics, self.core.role.leader)), "answer")
