"""LeaderFinder: who leads, and who the members are, as far as a client can tell."""

import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from raft_actors import encoding
from raft_actors.core.replies import NO_PEER
from raft_actors.errors import RaftError
from raft_actors.future import Future
from raft_actors.names import Address
from raft_actors.peer.peers import peers_here
from raft_actors.peer.router import Router
from raft_actors.replica.requests import STATUS

__all__ = ["LeaderFinder", "PlainSeeker", "find_leader", "status_in", "time_until"]

ROUND_S = 0.3
"""How long one round of questions waits for those who do not answer."""
PAUSE_S = 0.02
NAMED_MAX = 5
"""So many members are named in an error."""
KNOWN_MAX = 64
"""So many addresses are remembered besides those of the members."""
NOTHING = encoding.dumps(())


class Seeker(Protocol):
    """Who needs the leader; a `Call` is one.

    deadline  may come early, when nobody waits any more
    target    whom it asked in vain, if anybody
    """

    deadline: float
    target: Address | None


@dataclass(slots=True)
class PlainSeeker:
    """A seeker that makes no call."""

    deadline: float
    target: Address | None = None


def find_leader(members: list[Address], deadline: float, *, other_than: Address) -> Address | None:
    """Ask these members, and whom they name, until one knows who leads after `other_than`."""
    finder = LeaderFinder(peers_here().router, tuple(members))
    return finder.find(PlainSeeker(deadline, other_than))


class LeaderFinder:
    """Shared by all threads of a handle. One of them asks around, the others wait for it.

    router   of the node that this process is; see `follow_node`
    seeds    the addresses that the handle was given: asked, whatever becomes of the group
    members  of the newest configuration heard of
    known    members of any configuration heard of, the latest last: asked as well once those of
             `members` know no leader, for any of them may be a member by now
    leader   None while none is known
    heard    whether anybody has answered in the last search
    whys     what each of them has instead of a leader, for people: "can't be reached: ..."
    """

    def __init__(self, router: Router, seeds: tuple[Address, ...]) -> None:
        self.router = router
        self.seeds = seeds
        self.members = seeds
        self.known: tuple[Address, ...] = ()
        self.leader: Address | None = None
        self.is_at_a_loss = False  # a round of questions found no leader, and none since
        self.heard = False
        self.whys: dict[Address, str] = {}
        self.configured = -1
        self.term = -1
        self.refreshing: Future[Any] | None = None
        self.lock = threading.RLock()  # it knows its owner: see `find`

    def lost(self, target: Address | None) -> None:
        """`target` does not lead, or does not answer."""
        self.follow_node()
        if self.leader == target:
            self.leader = None

    def redirected(self, target: Address | None, leader: Address | None) -> None:
        """`target` says that `leader` leads."""
        if self.leader in (None, target):
            self.leader = leader

    def hear_of(self, members: list[Any]) -> None:
        """A stopped peer's node names others of its group."""
        others = tuple((name, node) for name, node in members)
        self.remember(others)
        self.members = tuple(dict.fromkeys((*self.members, *others)))

    def find(self, seeker: Seeker) -> Address | None:
        """Return who leads; ask everyone until somebody knows. None at the seeker's deadline.

        Its target has failed it: that one leads again only when it says so itself.
        """
        try:  # before `acquire`: Ctrl-C may come just as it returns
            if not self.lock.acquire(timeout=time_until(seeker.deadline)):
                return None
            if self.leader is None and time_until(seeker.deadline) > 0:
                self.heard, self.whys = False, {}
            while self.leader is None:
                now = time.monotonic()
                if now >= seeker.deadline:
                    return None
                self.ask_around(min(seeker.deadline, now + ROUND_S), seeker.target)
                if self.leader is None:
                    time.sleep(min(PAUSE_S, time_until(seeker.deadline)))
            return self.leader if time_until(seeker.deadline) > 0 else None
        finally:
            try:  # noqa: SIM105 - `suppress` is a function that Ctrl-C may come in
                self.lock.release()
            except RuntimeError:  # this thread did not get it
                pass

    def ask_around(self, until: float, other_than: Address | None) -> None:
        """Ask all at once, until one knows the leader; `other_than` may only name itself."""
        asked: dict[Address, Future[Any]] = {}
        try:
            for address in self.whom():
                asked[address] = self.ask(address)
            self.hear(asked, until, other_than)
        finally:
            for answer in asked.values():
                answer.abandon()

    def hear(
        self, asked: dict[Address, Future[Any]], until: float, other_than: Address | None
    ) -> None:
        answers: SimpleQueue[tuple[Address, Future[Any]]] = SimpleQueue()
        whys = self.whys
        for address, question in asked.items():
            whys.setdefault(address, "no answer")
            question.add_done_callback(partial(put, answers, address))
        for _ in asked:
            try:
                address, answer = answers.get(timeout=max(0.0, until - time.monotonic()))
            except Empty:
                self.is_at_a_loss = True
                return
            status = status_in(answer)
            if status is None:
                whys[address] = why_none(answer)
                continue
            self.heard = True
            self.learn(status)
            whys[address] = why_no_leader(address[0], status)
            leader = status["leader"]
            if (
                status["current_term"] == self.term
                and leader is not None
                and (leader != other_than or status["current_state"] == "leader")
            ):
                self.leader = leader
                self.is_at_a_loss = False
                return
        self.term = -1  # it may be another group by now, founded anew
        self.is_at_a_loss = True

    @property
    def why(self) -> str:
        """What kept the last search from finding a leader."""
        told = [f"{name} on {node}: {why}" for (name, node), why in self.whys.items() if why]
        return "; ".join(told[:NAMED_MAX])

    def whom(self) -> tuple[Address, ...]:
        """Return whom to ask for the leader."""
        more = self.known if self.is_at_a_loss else ()
        return tuple(dict.fromkeys((*self.members, *self.seeds, *more)))

    def follow_node(self) -> None:
        """Go on with this process' node, where the one of before was stopped, or there was none."""
        node = self.router.node
        if not (node.running or node.forked):
            self.router = peers_here().router

    def ask(self, address: Address) -> Future[Any]:
        self.follow_node()
        return self.router.request(address, [STATUS, address[0], NOTHING, 0, 0])

    def learn(self, status: dict[str, Any]) -> None:
        """Take in what a peer says of its term and its configuration.

        A leader's counts also where its index is not the highest: another peer's may never have
        been committed, or be of a group that was there before.
        """
        self.term = max(self.term, status["current_term"])
        configuration = status["configuration"]
        members = tuple(configuration["members"])
        if not members:
            return
        self.remember(members)
        leads = status["current_state"] == "leader" and status["current_term"] == self.term
        if leads or configuration["index"] > self.configured:
            self.configured = configuration["index"]
            self.members = members

    def remember(self, members: tuple[Address, ...]) -> None:
        self.known = tuple(dict.fromkeys((*members[::-1], *self.known[::-1])))[:KNOWN_MAX][::-1]

    def refresh(self) -> None:
        """Have the leader tell its configuration, some time soon. Does not wait."""
        leader, before = self.leader, self.refreshing
        if before is not None:
            before.abandon()
        if leader is not None:
            self.refreshing = self.ask(leader)
            self.refreshing.add_done_callback(self.on_status)

    def on_status(self, answer: Future[Any]) -> None:
        status = status_in(answer)
        if status is not None:
            self.learn(status)


def put(answers: "SimpleQueue[tuple[Address, Future[Any]]]", peer: Address, answer: Any) -> None:
    answers.put((peer, answer))


def why_none(answer: Future[Any]) -> str:
    """Say why there is no status in an answer that has come."""
    try:
        found = answer.get(0)
    except (RaftError, TimeoutError) as error:
        return str(error)
    return (
        "there is no such peer"
        if found == encoding.dumps(NO_PEER)
        else "it has crashed and is started again"
    )


def why_no_leader(name: str, status: dict[str, Any]) -> str:
    if not status["configuration"]["members"]:
        return (
            f"it is of no group yet: found one by Raft.set_configuration({name!r}, members), or "
            "have it join one by Raft.join"
        )
    return "" if status["leader"] else "it knows no leader"


def status_in(answer: Future[Any]) -> dict[str, Any] | None:
    """Return the status in an answer that has come, or None."""
    with suppress(RaftError, TimeoutError):
        found = answer.get(0)
        if type(found) is bytes:
            match encoding.loads_stored(found):
                case ("ok", dict() as status):
                    return status
    return None


def time_until(deadline: float) -> float:
    """Return the seconds until `deadline`, as a lock takes them: it knows no infinity."""
    return min(max(0.0, deadline - time.monotonic()), threading.TIMEOUT_MAX)
