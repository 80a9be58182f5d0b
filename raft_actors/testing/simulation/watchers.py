"""Watchers: simulated clients that wait by parked calls, and the checks of what they are answered.

Each goes from peer to peer with what it has seen. So a call may come to a peer that is behind, was
restarted, or is cut off. After each step it is checked that no call is open for whose asker there
is news.
"""

from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Protocol

from raft_actors import encoding
from raft_actors.replica.parked_calls import PARKED_S, TOGETHER_S, ParkedCalls
from raft_actors.replica.questions import (
    Applied,
    EndCalls,
    Leading,
    ParkedCall,
    Published,
    SourceLost,
    View,
)
from raft_actors.testing.simulation.broken import Broken
from raft_actors.testing.simulation.checked import CheckedPeer

__all__ = ["WatchedPeer", "Watchers", "topic_of"]

TOPICS = ("a", "b", "b/1", "b/2", "c")
ACT = 0.15
"""How often one of the watchers does something after a fate."""
REFUSALS = {"overloaded", "election_in_progress", "no_peer"}


class WatchedReplica(Protocol):
    @property
    def parked(self) -> ParkedCalls: ...

    @property
    def due(self) -> Any: ...


class WatchedPeer(CheckedPeer, Protocol):
    """A peer at which calls are parked; `rate` is that of its clock."""

    rate: float

    @property
    def replica(self) -> WatchedReplica: ...


class WatchersWorld(Protocol):
    """What watchers need from their world; see `World`."""

    now: float
    tell: Callable[[str], None] | None

    @property
    def peers(self) -> Mapping[str, WatchedPeer]: ...

    @property
    def busy(self) -> WatchedPeer | None: ...

    def step(self, name: str, *events: Any) -> None: ...
    def is_stalled(self, name: str) -> bool: ...
    def boundary(self) -> None: ...


def topic_of(command: bytes) -> str:
    """Return the topic that a simulated command publishes."""
    return TOPICS[sum(command) % len(TOPICS)]


class Watcher:
    """One client.

    after   what it has seen: of its topics, and of the leader
    call    its open call; None while there is none
    peer    the process of the peer at which the call is; a later process does not know the call
    since   when the call was parked
    """

    def __init__(self, watchers: "Watchers", number: int) -> None:
        luck = watchers.luck
        self.watchers = watchers
        self.source: str = f"watcher{number}@pretend"
        self.topics: tuple[str, ...] = tuple(luck.sample(TOPICS, luck.randint(0, 2)))
        self.prefixes: tuple[str, ...] = ("b/",) if luck.random() < 0.5 or not self.topics else ()
        self.after = 0
        self.view: View | None = None
        self.call: ParkedCall | None = None
        self.peer: WatchedPeer | None = None
        self.since: float = 0.0


class Asked:
    """The ticket of one call of a watcher."""

    def __init__(self, watchers: "Watchers", watcher: Watcher) -> None:
        self.watchers = watchers
        self.watcher = watcher
        self.is_answered: bool = False

    def set(self, answer: Any) -> None:
        self.watchers.world.boundary()
        if self.is_answered:
            raise Broken(f"a call of {self.watcher.source} is answered twice")
        self.is_answered = True
        call = self.watcher.call
        if call is not None and call.ticket is self:  # else it was taken back
            self.watchers.answered(self.watcher, answer)


class Watchers:
    """All watchers of a world.

    published  the topic that each entry has published, by its index
    answers    how many answers with news there were
    """

    def __init__(self, world: WatchersWorld, seed: int, count: int = 0) -> None:
        self.world = world
        self.luck: Random = Random(f"{seed}/watchers")  # noqa: S311
        self.watchers: list[Watcher] = [Watcher(self, number) for number in range(count)]
        self.published: dict[int, str] = {}
        self.numbers: int = 0
        self.answers: int = 0

    def __bool__(self) -> bool:
        return bool(self.watchers)

    def note_published(self, command: bytes, index: int) -> str:
        """Return the topic that the command of the entry `index` publishes."""
        return self.published.setdefault(index, topic_of(command))

    def act(self) -> None:
        """Have a watcher do something, now and then: make its call, or leave it."""
        luck, world = self.luck, self.world
        if not self.watchers or luck.random() > ACT:
            return
        watcher = luck.choice(self.watchers)
        if watcher.peer is not None and world.peers.get(watcher.peer.name) is not watcher.peer:
            watcher.call = watcher.peer = None  # the process has ended, and with it the call
        up = [name for name in world.peers if not world.is_stalled(name)]
        if not up:
            return
        if watcher.call is None:
            self.park(watcher, luck.choice(up))
        elif watcher.peer is not None and watcher.peer.name in up and luck.random() < 0.3:
            number, name = watcher.call.number, watcher.peer.name
            watcher.call = watcher.peer = None
            lost = luck.random() < 0.3
            source = watcher.source
            world.step(name, SourceLost(source) if lost else EndCalls(source, (number,)))

    def park(self, watcher: Watcher, name: str) -> None:
        draw, world = self.luck.random(), self.world
        question: Any = Published(watcher.after, watcher.topics, watcher.prefixes)
        if draw < 0.3:
            question = Leading(watcher.view)
        elif draw < 0.4:
            question = Applied(watcher.after + self.luck.randint(0, 5))
        self.numbers += 1
        ticket = Asked(self, watcher)
        call = ParkedCall(question, ticket, watcher.source, self.numbers, 10)
        watcher.call, watcher.peer, watcher.since = call, world.peers[name], world.now
        if world.tell:
            world.tell(f"{watcher.source} waits at {name}: {question}")
        world.step(name, call)

    # Checks.

    def answered(self, watcher: Watcher, answer: Any) -> None:
        """Check an answer, and learn from it."""
        call, peer, world = watcher.call, watcher.peer, self.world
        assert call is not None
        assert peer is not None
        assert peer is world.busy, "only this process knows the call"
        watcher.call = watcher.peer = None
        if world.tell:
            world.tell(f"{peer.name} answers {watcher.source}: {answer!r}")
        if type(answer) is list:
            return
        match call.question, encoding.loads_stored(answer):
            case _, ("error", reason) if reason in REFUSALS:
                return
            case Published() as question, ("ok", (index, topics, _leader)):
                self.check_topics(peer, question, index, topics)
                watcher.after = index
            case Applied(index), ("ok", applied):
                if applied < index and not self.may_end(watcher, peer):
                    raise Broken(f"{peer.name} has applied {applied}, and says that {index} is")
            case Leading(after), ("ok", found):
                view = (found["current_term"], found["leader"], found["ready"],
                        found["configuration"]["index"])  # fmt: skip
                if after is not None and view[0] < after[0]:
                    raise Broken(f"{peer.name} tells of term {view[0]} who has seen {after[0]}")
                if view == after and not self.may_end(watcher, peer):
                    raise Broken(f"{peer.name} tells what its asker knows: {view}")
                watcher.view = view
            case question, found:
                raise Broken(f"{peer.name} answers {found} to {question}")
        self.answers += 1

    def may_end(self, watcher: Watcher, peer: WatchedPeer) -> bool:
        """Return whether a call has waited for so long that it may be answered without news."""
        return (self.world.now - watcher.since) * peer.rate >= PARKED_S - TOGETHER_S

    def check_topics(self, peer: WatchedPeer, question: Published, index: int, topics: Any) -> None:
        after, applied = question.after or 0, peer.applied.index
        if index != max(after, applied):
            raise Broken(
                f"{peer.name} has applied {applied}, and answers {index} to an asker of {after}"
            )
        if topics is None and after >= peer.applied.topics.floor:
            raise Broken(f"{peer.name} does not know what was published after {after}")
        if topics is not None and set(topics) != self.truth(question, index):
            raise Broken(
                f"{peer.name} says that {sorted(topics)} were published from {after} to {index}, "
                f"and it was {sorted(self.truth(question, index))}"
            )

    def truth(self, question: Published, index: int) -> set[str]:
        """Return what was published after the question's index, up to `index`."""
        return {
            topic
            for at, topic in self.published.items()
            if (question.after or 0) < at <= index
            and (topic in question.topics or topic.startswith(question.prefixes or ("?",)))
        }

    def look(self, peer: WatchedPeer) -> None:
        """After a step of `peer`: no call is open for whose asker the peer has news."""
        parked = peer.replica.parked
        if parked.arrived or parked.answers:
            return
        for call in parked.calls:
            match call.question:
                case Applied(index):
                    has_news = index <= peer.applied.index
                case Leading(after):
                    core = peer.core
                    has_news = after is None or (
                        core.term >= after[0]
                        and after[:2] != (core.term, core.role.leader)
                    )  # fmt: skip
                case question:
                    has_news = bool(self.truth(question, peer.applied.index))
            if has_news:
                raise Broken(f"{peer.name} keeps a call open and has news for it: {call.question}")
