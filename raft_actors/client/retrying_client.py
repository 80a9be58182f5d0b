"""RetryingClient: sends a call, interprets the answer, and sends the call again if that is safe."""

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from secrets import randbits
from typing import Any, NoReturn
from weakref import WeakSet

from raft_actors import encoding
from raft_actors.client.call import Call
from raft_actors.client.failures import no_session, unanswered
from raft_actors.client.leader_finder import LeaderFinder, time_until
from raft_actors.client.parking import Parking
from raft_actors.client.read_targets import ReadTargets
from raft_actors.client.rpc import PeerRef, address_of, addresses_of
from raft_actors.client.session import ClientSession
from raft_actors.core.entry import RequestId
from raft_actors.core.messages import FOLLOWER, STALE
from raft_actors.errors import (
    CommandTooLarge,
    FrameTooLarge,
    NotAllowed,
    NotApplied,
    RaftError,
    ReplyLost,
    SessionExpired,
)
from raft_actors.future import Future
from raft_actors.machine.sessions import END, NEW, REPLY, SALT_BITS, reply_in
from raft_actors.names import Address
from raft_actors.peer.router import Router
from raft_actors.replica.requests import READ, WRITE, read_request
from raft_actors.timeouts import seconds

__all__ = ["RETRY", "RetryingClient", "opening", "seeds_of"]

PAUSE_S, PAUSE_S_MAX = 0.005, 0.2
"""The pause after a failed attempt: PAUSE_S at first, doubled each time, PAUSE_S_MAX at most."""
REFRESH_S = 5.0
"""How old the known configuration may become while the handle is used."""
END_S = 1.0
"""How long it is tried to end a session: an ending that does not succeed is the expiry's work."""
RETRY: Any = object()
"""The result of `receive` if another attempt may get a reply."""


class RetryingClient:
    """A session with one group: each command is sent until it is answered, and runs once.

    Threads may share it. The methods `..._call` make a call, `send` sends it, and `finish` waits
    for its reply; `begin` makes and sends one. `Cluster` waits on the caller's thread;
    `AsyncRetryingClient` does the steps of `finish` on a loop.

    timeout  the timeout of calls that have none of their own
    token    the highest log index that an answer has contained
    session  None before the first command, and after the session has expired
    closed   whether new calls are refused
    """

    def __init__(
        self,
        router_now: Callable[[], Router],
        seeds: tuple[Address, ...],
        timeout: float,
        *,
        begins_at_once: bool = True,
    ) -> None:
        self.finder: LeaderFinder = LeaderFinder(router_now, seeds, begins_at_once=begins_at_once)
        self.read_targets: ReadTargets = ReadTargets(self.finder)
        self.timeout = timeout
        self.token: int = 0
        self.session: ClientSession | None = None
        # Like the lock of `LeaderFinder`: see `open_session`.
        self.session_lock: threading.RLock = threading.RLock()
        self.refresh_at: float = 0.0
        self.closed: bool = False
        self.parkings: WeakSet[Parking] = WeakSet()

    def __getstate__(self) -> NoReturn:
        """Refuse to be pickled and to be copied deeply, as `multiprocessing` tries."""
        raise TypeError(
            "a handle has a session and connections, which belong to this process: pass the "
            "addresses of the members, and make a new handle in the process that uses it"
        )

    def close(self) -> None:
        """Refuse new calls, and end all watches. When the last call under way has ended, the
        session is ended too.
        """
        self.closed = True
        for parking in tuple(self.parkings):
            parking.close()
        self.end_session()

    def close_soon(self) -> None:
        """As `close`, for a loop: it never blocks."""
        self.close()

    def parking(self) -> Parking:
        """Make the parking of a watch. It is closed together with this handle."""
        parking = Parking(self.finder)
        self.parkings.add(parking)
        if self.closed:
            parking.close()
        return parking

    # Make a call.

    def deadline(self, timeout: float | None) -> float:
        """Return the deadline of a call that is made now. Raises NotApplied after `close`, and
        NoNode: see `LeaderFinder.check_node`.
        """
        if self.closed:
            raise NotApplied("this handle is closed; make a new Cluster")
        if not self.finder.router.node.running:
            self.finder.check_node()
        now = time.monotonic()
        if now >= self.refresh_at:
            self.refresh_at = now + REFRESH_S
            self.finder.refresh()
        return now + (self.timeout if timeout is None else seconds(timeout))

    def write_call(self, command: Any, timeout: float | None) -> Call:
        """Make the call of a write. It is not sent yet."""
        payload = encoding.dumps(command, "command")
        bytes_max = self.finder.router.node.config.command_bytes_max
        if len(payload) > bytes_max:
            raise CommandTooLarge(
                f"{len(payload)} bytes are more than Config.command_bytes_max "
                f"({bytes_max}); split it, or raise the bound on every node"
            )
        return Call(WRITE, payload, self.deadline(timeout))

    def read_call(
        self,
        query: Any,
        timeout: float | None,
        consistency: str,
        max_staleness_s: float | None,
        after: int,
        at: PeerRef | None,
    ) -> Call:
        """Make the call of a read. It is not sent yet."""
        payload = REPLY + encoding.dumps(query, "query")
        operation, payload = read_request(payload, consistency, max_staleness_s, after)
        call = Call(operation, payload, self.deadline(timeout))
        if consistency in (FOLLOWER, STALE):
            call.read_targets = self.read_targets.of(None if at is None else address_of(at))
        elif at is not None:
            raise ValueError(f"the leader answers a {consistency} read: leave out `at`")
        return call

    def settle_call(self, request_id: RequestId, timeout: float | None) -> Call:
        return Call(WRITE, b"", self.deadline(timeout), checked_id(request_id))

    def barrier_call(self, timeout: float | None) -> Call:
        """Make the call of a barrier. It is not sent yet."""
        return Call(READ, REPLY, self.deadline(timeout))

    def begin(self, command: Any, timeout: float | None, *, together: bool = False) -> Call:
        """Make the call of a write, and send it for the first time.

        together  leave the frame unsent until the caller flushes the node, so that it is sent
                  together with others

        Opens a session and finds the leader, if they are missing, and waits for both.
        """
        call = self.write_call(command, timeout)
        try:
            (self.session or self.open_session(call.deadline)).next(call)
            return self.ask(call, self.finder.leader or self.finder.find(call), together=together)
        except BaseException:  # Ctrl-C, above all
            call.end()
            raise

    def begin_read(self, query: Any, timeout: float | None, *, together: bool = False) -> Call:
        """Make the call of a linearizable read, and send it for the first time, as `begin` does."""
        payload = REPLY + encoding.dumps(query, "query")
        return self.send(Call(READ, payload, self.deadline(timeout)), together=together)

    # Send it, wait, and send it again.

    def send(self, call: Call, *, together: bool = False) -> Call:
        """Make an attempt: ask the leader, or the next of the call's read targets.

        A command without a session gets the session of this handle. Waits for what is missing: the
        session, a free sequence number in it, or the leader.
        """
        if call.needs_session():
            (self.session or self.open_session(call.deadline)).next(call)
        if call.read_targets is not None:
            return self.ask(call, next(call.read_targets), together=together)
        return self.ask(call, self.finder.leader or self.finder.find(call), together=together)

    def ask(self, call: Call, target: Address | None, *, together: bool = False) -> Call:
        """Make an attempt: ask `target`. Without a target, record why none is known. Does not
        wait.
        """
        call.target = target
        call.future = None
        call.waited_s = 0.0
        if target is not None:
            body = [call.operation, target[0], call.payload, *call.request]
            try:
                call.future = self.finder.router.request(target, body, flush=not together)
            except FrameTooLarge:
                self.interpret(call, ("error", "command_too_large"))
        elif call.reason is None:
            call.reason = ("redirect", None) if self.finder.is_answered else "no_node"
        return call

    def finish(self, call: Call) -> Any:
        """Wait for the reply, and send the call again while that is safe, until the deadline."""
        try:
            while (reply := self.receive(call)) is RETRY:
                time.sleep(self.pause_s(call))
                call.tries += 1
                self.send(call)
            return reply
        finally:
            self.end(call)

    def receive(self, call: Call) -> Any:
        """Wait for the answer to this attempt. Return the reply if the answer has one. Else learn
        from the answer, and return RETRY if another attempt may get a reply.
        """
        answer = call.answer()
        if type(answer) is bytes:
            if answer.startswith(REPLY):
                self.finder.unanswered_s = 0.0
                index, reply = reply_in(answer)
                if index > self.token:
                    self.token = index
                return encoding.loads_stored(reply) if reply else index
            answer = encoding.loads_stored(answer)
            if call.request[0] == NEW and answer[0] == "ok":
                return answer[1]
        elif type(answer) is list:
            self.finder.add_members(answer)
            answer = ("error", "no_peer")
        self.interpret(call, answer)
        return RETRY

    def interpret(self, call: Call, answer: Any) -> None:
        """Learn from an answer that is an error. Raises if the call can't succeed any more."""
        finder = self.finder
        call.reason = reason = answer[1]
        match reason:
            case ("redirect", leader):
                finder.redirected(call.target, leader)
            case "overloaded" | "too_stale":
                pass
            case "timeout":
                call.may_have_happened = True
                finder.no_answer(call.target, call.waited_s)
            case "outcome_unknown":
                call.may_have_happened = True
                finder.lost(call.target)
            case "election_in_progress" | "no_peer" | "no_node" | "restarting":
                finder.lost(call.target)
            case "session_expired":
                self.on_expired(call)
            case "not_applied":
                raise NotApplied(
                    "the command did not happen, and never will: write it again if you wish"
                )
            case "reply_forgotten" | ("reply_too_large", _) if call.operation == WRITE:
                raise ReplyLost(
                    f"the command happened, but its reply is lost ({reason}): read the result"
                )
            case ("reply_too_large", text):
                raise FrameTooLarge(
                    f"the reply is too large for a frame ({text}): ask for less at once"
                )
            case "command_too_large" if call.may_have_happened and call.operation == WRITE:
                raise unanswered(call, self.finder)
            case "command_too_large":
                raise CommandTooLarge(
                    f"the command is larger than Config.command_bytes_max of {call.target}, or "
                    "than a frame between the nodes of the group may be: split it, or raise the "
                    "bounds on every node"
                )
            case "not_allowed":
                raise NotAllowed(
                    f"{call.target} refuses this request from a node with this cookie: a client's "
                    "cookie may write and read, a reader's may read; nothing happened"
                )
            case _:
                raise RaftError(
                    f"{call.target} answered {answer!r}: has it another version of raft_actors?"
                )

    def on_expired(self, call: Call) -> None:
        """Give the call another session. Raises SessionExpired if the command may have run already
        in the old session: then it must not be sent again.
        """
        session = call.session
        if session is None or call.may_have_happened:
            raise SessionExpired(
                "this command's session has expired, so it is not known whether the command "
                "happened: read what it would have changed, and write it again if it has not",
                call.request,
            )
        call.end()
        call.session = call.reason = None
        if self.session is session:
            self.session = None

    def pause_s(self, call: Call) -> float:
        """Return how long to wait before the next attempt: longer each time.

        Raises if no time is left for another attempt: an attempt that can't be answered in time
        would only make the outcome unknown.
        """
        remaining = call.remaining()
        pause = 0.0
        if call.tries or self.finder.leader is None or call.reason == "overloaded":
            pause = min(PAUSE_S * 2.0 ** min(call.tries, 10), PAUSE_S_MAX)
        if remaining <= pause:
            raise unanswered(call, self.finder)
        return pause

    def end(self, call: Call) -> None:
        """End a call that has its reply or its error."""
        call.end()
        if self.closed:
            self.end_session()

    def end_session(self) -> None:
        """Ask the leader to end the session, if no call is under way. If this request is lost, the
        session expires by itself.
        """
        session, leader = self.session, self.finder.leader
        if session is None or leader is None or self.finder.router.node.forked:
            return
        session.forget_ended()
        if not session.under_way and not session.in_doubt:
            self.session = None
            ending = Call(WRITE, b"", time.monotonic() + END_S, (END, session.number))
            with suppress(RaftError):
                self.on_ending(self.ask(ending, leader))

    def on_ending(self, ending: Call) -> None:
        """The request to end the session was sent."""
        if ending.future is not None:
            ending.future.abandon()

    def detach(self, call: Call) -> None:
        """Let the call end by itself: it was sent, its answer is not waited for, and it is not sent
        again.
        """
        if call.future is not None:
            call.future.add_done_callback(partial(self.on_cast, call))
        else:
            call.end()

    def on_cast(self, call: Call, _answer: Future[Any]) -> None:
        """End a detached call. If it failed, its target is not taken for the leader any more."""
        if not call.is_replied():
            self.finder.lost(call.target)
        self.end(call)

    def open_session(self, deadline: float) -> ClientSession:
        try:  # acquire inside of `try`: a Ctrl-C between the two would leave the lock held
            if not self.session_lock.acquire(timeout=time_until(deadline)):
                raise no_session()
            if self.session is None:
                self.session = ClientSession(self.finish(self.send(opening(deadline))))
            return self.session
        finally:
            try:  # noqa: SIM105 - a Ctrl-C could come inside of `suppress`, before the release
                self.session_lock.release()
            except RuntimeError:  # this thread has not got the lock
                pass


def opening(deadline: float) -> Call:
    """Make the call that opens a session. It is not sent yet."""
    return Call(WRITE, b"", deadline, (NEW, randbits(SALT_BITS)))


def checked_id(request_id: Any) -> RequestId:
    match request_id:
        case (int() as session, int() as sequence) if min(session, sequence) > 0 and session != NEW:
            return session, sequence
    raise ValueError(
        f"a request id is the `request_id` of an OutcomeUnknown, two numbers, not {request_id!r}"
    )


def seeds_of(members: PeerRef | Iterable[PeerRef]) -> tuple[Address, ...]:
    """Return the addresses of the members that a handle was given: several, or a single one."""
    seeds = addresses_of(members)
    if not seeds:
        raise ValueError("a cluster needs at least one member to begin with")
    return seeds
