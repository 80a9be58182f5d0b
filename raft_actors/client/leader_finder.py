"""LeaderFinder: finds the leader and the members of a group for a client."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from raft_actors import encoding
from raft_actors.client.answers import Failure
from raft_actors.client.leader_search import LeaderSearch, Refusal
from raft_actors.client.parking import Parking, await_result
from raft_actors.core.replies import ELECTION_IN_PROGRESS
from raft_actors.errors import NoNode, RaftError
from raft_actors.future import Future
from raft_actors.names import Address
from raft_actors.peer.peers import peers_here
from raft_actors.peer.router import Router
from raft_actors.replica.requests import STATUS

__all__ = ["LOOK_S", "LeaderFinder", "PlainSeeker", "find_leader", "routed_by", "router_here",
           "time_until"]  # fmt: skip

LOOK_S = 0.3
"""How often a search looks whether its seeker has given up, or the leader is known otherwise."""
SILENT_S = 0.3
"""After so many seconds without an answer a peer is not taken for the leader any more."""
NAMED_MAX = 5
"""How many members an error names at most."""
KNOWN_MAX = 64
"""How many addresses are remembered at most, besides those of the members."""
NOTHING = encoding.dumps(())


class Seeker(Protocol):
    """The part of a call that `find` uses. A `Call` is a seeker.

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
    finder = LeaderFinder(router_here, tuple(members))
    return finder.find(PlainSeeker(deadline, other_than))


BORROWED: ContextVar[Router | None] = ContextVar("BORROWED", default=None)


def router_here() -> Router:
    """Return the router of this process's node, or the one that `routed_by` has set."""
    return BORROWED.get() or peers_here().router


@contextmanager
def routed_by(router: Router) -> Iterator[None]:
    """Send the requests of this thread by another router: that of a handle without a node."""
    token = BORROWED.set(router)
    try:
        yield
    finally:
        BORROWED.reset(token)


class LeaderFinder:
    """Finds the leader for all threads of a handle. One thread searches (`LeaderSearch`); the
    others wait for its result.

    router_now    returns the router to use from now on; see `follow_node`
    seeds         the addresses that the handle was given; they are always asked
    reached       the node that each seed has led to, see `names.is_seed`. If this node does not
                  answer any more, the seed is asked again: it may lead to another node by now
    members       the members of the newest configuration that is known
    known         members of all configurations seen, the latest last. They are asked too when the
                  `members` know no leader, because each of them may be a member again
    leader        None while no leader is known
    unanswered_s  how long calls have waited without an answer, since the last reply
    is_lost       True if the last search has asked all members, and none knew the leader
    last_search   the search that is under way, or was the last one
    configured    the index of the newest configuration that is known
    term          the highest term that is known
    """

    def __init__(
        self,
        router_now: Callable[[], Router],
        seeds: tuple[Address, ...],
        *,
        begins_at_once: bool = True,
    ) -> None:
        """`begins_at_once` is False if there is no router before the first question."""
        self.router_now = router_now
        if begins_at_once:
            self.router = router_now()
        self.seeds: tuple[Address, ...] = seeds
        self.members: tuple[Address, ...] = seeds
        self.reached: dict[Address, Address] = {}
        self.known: tuple[Address, ...] = ()
        self.leader: Address | None = None
        self.unanswered_s: float = 0.0
        self.is_lost = False
        self.last_search: LeaderSearch | None = None
        self.configured: int = -1
        self.term: int = -1
        self.refreshing: Future[Any] | None = None
        # `release` raises on a thread without the lock: see `find`.
        self.lock: threading.RLock = threading.RLock()

    @cached_property
    def router(self) -> Router:
        """The router in use."""
        return self.router_now()

    def lost(self, target: Address | None) -> None:
        """Record that `target` does not lead, or does not answer."""
        self.follow_node()
        if self.leader == target:
            self.leader = None

    def no_answer(self, target: Address | None, waited_s: float) -> None:
        """Record that `target` did not answer in time. A short timeout alone does not show that it
        leads no more: the waits of several calls are added up.
        """
        self.unanswered_s += waited_s
        if self.unanswered_s >= SILENT_S:
            self.unanswered_s = 0.0
            self.lost(target)

    def redirected(self, target: Address | None, leader: Address | None) -> None:
        """Record that `target` has answered with a redirect to `leader`."""
        if self.leader in (None, target):
            self.leader = leader

    def add_members(self, members: list[Any]) -> None:
        """Record the members that the node of a stopped peer has named."""
        others = tuple((name, node) for name, node in members)
        self.remember(others)
        self.members = tuple(dict.fromkeys((*self.members, *others)))

    def find(self, seeker: Seeker) -> Address | None:
        """Return the leader; wait until a member knows it. None at the seeker's deadline.

        The seeker's target did not answer, or is not the leader. Other members may not know this
        yet, so it counts as the leader only if it answers that it leads.
        """
        try:  # acquire inside of `try`: a Ctrl-C between the two would leave the lock held
            if not self.lock.acquire(timeout=time_until(seeker.deadline)):
                return None
            if self.leader is None and time_until(seeker.deadline) > 0:
                self.search(seeker)
            return self.leader if time_until(seeker.deadline) > 0 else None
        finally:
            try:  # noqa: SIM105 - a Ctrl-C could come inside of `suppress`, before the release
                self.lock.release()
            except RuntimeError:  # this thread has not got the lock
                pass

    def search(self, seeker: Seeker) -> None:
        parking = Parking(self)
        search = self.begin_search(parking, seeker.target)
        try:
            while self.leader is None and (left := time_until(seeker.deadline)) > 0:
                self.found(await_result(search, time.monotonic() + min(left, LOOK_S)))
        finally:
            parking.close()

    def begin_search(self, parking: Parking, other_than: Address | None) -> LeaderSearch:
        self.last_search = search = LeaderSearch(self, parking, other_than)
        return search

    def found(self, leader: Address | None) -> None:
        if self.leader is None:  # else a redirect has named one meanwhile
            self.leader = leader

    @property
    def is_answered(self) -> bool:
        """Whether any member has answered in the last search."""
        return self.last_search is not None and self.last_search.is_answered

    @property
    def refusals(self) -> dict[Address, Refusal]:
        """For each member that was asked in the last search, why it named no leader."""
        return {} if self.last_search is None else self.last_search.refusals()

    @property
    def why(self) -> str:
        """Why the last search has found no leader, as a text for people."""
        texts = [f"{name} on {node}: {why.text}" for (name, node), why in self.refusals.items()
                 if why.text]  # fmt: skip
        return "; ".join(texts[:NAMED_MAX])

    @property
    def error(self) -> Failure:
        """Why the last search has found no leader, as an answer of `Raft`.

        If any member answers, the error is that the group has no leader. That a member does not run
        is the error only if no member answers: in an answer of `leave` it would look as if the peer
        itself did not run.
        """
        errors: list[Failure] = [refusal.error for refusal in self.refusals.values()]
        if ELECTION_IN_PROGRESS in errors or not errors:
            return ELECTION_IN_PROGRESS
        no_group = [error for error in errors if error[1][0] == "no_group"]
        return no_group[0] if no_group else errors[-1]

    def candidates(self) -> tuple[Address, ...]:
        """Return the peers to ask for the leader."""
        more = (*self.known, *self.silent_seeds()) if self.is_lost else ()
        return tuple(dict.fromkeys((*self.members, *self.seeds, *more)))

    def silent_seeds(self) -> list[Address]:
        """Return the seeds whose nodes have not answered in the last search."""
        views = {} if self.last_search is None else self.last_search.members.views
        return [seed for seed, member in tuple(self.reached.items()) if member not in views]

    def follow_node(self) -> None:
        """Use the present node of this process, if the node that was used before has stopped."""
        node = self.router.node
        if not (node.running or node.forked):
            self.router = self.router_now()

    def rename(self, seed: str, node: str) -> None:
        """Note that a seed has led to `node`."""

        def renamed(addresses: tuple[Address, ...]) -> tuple[Address, ...]:
            places = ((name, node if at == seed else at) for name, at in addresses)
            return tuple(dict.fromkeys(places))

        for name in {name for name, at in (*self.seeds, *self.reached) if at == seed}:
            before = self.reached.get((name, seed), (name, seed))
            self.reached[name, seed] = (name, node)
            self.seeds = tuple((name, node) if each == before else each for each in self.seeds)
        self.members, self.known = map(renamed, (self.members, self.known))

    def check_node(self) -> None:
        """Raise NoNode if this process was forked, or if it is no node and all known peers are on
        nodes: then it reaches none of them, however long it waits.
        """
        if self.router.node.running:
            return
        self.router.node.check_process()
        self.follow_node()
        node = self.router.node
        if not node.running and all(address[1] != node.name for address in self.candidates()):
            raise NoNode(node.why_not_running())

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
