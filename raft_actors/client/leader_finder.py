"""LeaderFinder: finds the leader and the members of a group for a client."""

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
"""How long one round of questions waits for members that do not answer."""
PAUSE_S = 0.02
NAMED_MAX = 5
"""How many members an error names at most."""
KNOWN_MAX = 64
"""How many addresses are remembered at most, besides those of the members."""
NOTHING = encoding.dumps(())


class Seeker(Protocol):
    """What `find` needs of a call that has no leader. A `Call` is one.

    deadline  when the search ends. It may be set to 0 during the search, when the call is given up
    target    the peer that the last attempt asked without success; None if there was none
    """

    deadline: float
    target: Address | None


@dataclass(slots=True)
class PlainSeeker:
    """A seeker without a call."""

    deadline: float
    target: Address | None = None


def find_leader(members: list[Address], deadline: float, *, other_than: Address) -> Address | None:
    """Ask these members, and the members that they name, until one of them knows a leader. A leader
    `other_than` counts only if this peer itself answers that it leads.
    """
    finder = LeaderFinder(peers_here().router, tuple(members))
    return finder.find(PlainSeeker(deadline, other_than))


class LeaderFinder:
    """Finds the leader for all threads of a handle. One thread asks the members; the others wait
    for its result.

    router        the router of this process's node; see `follow_node`
    seeds         the addresses that the handle was given; they are always asked
    members       the members of the newest configuration that is known
    known         members of all configurations seen, the latest last. They are asked too when the
                  `members` know no leader, because each of them may be a member again
    leader        None while no leader is known
    is_at_a_loss  True if the last round of questions found no leader
    heard         whether any member answered in the last search
    whys          for each member that was asked, why it named no leader, as a text for people; ""
                  if it named one
    configured    the index of the newest configuration that is known
    term          the highest term that is known
    """

    def __init__(self, router: Router, seeds: tuple[Address, ...]) -> None:
        self.router = router
        self.seeds = seeds
        self.members = seeds
        self.known: tuple[Address, ...] = ()
        self.leader: Address | None = None
        self.is_at_a_loss = False
        self.heard = False
        self.whys: dict[Address, str] = {}
        self.configured = -1
        self.term = -1
        self.refreshing: Future[Any] | None = None
        self.lock = threading.RLock()  # `release` raises on a thread without the lock: see `find`

    def lost(self, target: Address | None) -> None:
        """Record that `target` does not lead, or does not answer."""
        self.follow_node()
        if self.leader == target:
            self.leader = None

    def redirected(self, target: Address | None, leader: Address | None) -> None:
        """Record that `target` has answered with a redirect to `leader`."""
        if self.leader in (None, target):
            self.leader = leader

    def hear_of(self, members: list[Any]) -> None:
        """Record the members that the node of a stopped peer has named."""
        others = tuple((name, node) for name, node in members)
        self.remember(others)
        self.members = tuple(dict.fromkeys((*self.members, *others)))

    def find(self, seeker: Seeker) -> Address | None:
        """Return the leader; ask all members again and again until one knows it. None at the
        seeker's deadline.

        The seeker's target did not answer, or is not the leader. Other members may not know this
        yet, so it counts as the leader only if it answers that it leads.
        """
        try:  # acquire inside of `try`: a Ctrl-C between the two would leave the lock held
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
            try:  # noqa: SIM105 - a Ctrl-C could come inside of `suppress`, before the release
                self.lock.release()
            except RuntimeError:  # this thread has not got the lock
                pass

    def ask_around(self, until: float, other_than: Address | None) -> None:
        """Ask all members at the same time, until one knows the leader. `other_than` counts as the
        leader only if it answers so itself.
        """
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
        self.term = -1  # the group may have been deleted and formed again, with lower terms
        self.is_at_a_loss = True

    @property
    def why(self) -> str:
        """Why the last search has found no leader."""
        told = [f"{name} on {node}: {why}" for (name, node), why in self.whys.items() if why]
        return "; ".join(told[:NAMED_MAX])

    def whom(self) -> tuple[Address, ...]:
        """Return the peers to ask for the leader."""
        more = self.known if self.is_at_a_loss else ()
        return tuple(dict.fromkeys((*self.members, *self.seeds, *more)))

    def follow_node(self) -> None:
        """Use the present node of this process, if the node that was used before has stopped."""
        node = self.router.node
        if not (node.running or node.forked):
            self.router = peers_here().router

    def ask(self, address: Address) -> Future[Any]:
        self.follow_node()
        return self.router.request(address, [STATUS, address[0], NOTHING, 0, 0])

    def learn(self, status: dict[str, Any]) -> None:
        """Learn the term and the configuration from a peer's status.

        A leader's configuration counts also if its index is not the highest: another peer's
        configuration may never have been committed, or belong to an earlier group.
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
        """Ask the leader for its configuration. Does not wait for the answer."""
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
    """Return why an answer that has come is no status, as a text for people."""
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
    """Return the status if the answer has come and is one; else None."""
    with suppress(RaftError, TimeoutError):
        found = answer.get(0)
        if type(found) is bytes:
            match encoding.loads_stored(found):
                case ("ok", dict() as status):
                    return status
    return None


def time_until(deadline: float) -> float:
    """Return the seconds until `deadline`, bounded by the longest time that a lock can wait."""
    return min(max(0.0, deadline - time.monotonic()), threading.TIMEOUT_MAX)
