"""Link: the queue of frames for one other node, and the calls that wait for its answers.

A link exists with or without a connection. Any thread may send. Only the bridge thread connects and
disconnects. When a connection breaks, the queued frames are dropped and the open calls fail, so no
frame is sent twice.
"""

import contextlib
import itertools
import logging
import socket
import threading
import time
from collections import deque
from typing import Any, Protocol

from raft_actors.errors import FrameTooLarge, NoConnection
from raft_actors.future import Future
from raft_actors.transport.connection import Connection
from raft_actors.transport.limits import BridgeLimits
from raft_actors.wire.frame_codec import FRAMES_MAX, join_frames
from raft_actors.wire.frame_mac import TAG_BYTES
from raft_actors.wire.frames import HEADER_BYTES, header

__all__ = ["Answer", "Link", "fail", "fail_all"]

logger: logging.Logger = logging.getLogger("raft_actors.node")

LIST_HEAD_BYTES = 3


class Calls(Protocol):
    """An object with the calls that are open: not answered yet."""

    calls: "dict[int, Answer]"


class Answer(Future[Any]):
    """The answer to call `number`. The call is open until the answer comes or is abandoned."""

    __slots__ = ("number", "where")

    def __init__(self, where: Calls, number: int) -> None:
        super().__init__()
        self.where: Calls = where
        self.number: int = number

    def abandon(self) -> None:
        if not self.done():
            self.where.calls.pop(self.number, None)
            super().abandon()


class Link:
    """The queue and the open calls towards one node."""

    def __init__(
        self, node: str, *, frame_bytes_max: int, queue_bytes_max: int, limits: BridgeLimits
    ) -> None:
        self.node = node
        self.call_numbers: itertools.count[int] = itertools.count(1)
        self.calls: dict[int, Answer] = {}
        self.long_calls: set[int] = set()  # the numbers of those for which no thread waits
        self.is_used = False  # this node has sent a frame to the other that was not an answer
        # The other node had this node's role once, or is expected to have it.
        self.is_equal: bool = False

        # Guarded by the lock. A signal handler may interrupt a method, and send.
        self.lock: threading.RLock = threading.RLock()
        self.retired: bool = False  # the link accepts no frames; the next frame needs a new link
        self.connection: Connection | None = None
        # In this connection the other node has a lesser role than this node.
        self.is_guest: bool = False
        self._limits = limits
        self._own_frame_bytes_max = frame_bytes_max
        self._frame_bytes_max = frame_bytes_max
        self.agreed_bytes_max: int = frame_bytes_max  # the bound of frames in the last connection
        self._queue_bytes_max = queue_bytes_max
        self._out: deque[bytes] = deque()  # packed frames
        self._rest = memoryview(b"")  # the bytes of the last send that the kernel did not take
        self._queued_bytes = 0  # in `_out` and `_rest` while connected; in `_waiting` while not
        self._sending: Connection | None = None  # the connection on which a thread sends now
        self._blocked = False  # the kernel's buffer is full: the bridge thread resumes later
        self._waiting: deque[tuple[float, int, bytes]] = deque()  # (since, call or 0, payload)
        self._unreachable_until = 0.0  # after a failed dial, calls fail at once until this time
        self._why_unreachable = ""
        self.dial_wanted: bool = False  # the bridge thread was asked to make a connection
        self.flush_due = False  # the bridge thread was asked to flush, at once or a little later

        # Used by the bridge thread only.
        self.replaced: deque[tuple[bytes, str]] = deque(maxlen=8)
        """Earlier incarnations of the other node, and the role that each had."""

    def __repr__(self) -> str:
        return f"<Link to {self.node}, {'up' if self.connection else 'down'}>"

    def send(
        self,
        payload: bytes,
        call: int = 0,
        answer: Answer | None = None,
        *,
        over: Connection | None = None,
    ) -> bool | None:
        """Queue one frame. Without a connection the frame waits.

        call, answer  the number of a call, and the future for its answer
        over          send over this connection only: if it is not in use any more, the frame is
                      dropped, and True is returned

        Returns True for a queued frame. Returns False if the frame is dropped, because the queue of
        the connection is full, or because it is a call and the node can't be reached; `answer` then
        raises NoConnection. Returns None, and does nothing, if this link is retired. If the queue
        without a connection is full, the oldest frames are dropped. Raises FrameTooLarge.
        """
        dropped: list[Answer] = []
        with self.lock:
            if over is not None and over is not self.connection:
                return True
            if len(payload) > self._frame_bytes_max:
                raise FrameTooLarge(
                    f"a message of {len(payload)} bytes to {self.node}: the two nodes agreed on "
                    f"at most {self._frame_bytes_max} (Config.frame_bytes_max)"
                )
            if self.connection is None:
                if self.retired:
                    return None
                refusal = self._wait(payload, call, dropped)
            elif self._queued_bytes + len(payload) > self._queue_bytes_max:
                refusal = f"{self._queued_bytes} bytes wait for {self.node} already"
            else:
                refusal = ""
                self._queue(payload)
            if answer is not None and not refusal:
                self.calls[call] = answer
        if answer is not None and refusal:
            fail(answer, NoConnection(refusal, was_sent=False))
        for victim in dropped:
            why = f"too much waits for {self.node}"
            fail(victim, NoConnection(why, was_sent=False))
        return not refusal

    def flush(self) -> bool:
        """Hand the queued frames to the kernel, without blocking.

        One thread at a time does this. It also sends the frames that other threads queue meanwhile,
        so a call in another thread returns at once.

        Returns True if the kernel's buffer has just become full. Then the bridge thread must call
        `resume` when the socket is writable again.
        """
        used: Connection | None = None
        try:
            with self.lock:
                if self.connection is None or self._blocked or self._sending is self.connection:
                    return False
                used = self.connection
                rest = self._next(used)
            while rest:
                try:
                    sent = used.stream.send(rest)
                except OSError:  # full; or broken, which the bridge thread notices as well
                    sent = 0
                with self.lock:
                    if used is not self.connection:
                        break
                    self._rest = rest[sent:]
                    self._queued_bytes -= sent
                    if not sent:
                        self._sending, self._blocked = None, True
                        return True
                    rest = self._next(used)
            else:
                return False
        except BaseException:
            if used is not None:
                self._break(used)
            raise
        used.close()
        return self.flush()  # over the connection that has replaced `used`, if there is one

    def holds_frames(self) -> bool:
        """Return whether frames wait for a flush. Other threads may change this at any time."""
        return bool(self._out)

    def resume(self) -> bool:
        """As `flush`, after the kernel's buffer was full."""
        with self.lock:
            self._blocked = False
        return self.flush()

    def up(self, connection: Connection, frame_bytes_max: int, *, is_guest: bool = False) -> bool:
        """Use `connection` from now on. The frames that have waited are sent first.

        Returns False, and does nothing, for the connection of a guest if the waiting frames may be
        for a node of this node's role.
        """
        too_large: list[Answer | None] = []
        with self.lock:
            if is_guest and self.is_equal:
                return False
            self.is_guest = is_guest
            self.is_equal = not is_guest
            self.connection = connection
            self._frame_bytes_max = self.agreed_bytes_max = frame_bytes_max
            self._unreachable_until = 0.0
            self._queued_bytes = 0
            for _since, call, payload in self._waiting:
                if len(payload) > frame_bytes_max:
                    too_large.append(self.calls.pop(call, None))
                else:
                    self._queue(payload)
            self._waiting.clear()
        for answer in too_large:
            if answer is not None:
                fail(
                    answer,
                    FrameTooLarge(
                        f"the call is larger than the {frame_bytes_max} bytes that {self.node} "
                        "accepts (Config.frame_bytes_max)"
                    ),
                )
        return True

    def down(self, reason: str) -> Connection | None:
        """Stop using the connection, fail the open calls, and return the connection."""
        with self.lock:
            connection, self.connection = self.connection, None
            self.is_guest = False
            self._frame_bytes_max = self._own_frame_bytes_max
            self._out.clear()
            self._rest = memoryview(b"")
            self._queued_bytes = 0
            self._blocked = False
            self.dial_wanted = False
            # A thread that is sending closes the connection itself after its send. Closed here, the
            # descriptor could be reused, and the thread would write into another connection.
            if connection is not None and self._sending is not connection:
                connection.close()
            calls = self._take_calls()
        fail_all(calls, f"the connection to {self.node} is gone ({reason})", was_sent=True)
        return connection

    def unreachable(self, until: float, why: str) -> bool:
        """Note that a dial failed: fail the calls, and return whether frames still wait."""
        stale = time.monotonic() - self._limits.waiting_s
        with self.lock:
            self._unreachable_until = until
            self._why_unreachable = f"{self.node} can't be reached: {why}"
            kept = [item for item in self._waiting if not item[1] and item[0] > stale]
            self._waiting = deque()
            self._queued_bytes = 0
            for since, call, payload in kept:
                self._wait(payload, call, [], since)
            waits = bool(self._waiting)
            self.dial_wanted = waits
            calls = self._take_calls()
        fail_all(calls, self._why_unreachable, was_sent=False)
        return waits

    def drop_queue(self) -> None:
        """Drop the waiting frames, and fail the calls."""
        with self.lock:
            self._waiting.clear()
            self._queued_bytes = 0
            self.dial_wanted = False
            # Under the same lock as the frames: the frame of a failed call must not be sent later.
            calls = self._take_calls()
        fail_all(calls, f"{self.node} was disconnected", was_sent=False)

    def retire(self) -> bool:
        """Accept no more frames, if the link has neither connection nor frames nor calls. Returns
        whether the link is retired. Bridge thread only.
        """
        with self.lock:
            self.retired = not (self.connection or self._waiting or self.calls)
            return self.retired

    def _queue(self, payload: bytes) -> None:
        self._out.append(payload)
        self._queued_bytes += len(payload)

    def _wait(
        self, payload: bytes, call: int, dropped: list[Answer], since: float | None = None
    ) -> str:
        now = time.monotonic()
        is_unreachable = now < self._unreachable_until
        if call and is_unreachable:
            return self._why_unreachable
        bytes_max = self._queue_bytes_max
        if is_unreachable:
            bytes_max = min(bytes_max, self._limits.waiting_bytes)
        self._waiting.append((since or now, call, payload))
        self._queued_bytes += len(payload)
        while self._queued_bytes > bytes_max and len(self._waiting) > 1:
            _, oldest_call, oldest = self._waiting.popleft()
            self._queued_bytes -= len(oldest)
            answer = self.calls.pop(oldest_call, None)
            if answer is not None:
                dropped.append(answer)
        return ""

    def _next(self, used: Connection) -> memoryview:
        """Return the bytes that the kernel gets next over the connection `used`. If there are any,
        mark the connection as being sent on by this thread. Call with the lock held.
        """
        self._sending = used  # first: a signal handler that sends must not get ahead of this frame
        if not self._rest and self._out:
            payload = self._join()
            tag = used.sending.tag(payload)
            self._rest = memoryview(b"".join((header(len(payload) + TAG_BYTES), payload, tag)))
        if not self._rest:
            self._sending = None
        return self._rest

    def _break(self, used: Connection) -> None:
        """Give up a connection after a send that was interrupted, by Ctrl-C for example: it is not
        known how much was sent. The bridge thread finds the connection broken, and dials again.
        """
        with contextlib.suppress(OSError):
            used.socket.shutdown(socket.SHUT_RDWR)
        with self.lock:
            if self._sending is used:
                self._sending = None
            if used is not self.connection:
                used.close()

    def _join(self) -> bytes:
        """Take the next frames off the queue, and join them into one payload."""
        out = self._out
        bytes_left = min(self._limits.write_bytes, self._frame_bytes_max - LIST_HEAD_BYTES)
        if len(out) > 1 and self._queued_bytes <= bytes_left and len(out) <= FRAMES_MAX:
            frames = list(out)
            out.clear()
        else:
            frames = [out.popleft()]
            bytes_left -= len(frames[0])
            while out and len(out[0]) <= bytes_left and len(frames) < FRAMES_MAX:
                bytes_left -= len(out[0])
                frames.append(out.popleft())
        is_joined = len(frames) > 1
        self._queued_bytes += HEADER_BYTES + TAG_BYTES + LIST_HEAD_BYTES * is_joined
        return join_frames(frames) if is_joined else frames[0]

    def _take_calls(self) -> dict[int, Answer]:
        """Remove and return the open calls; the caller fails them. Call with the lock held."""
        calls, self.calls = self.calls, {}
        return calls


def fail_all(calls: dict[int, Answer], why: str, *, was_sent: bool) -> None:
    for answer in calls.values():
        fail(answer, NoConnection(why, was_sent=was_sent))


def fail(answer: Answer, error: Exception) -> None:
    """Make `error` the result of `answer`. An exception of its callback is only logged."""
    try:
        answer.set_exception(error)
    except Exception:
        logger.exception("a callback of an answer raised")
