"""Cluster: a client's handle on one group. It finds the leader, tries again, and never guesses."""

import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from secrets import randbits
from typing import Any

from raft_actors import encoding
from raft_actors.client.call import Call
from raft_actors.client.leader_finder import Finder, status_in, time_until
from raft_actors.client.leader_watch import LeaderWatch
from raft_actors.client.pipeline import Pipeline
from raft_actors.client.read_targets import Places
from raft_actors.client.rpc import PeerRef, address_of
from raft_actors.client.session import SPAN, ClientSession
from raft_actors.client.views import Status, in_view
from raft_actors.core.configuration import named
from raft_actors.core.entry import RequestId
from raft_actors.core.messages import FOLLOWER, LINEARIZABLE, STALE
from raft_actors.errors import (
    CommandTooLarge,
    FrameTooLarge,
    NoLeader,
    NotApplied,
    OutcomeUnknown,
    Overloaded,
    RaftError,
    ReplyLost,
    SessionExpired,
    TooStale,
    Unavailable,
)
from raft_actors.future import Future
from raft_actors.machine.sessions import END, NEW, REPLY, SALT_BITS, reply_in
from raft_actors.names import Address
from raft_actors.peer.peers import peers_here
from raft_actors.replica.requests import READ, WRITE, read_request
from raft_actors.timeouts import optional_seconds, seconds

__all__ = ["Cluster"]

PAUSE_S, PAUSE_S_MAX = 0.005, 0.2
"""Between attempts that failed: doubled each time, up to the second."""
REFRESH_S = 5.0
"""How old the known configuration may get while the handle is used."""
OUTSTANDING_MAX = SPAN * 2 // 3
LOOK_S = 0.02
STATUS_S = 1.0
AGAIN: Any = object()


class Cluster:
    """A group of peers, named by any of its members, or by several.

    Every operation has one deadline, `timeout` seconds, for all that it takes: finding the leader,
    waiting for elections, sending again. A handle is a session: a command that is sent again runs
    once. It is safe to share between threads; each call blocks the thread that makes it, and no
    peer's own thread may make one. Node and peers may start and stop under it.

    token  the highest log index that an answer to this handle has shown; see `read`

        with Cluster([("peer1", "a@host"), ("peer2", "b@host")]) as cluster:
            cluster.write(("set", "key", "value"))

    Raises a RaftError that says what to do next: see docs/client.md.
    """

    def __init__(self, members: PeerRef | Iterable[PeerRef], *, timeout: float = 10.0) -> None:
        several = isinstance(members, Iterable) and not isinstance(members, str)
        if several and not is_address(members):
            seeds = tuple(address_of(member) for member in members)  # type: ignore[union-attr]
        else:
            seeds = (address_of(members),)  # type: ignore[arg-type]
        if not seeds:
            raise ValueError("a cluster needs at least one member to begin with")
        self.timeout = seconds(timeout)
        self._peers = peers_here()
        self._finder = Finder(self._peers, seeds)
        self._places = Places(self._finder, self._peers.node.name)
        self._session: ClientSession | None = None
        self._session_lock = threading.RLock()  # it knows its owner: see `_opened`
        self._command_bytes_max = self._peers.node.config.command_bytes_max
        self._refresh_at = 0.0
        self.token = 0
        self._closed = False

    def __repr__(self) -> str:
        return f"<Cluster of {named(self.members)}>"

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take no more calls, and have the group forget the session of this handle.

        Waits for nothing: calls under way end by themselves, and the last of them ends the session.
        One that has a command in doubt expires by itself, for its outcome may still be asked for.
        """
        self._closed = True
        self._end_session()

    # What it is for.

    def write(self, command: Any, timeout: float | None = None) -> Any:
        """Have `command` applied once, and return the machine's reply.

        Raises NotApplied, or one of its kind, if it did not happen and never will; OutcomeUnknown;
        ReplyLost; TypeError for a command that can't be encoded.
        """
        return self._finish(self._begin(command, timeout))

    def read(
        self,
        query: Any,
        timeout: float | None = None,
        *,
        consistency: str = LINEARIZABLE,
        max_staleness_s: float | None = None,
        after: int = 0,
        at: PeerRef | None = None,
    ) -> Any:
        """Ask the machine; linearizable: it sees every write that was answered before.

        consistency      `"linearizable"`; `"lease"`, as good, without a round among the members
                         if `Config.lease_clock_drift_max` allows it; `"follower"`, as good, and
                         any member answers; `"stale"`: any member, from the state that it has
        max_staleness_s  of `"stale"`: what was answered so long before is in it
        after            of `"stale"`: what the handle with this `token` has seen is in it
        at               of `"follower"` and `"stale"`: ask this peer and no other

        Raises NotApplied, or one of its kind: there is no answer, and asking again is safe.
        """
        call = self._reading(query, timeout, consistency, max_staleness_s, after, at)
        return self._finish(self._sent(call))

    def cast(self, command: Any, timeout: float | None = None) -> None:
        """Send a command once, and wait for no answer: it may be lost, and nobody hears of it.

        Waits only where no leader is known yet.
        """
        self._let_go(self._begin(command, timeout))

    def pipeline(self, *, outstanding_max: int = 1_000, timeout: float | None = None) -> Pipeline:
        """Return a pipeline, to have so many operations under way at once from one thread."""
        self._check_outstanding(outstanding_max)
        return Pipeline(self, outstanding_max, optional_seconds(timeout))

    def outcome(self, request_id: RequestId, timeout: float | None = None) -> Any:
        """Settle an unknown outcome: return the reply of the command, if it happened.

        Raises NotApplied if it did not; from now on it can't. SessionExpired if nobody knows any
        more, ReplyLost if it happened and the reply is gone, OutcomeUnknown if nobody answers.
        Only for commands that nobody is still waiting for. Raises ValueError for what is no id.
        """
        return self._finish(self._sent(self._settling(request_id, timeout)))

    # Waiting and looking.

    def barrier(self, timeout: float | None = None) -> int:
        """Wait until all that was answered before is applied at the leader; return its index."""
        index: int = self._finish(self._sent(self._passing(timeout)))
        return index

    def await_leader(self, timeout: float | None = None) -> Address:
        """Wait for a leader that is ready: the first entry of its term has committed.

        Raises NoLeader or Unavailable.
        """
        call = self._passing(timeout)
        self._finish(self._sent(call))
        return answered_by(call)

    def await_applied(
        self, index: int, *, at: PeerRef | None = None, timeout: float | None = None
    ) -> None:
        """Wait until `index` is applied at one peer, or at every member. Raises Unavailable."""
        deadline, wanted = self._applying(index, at, timeout)
        while behind := self._behind(index, wanted):
            if time.monotonic() >= deadline:
                raise late(index, behind)
            time.sleep(LOOK_S)

    @property
    def members(self) -> list[Address]:
        """The members of the newest configuration heard of; before that, those given."""
        return list(self._finder.members)

    @property
    def leader(self) -> Address | None:
        """Who leads, as far as the handle knows. It does not ask."""
        return self._finder.leader

    def watch_leader(self) -> LeaderWatch:
        """Return a stream of who leads, in which term, and whether that one is ready.

        Only the latest counts: a slow reader misses what has passed meanwhile.
        """
        return LeaderWatch(self._finder)

    def status(self) -> dict[Address, Status | None]:
        """What each member says of itself; None where it does not answer."""
        found: dict[Address, Status | None] = {}
        while new := [member for member in self.members if member not in found]:
            found |= {member: self._status_of(member) for member in new}  # they may name others
        return {member: found[member] for member in self.members}

    def _status_of(self, peer: Address) -> Status | None:
        answer = self._finder.ask(peer)
        with suppress(RaftError, TimeoutError):
            answer.get(STATUS_S)
        answer.abandon()
        status = status_in(answer)
        if status is None:
            return None
        self._finder.learn(status)
        return in_view(status, Status)

    # How.

    @staticmethod
    def _check_outstanding(outstanding_max: int) -> None:
        if type(outstanding_max) is not int or not 0 < outstanding_max <= OUTSTANDING_MAX:
            raise ValueError(
                f"outstanding_max must be from 1 to {OUTSTANDING_MAX}, not {outstanding_max!r}"
            )

    def _deadline(self, timeout: float | None) -> float:
        if self._closed:
            raise NotApplied("this handle is closed; make a new Cluster")
        self._peers.node.check_process()
        now = time.monotonic()
        if now >= self._refresh_at:
            self._refresh_at = now + REFRESH_S
            self._finder.refresh()
        return now + seconds(self.timeout if timeout is None else timeout)

    def _reading(
        self,
        query: Any,
        timeout: float | None,
        consistency: str,
        max_staleness_s: float | None,
        after: int,
        at: PeerRef | None,
    ) -> Call:
        """Make the call of a read, not sent yet."""
        payload = REPLY + encoding.dumps(query, "query")
        operation, payload = read_request(payload, consistency, max_staleness_s, after)
        call = Call(operation, payload, self._deadline(timeout))
        if consistency in (FOLLOWER, STALE):
            call.places = self._places.of(None if at is None else address_of(at))
        elif at is not None:
            raise ValueError(f"the leader answers a {consistency} read: leave out `at`")
        return call

    def _settling(self, request_id: RequestId, timeout: float | None) -> Call:
        return Call(WRITE, b"", self._deadline(timeout), checked_id(request_id))

    def _passing(self, timeout: float | None) -> Call:
        """Make the call of a barrier, not sent yet."""
        return Call(READ, REPLY, self._deadline(timeout))

    def _applying(
        self, index: int, at: PeerRef | None, timeout: float | None
    ) -> tuple[float, Address | None]:
        """Return the deadline of `await_applied`, and whom to ask; None for every member."""
        if type(index) is not int:
            raise TypeError(f"the index of an entry is a whole number, not {index!r}")
        return self._deadline(timeout), None if at is None else address_of(at)

    def _behind(self, index: int, wanted: Address | None) -> dict[Address, Status | None]:
        """Return those who have not applied `index`, with what they say; None for no answer."""
        asked = self.status() if wanted is None else {wanted: self._status_of(wanted)}
        return {
            peer: status
            for peer, status in asked.items()
            if status is None or status["last_applied"] < index
        }

    def _writing(self, command: Any, timeout: float | None) -> Call:
        """Make the call of a write, not sent yet."""
        payload = encoding.dumps(command, "command")
        if len(payload) > self._command_bytes_max:
            raise CommandTooLarge(
                f"{len(payload)} bytes are more than Config.command_bytes_max "
                f"({self._command_bytes_max}); split it, or raise the bound on every node"
            )
        return Call(WRITE, payload, self._deadline(timeout))

    def _begin(self, command: Any, timeout: float | None, *, together: bool = False) -> Call:
        """Send a command for the first time; `together` with others, when they are flushed.

        Opens a session and finds the leader, if none is known, and waits for that.
        """
        call = self._writing(command, timeout)
        try:
            return self._sent(call, together=together)
        except BaseException:  # Ctrl-C, above all
            call.end()
            raise

    def _begin_read(self, query: Any, timeout: float | None, *, together: bool = False) -> Call:
        payload = REPLY + encoding.dumps(query, "query")
        return self._sent(Call(READ, payload, self._deadline(timeout)), together=together)

    def _opened(self, deadline: float) -> ClientSession:
        try:  # before `acquire`: Ctrl-C may come just as it returns
            if not self._session_lock.acquire(timeout=time_until(deadline)):
                raise Unavailable("no session could be opened in time; nothing happened: try again")
            if self._session is None:
                self._session = ClientSession(self._finish(self._sent(opening(deadline))))
            return self._session
        finally:
            try:  # noqa: SIM105 - `suppress` is a function that Ctrl-C may come in
                self._session_lock.release()
            except RuntimeError:  # this thread did not get it
                pass

    def _sent(self, call: Call, *, together: bool = False, leader: Address | None = None) -> Call:
        """Make an attempt: ask who leads now, or `leader`, for whom nobody has to look.

        A command that is of no session becomes one of this handle's.
        """
        if call.needs_session():
            (self._session or self._opened(call.deadline)).next(call)
        if call.places is not None:
            target: Address | None = next(call.places)
        else:
            leader = leader or self._finder.leader
            target = leader or self._finder.find(call)
        call.target = target
        call.future = None
        if target is not None:
            body = [call.operation, target[0], call.payload, *call.request]
            try:
                call.future = self._peers.request(target, body, flush=not together)
            except FrameTooLarge:
                self._judge(call, ("error", "command_too_large"))
        elif call.reason is None:
            call.reason = ("redirect", None) if self._finder.heard else "no_node"
        return call

    def _finish(self, call: Call) -> Any:
        """Wait for the reply; try again whatever is safe to try again, until the deadline."""
        try:
            while (reply := self._heard(call)) is AGAIN:
                time.sleep(self._pause(call))
                call.tries += 1
                self._sent(call)
            return reply
        finally:
            self._ended(call)

    def _heard(self, call: Call) -> Any:
        """Wait for the answer to this attempt. Return the reply that it is; or AGAIN, having learnt
        from it, if another attempt may get one.
        """
        answer = call.answer()
        if type(answer) is bytes:
            if answer.startswith(REPLY):
                index, reply = reply_in(answer)
                if index > self.token:
                    self.token = index
                return encoding.loads_stored(reply) if reply else index
            answer = encoding.loads_stored(answer)
            if call.request[0] == NEW and answer[0] == "ok":
                return answer[1]
        elif type(answer) is list:
            self._finder.hear_of(answer)
            answer = ("error", "no_peer")
        self._judge(call, answer)
        return AGAIN

    def _ended(self, call: Call) -> None:
        call.end()
        if self._closed:
            self._end_session()

    def _end_session(self) -> None:
        """Tell the leader, if nothing is under way. If that gets lost, the session expires."""
        session, leader = self._session, self._finder.leader
        if session is None or leader is None or self._peers.node.forked:
            return
        session.forget_ended()
        if not session.under_way and not session.in_doubt:
            self._session = None
            with suppress(RaftError):
                body = [WRITE, leader[0], b"", END, session.number]
                self._peers.request(leader, body).abandon()

    def _judge(self, call: Call, answer: Any) -> None:
        """Learn from a refusal; raise what ends the call."""
        finder = self._finder
        call.reason = reason = answer[1]
        match reason:
            case ("redirect", leader):
                finder.redirected(call.target, leader)
            case "overloaded" | "too_stale":
                pass
            case "timeout" | "outcome_unknown":
                call.perhaps = True
                finder.lost(call.target)
            case "election_in_progress" | "no_peer" | "no_node" | "restarting":
                finder.lost(call.target)
            case "session_expired":
                self._on_expired(call)
            case "not_applied":
                raise NotApplied("it did not happen, and never will: write it again if you wish")
            case "reply_forgotten" | ("reply_too_large", _) if call.operation == WRITE:
                raise ReplyLost(f"it happened, but the reply is gone ({reason}): read the result")
            case ("reply_too_large", text):
                raise FrameTooLarge(f"the reply fits no frame ({text}): ask for less at once")
            case "command_too_large" if call.perhaps and call.operation == WRITE:
                raise self._failure(call)
            case "command_too_large":
                raise CommandTooLarge(
                    f"larger than Config.command_bytes_max of {call.target}, or than what the "
                    "nodes of the group take in one frame: split it, or raise the bounds on every "
                    "node"
                )
            case _:
                raise RaftError(f"{call.target} answered {answer!r}: is its version another one?")

    def _on_expired(self, call: Call) -> None:
        """Let it be of another session; but a command that may have run in the old one is not
        repeated.
        """
        session = call.session
        if session is None or call.perhaps:
            raise SessionExpired(
                "this command's session has expired, so nobody knows whether it happened: read "
                "what it would have changed, and write it again if it has not",
                call.request,
            )
        call.end()
        call.session = call.reason = None
        if self._session is session:
            self._session = None

    def _pause(self, call: Call) -> float:
        """Return how long to wait before the next attempt: longer each time.

        Raises where no time is left for one: it would only make unknown what is known.
        """
        remaining = call.remaining()
        pause = 0.0
        if call.tries or self._finder.leader is None or call.reason == "overloaded":
            pause = min(PAUSE_S * 2.0 ** min(call.tries, 10), PAUSE_S_MAX)
        if remaining <= pause:
            raise self._failure(call)
        return pause

    def _failure(self, call: Call) -> RaftError:
        """Say at the deadline what is known."""
        why = f"the last answer was {call.reason!r} by {call.target}"
        if call.why:
            why += f": {call.why}"
        if call.target is None and self._finder.why:
            why = self._finder.why
        if (
            call.operation == WRITE
            and call.request[0] != NEW
            and (call.perhaps or not call.payload)
        ):
            if call.session is not None:
                call.session.in_doubt = True
            return OutcomeUnknown(
                f"this command may have happened, or may still ({why}): settle it with "
                f"cluster.outcome({call.request})",
                call.request,
            )
        match call.reason:
            case "overloaded":
                return Overloaded(f"{call.target} has too much to do; try again later ({why})")
            case "too_stale":
                return TooStale(
                    f"nobody could make sure to be so fresh in time: allow more ({why})"
                )
            case ("redirect", (_, _)) if call.places is not None:
                return Unavailable(
                    f"{call.target} answers no reads, for a witness keeps no state: leave out "
                    f"`at`, or name another member ({why})"
                )
            case "election_in_progress" | ("redirect", _):
                return NoLeader(
                    f"no leader was found in time; nothing happened: try again, and see that a "
                    f"majority of {self.members} runs ({why})"
                )
        if call.places is not None:
            return Unavailable(
                f"no peer that was asked answered in time: see that it runs, or leave out `at`, "
                f"for any of {self.members} may answer ({why})"
            )
        return Unavailable(
            f"no member that leads answered in time; nothing happened: try again, and see that a "
            f"majority of {self.members} runs ({why})"
        )

    def _let_go(self, call: Call) -> None:
        if call.future is not None:
            call.future.add_done_callback(partial(self._on_cast, call))
        else:
            call.end()

    def _on_cast(self, call: Call, _answer: Future[Any]) -> None:
        """Nobody waits for this one, but where it went wrong is where not to ask next."""
        if not call.is_replied():
            self._finder.lost(call.target)
        self._ended(call)


def answered_by(call: Call) -> Address:
    assert call.target is not None, "somebody was asked"
    return call.target


def late(index: int, behind: dict[Address, Status | None]) -> Unavailable:
    silent = [peer for peer, status in behind.items() if status is None]
    why = f" ({named(silent)} did not answer)" if silent else ""
    return Unavailable(f"{[*behind]} have not applied entry {index} in time{why}; wait again")


def opening(deadline: float) -> Call:
    """Make the call that opens a session, not sent yet."""
    return Call(WRITE, b"", deadline, (NEW, randbits(SALT_BITS)))


def checked_id(request_id: Any) -> RequestId:
    match request_id:
        case (int() as session, int() as sequence) if min(session, sequence) > 0 and session != NEW:
            return session, sequence
    raise ValueError(
        f"a request id is the `request_id` of an OutcomeUnknown, two numbers, not {request_id!r}"
    )


def is_address(value: Any) -> bool:
    return isinstance(value, tuple) and tuple(map(type, value)) == (str, str)
