"""Sessions: which commands of each client have run, and what they were answered (thesis 6.3).

Part of the replicated state: only applying the log changes it, so it is the same on every replica.
The bounds are constants of the version and no Config, for replicas with different ones would part.

A command's request id says what it is here:

    (0, any)              of no session: run each time it is committed
    (NEW, salt)           opens a session, and is answered ("ok", its number)
    (END, number)         ends a session: its client is done
    (number, sequence)    run once; committed again, it gets its first answer again. One with an
                          empty payload runs nothing: it settles that what has not run never will

Time is what the leaders wrote into the entries of sessions, the latest so far: no replica looks at
a clock of its own, and a leader whose clock is behind turns nothing back.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from struct import Struct
from typing import Any

from raft_actors import encoding
from raft_actors.core.entry import RequestId

__all__ = [
    "END", "EXPIRED", "FORGOTTEN", "NEW", "REPLY", "WINDOW", "Sessions", "asked_of_sessions",
    "reply_at", "reply_in", "said_in",
]  # fmt: skip

NEW = (1 << 64) - 1
END = NEW - 1
REPLY = b"\xc1\xc1"
"""Begins the reply of a machine, which may look like an error of Raft's. Begins no term: one that
begins with 0xC1 goes on in msgpack, which never uses it. Then come 8 bytes, the log index whose
state it shows, and the reply."""
REPLY_AT = Struct(">2sQ")

SESSIONS_MAX = 100_000
"""One more, and the one whose last command is the longest ago expires."""
ANSWERS_MAX = 2_000_000
"""Commands whose answers are known, in all sessions; of more, likewise. Some 200 MB."""
SESSION_S = 3_600
"""Replicated time without a command after which a session expires."""
SESSION_MS = SESSION_S * 1_000
WINDOW = 2_048
"""Sequences of a session, down from the newest, whose answers are known."""
REPLY_BYTES_MAX = 256 * 1024
"""Kept for one session. When it is more, the older replies go until it is half of it."""
REPLIES_BYTES_MAX = 256 * 1024 * 1024
"""Kept for all. When it is more, those of the sessions unused for longest go likewise."""

INDEX_BITS = 40
SALT_BITS = 23

ENDED = encoding.dumps("ok")
EXPIRED = encoding.dumps(("error", "session_expired"))
NOT_APPLIED = encoding.dumps(("error", "not_applied"))
FORGOTTEN = encoding.dumps(("error", "reply_forgotten"))


def reply_at(index: int, reply: bytes) -> bytes:
    """Return the answer that shows the state at `index`."""
    return REPLY_AT.pack(REPLY, index) + reply


def reply_in(answer: bytes) -> tuple[int, bytes]:
    """Return index and reply of such an answer."""
    _reply, index = REPLY_AT.unpack_from(answer)
    return index, answer[REPLY_AT.size :]


def said_in(answer: bytes) -> Any:
    """Return what an answer says, with an index or without."""
    return encoding.loads(reply_in(answer)[1] if answer.startswith(REPLY) else answer)


def number_of(index: int, salt: int) -> int:
    """Return the number of the session that the entry at `index` opens. No two entries have one
    index; the salt tells the numbers of one group from those of another.
    """
    return (salt % (1 << SALT_BITS)) << INDEX_BITS | index


def asked_of_sessions(index: int, request: RequestId, command: bytes) -> tuple[Any, ...] | None:
    """Return what an entry asks of the sessions and not of the machine, as people read it: ("open",
    number), ("end", number) or ("settle", number, sequence). None for any other command.
    """
    number, sequence = request
    if number == NEW:
        return "open", number_of(index, sequence)
    if number == END:
        return "end", sequence
    if number and not command:
        return "settle", number, sequence
    return None


class Session:
    """One client's commands, as far back as they are known.

    newest   the highest sequence so far; what is `WINDOW` below it has expired
    replies  the answers, in the order of the log
    size     their bytes
    used_ms  when the last one came, in replicated time
    """

    __slots__ = ("newest", "replies", "size", "used_ms")

    def __init__(
        self, used_ms: int, newest: int = 0, replies: tuple[tuple[int, bytes], ...] = ()
    ) -> None:
        self.used_ms = used_ms
        self.newest = newest
        self.replies = dict(replies)
        self.size = sum(map(len, self.replies.values()))

    def keep(self, sequence: int, reply: bytes) -> None:
        """Remember an answer. Sequences come in any order, and with gaps."""
        replies = self.replies
        replies[sequence] = reply
        ahead = sequence - self.newest
        if ahead == 1:
            self.newest = sequence
            self.size += len(reply) - len(replies.pop(sequence - WINDOW, b""))
        elif ahead < WINDOW:
            self.size += len(reply)
            if ahead > 0:
                past = self.newest - WINDOW + 1
                self.newest = sequence
                for old in range(past, past + ahead):
                    self.size -= len(replies.pop(old, b""))
        else:
            self.newest = sequence
            self.replies, self.size = {sequence: reply}, len(reply)
        if self.size > REPLY_BYTES_MAX:
            self.forget_replies(REPLY_BYTES_MAX // 2, sequence)

    def forget_replies(self, bytes_max: int, but: int = -1) -> None:
        """Forget older replies down to `bytes_max`, but not that their commands have run."""
        replies = self.replies
        for sequence, reply in replies.items():
            if self.size <= bytes_max:
                return
            if sequence != but and len(reply) > len(FORGOTTEN):
                replies[sequence] = FORGOTTEN
                self.size -= len(reply) - len(FORGOTTEN)


class Sessions:
    """All sessions, the one that was used longest ago first. `latest` stands last.

    answers  how many are known, in all sessions
    size     their bytes. Which replies are known may differ between replicas: see `pass_over`. So
             by bytes replies are forgotten, and never sessions
    """

    __slots__ = ("answers", "by_number", "latest", "now_ms", "size")

    def __init__(self) -> None:
        self.by_number: OrderedDict[int, Session] = OrderedDict()
        self.latest: Session | None = None
        self.now_ms = 0
        self.answers = 0
        self.size = 0

    def open(self, index: int, salt: int, time_ms: int) -> bytes:
        """Open a session by the entry at `index`, and return the encoded answer.

        An entry that was sent twice opens two sessions and none twice.
        """
        number = number_of(index, salt)
        self.now_ms = max(self.now_ms, time_ms)
        self.expire()
        self.by_number[number] = self.latest = Session(self.now_ms)
        while len(self.by_number) > SESSIONS_MAX:
            self.end(next(iter(self.by_number)))
        return encoding.dumps(("ok", number))

    def end(self, number: int) -> bytes:
        """Forget a session, if there is one of this number; return the encoded answer."""
        session = self.by_number.pop(number, None)
        if session is not None:
            self.answers -= len(session.replies)
            self.size -= session.size
        return ENDED

    def expire(self) -> None:
        """Forget those that were not used for SESSION_S."""
        while self.by_number:
            number = next(iter(self.by_number))
            if self.by_number[number].used_ms >= self.now_ms - SESSION_MS:
                return
            self.end(number)

    def once(
        self, request: RequestId, run: Callable[[bytes], bytes], command: bytes,
        index: int, time_ms: int,
    ) -> bytes:  # fmt: skip
        """Run a command if it never ran; return its answer, the first or the first again.

        index    of the entry; an answer shows the state there
        time_ms  of the entry
        """
        number, sequence = request
        session = self.by_number.get(number)
        if time_ms > self.now_ms:
            self.now_ms = time_ms
        if session is None or sequence <= session.newest - WINDOW:
            return EXPIRED
        if session.used_ms < self.now_ms - SESSION_MS:
            self.expire()
            return EXPIRED
        session.used_ms = self.now_ms
        if session is not self.latest:
            self.by_number.move_to_end(number)
            self.latest = session
        # Nearly every command is the next one, of which nothing is known yet.
        answer = session.replies.get(sequence) if sequence <= session.newest else None
        if answer is None:
            answer = REPLY_AT.pack(REPLY, index) + run(command) if command else NOT_APPLIED
            known, size = len(session.replies), session.size
            session.keep(sequence, answer)
            self.answers += len(session.replies) - known
            self.size += session.size - size
            if self.answers > ANSWERS_MAX or self.size > REPLIES_BYTES_MAX:
                self.make_room()
        return answer

    def make_room(self) -> None:
        """Keep to the bounds of all sessions together; those unused for longest go first."""
        while self.answers > ANSWERS_MAX:
            self.end(next(iter(self.by_number)))
        if self.size > REPLIES_BYTES_MAX:
            for session in self.by_number.values():
                if self.size <= REPLIES_BYTES_MAX // 2:
                    return
                self.size -= session.size
                session.forget_replies(0)
                self.size += session.size

    def pass_over(self, request: RequestId, command: bytes, index: int, time_ms: int) -> None:
        """Note that a command has run in a life before this one; its reply is not known any more.

        What runs and what does not is decided by requests and times alone, never by replies.
        """
        unknown = reply_at(index, b"")
        if self.once(request, lambda _command: b"", command, index, time_ms) == unknown:
            session = self.by_number[request[0]]
            session.replies[request[1]] = FORGOTTEN
            session.size += len(FORGOTTEN) - len(unknown)
            self.size += len(FORGOTTEN) - len(unknown)

    def stored(self) -> Iterator[Any]:
        """Yield all of it, the time and a term for each session, for a snapshot."""
        yield self.now_ms
        for number, session in self.by_number.items():
            yield number, session.used_ms, session.newest, tuple(session.replies.items())

    def restore(self, stored: Iterable[Any]) -> None:
        """Take what `stored` yielded."""
        sessions = iter(stored)
        self.latest = None
        self.now_ms = next(sessions)
        self.by_number = OrderedDict(
            (number, Session(used_ms, newest, replies))
            for number, used_ms, newest, replies in sessions
        )
        self.answers = sum(len(session.replies) for session in self.by_number.values())
        self.size = sum(session.size for session in self.by_number.values())
