"""LeaderFinder: finds the leader and the members of a group for a client."""

import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, Protocol

from raft_actors import encoding
from raft_actors.core.replies import ELECTION_IN_PROGRESS, NO_NODE, NO_PEER, RESTARTING, TIMEOUT
from raft_actors.errors import NoNode, NoProcess, RaftError
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


class Refusal(NamedTuple):
    """Why a member has named no leader.

    error  as an answer of `Raft`: ("error", reason)
    text   for people; "" if the member has named a leader
    """

    error: Any
    text: str


NO_ANSWER = Refusal(TIMEOUT, "no answer")


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
    is_lost       True if the last round of questions found no leader
    is_answered   whether any member answered in the last search
    refusals      for each member that was asked in the last search, why it named no leader
    configured    the index of the newest configuration that is known
    term          the highest term that is known
    """

    def __init__(self, router: Router, seeds: tuple[Address, ...]) -> None:
        self.router = router
        self.seeds = seeds
        self.members = seeds
        self.known: tuple[Address, ...] = ()
        self.leader: Address | None = None
        self.is_lost = False
        self.is_answered = False
        self.refusals: dict[Address, Refusal] = {}
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

    def add_members(self, members: list[Any]) -> None:
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
                self.is_answered, self.refusals = False, {}
            while self.leader is None:
                now = time.monotonic()
                if now >= seeker.deadline:
                    return None
                self.ask_all(min(seeker.deadline, now + ROUND_S), seeker.target)
                if self.leader is None:
                    time.sleep(min(PAUSE_S, time_until(seeker.deadline)))
            return self.leader if time_until(seeker.deadline) > 0 else None
        finally:
            try:  # noqa: SIM105 - a Ctrl-C could come inside of `suppress`, before the release
                self.lock.release()
            except RuntimeError:  # this thread has not got the lock
                pass

    def ask_all(self, until: float, other_than: Address | None) -> None:
        """Ask all members at the same time, until one knows the leader. `other_than` counts as the
        leader only if it answers so itself.
        """
        asked: dict[Address, Future[Any]] = {}
        try:
            for address in self.candidates():
                asked[address] = self.ask(address)
            self.receive(asked, until, other_than)
        finally:
            for answer in asked.values():
                answer.abandon()

    def receive(
        self, asked: dict[Address, Future[Any]], until: float, other_than: Address | None
    ) -> None:
        answers: SimpleQueue[tuple[Address, Future[Any]]] = SimpleQueue()
        refusals = self.refusals
        for address, question in asked.items():
            refusals.setdefault(address, NO_ANSWER)
            question.add_done_callback(partial(put, answers, address))
        for _ in asked:
            try:
                address, answer = answers.get(timeout=max(0.0, until - time.monotonic()))
            except Empty:
                self.is_lost = True
                return
            status = status_in(answer)
            if status is None:
                refusals[address] = refusal_in(answer)
                continue
            self.is_answered = True
            self.learn(status)
            refusals[address] = refusal_of(address, status)
            leader = status["leader"]
            if (
                status["current_term"] == self.term
                and leader is not None
                and (leader != other_than or status["current_state"] == "leader")
            ):
                self.leader = leader
                self.is_lost = False
                return
        self.term = -1  # the group may have been deleted and formed again, with lower terms
        self.is_lost = True

    @property
    def why(self) -> str:
        """Why the last search has found no leader, as a text for people."""
        texts = [f"{name} on {node}: {why.text}" for (name, node), why in self.refusals.items()
                 if why.text]  # fmt: skip
        return "; ".join(texts[:NAMED_MAX])

    @property
    def error(self) -> Any:
        """Why the last search has found no leader, as an answer of `Raft`.

        If any member answers, the error is that the group has no leader. That a member does not run
        is the error only if no member answers: in an answer of `leave` it would look as if the peer
        itself did not run.
        """
        errors = [refusal.error for refusal in self.refusals.values()]
        if ELECTION_IN_PROGRESS in errors or not errors:
            return ELECTION_IN_PROGRESS
        no_group = [error for error in errors if error[1][0] == "no_group"]
        return no_group[0] if no_group else errors[-1]

    def candidates(self) -> tuple[Address, ...]:
        """Return the peers to ask for the leader."""
        more = self.known if self.is_lost else ()
        return tuple(dict.fromkeys((*self.members, *self.seeds, *more)))

    def follow_node(self) -> None:
        """Use the present node of this process, if the node that was used before has stopped."""
        node = self.router.node
        if not (node.running or node.forked):
            self.router = peers_here().router

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


def put(answers: "SimpleQueue[tuple[Address, Future[Any]]]", peer: Address, answer: Any) -> None:
    answers.put((peer, answer))


def refusal_in(answer: Future[Any]) -> Refusal:
    """Return why an answer that has come is no status."""
    try:
        found = answer.get(0)
    except TimeoutError as error:
        return Refusal(TIMEOUT, str(error))
    except NoProcess as error:  # no peer has been started on that node yet
        return Refusal(NO_PEER, str(error))
    except RaftError as error:
        return Refusal(NO_NODE, str(error))
    if found == encoding.dumps(RESTARTING):
        return Refusal(RESTARTING, "it has crashed and is started again")
    if type(found) is not bytes or found == encoding.dumps(NO_PEER):
        return Refusal(NO_PEER, "there is no such peer")
    refused = encoding.loads_stored(found)
    return Refusal(refused, f"it answered {refused[1]!r}")


def refusal_of(peer: Address, status: dict[str, Any]) -> Refusal:
    if not status["configuration"]["members"]:
        return Refusal(
            ("error", ("no_group", f"{peer} is in no group")),
            f"it is in no group yet: found one by Raft.set_configuration({peer[0]!r}, members), or "
            "let it join one by Raft.join",
        )
    return Refusal(ELECTION_IN_PROGRESS, "" if status["leader"] else "it knows no leader")


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
