"""Sessions: which commands of each client have run, and the answers to them (thesis 6.3).

Sessions are a part of the replicated state: only applied entries change them, so they are the same
on every replica. Replicas with different bounds would get different states. So no bound is in
Config: an entry of the log sets the number and the expiry of sessions, see `Limits`, and the other
bounds are constants of this version.

The request id of a command says what the command means for the sessions:

    (0, any)              no session: the command runs each time it is committed
    (NEW, salt)           opens a session; the answer is ("ok", number of the session)
    (END, number)         ends a session, because its client has ended
    (FIRED, index)        no session either: see `raft_actors.machine.duties`
    (ACKED, index)        the same
    (LIMITS, any)         sets the limits, those that the payload has; the answer is the limits
    (number, sequence)    runs once. If the command is committed again, it gets the first answer
                          again. With an empty payload it runs nothing: a command of this number
                          that has not run so far will never run

The time here is replicated time: the latest time that leaders have written into commands. No
replica uses its own clock, and a leader whose clock is behind does not set the time back.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from struct import Struct
from typing import Any, NamedTuple

from raft_actors import encoding
from raft_actors.core.entry import RequestId
from raft_actors.machine.duties import ACKED, FIRED

__all__ = [
    "END", "EXPIRED", "FORGOTTEN", "LIMITS", "NEW", "REPLY", "WINDOW", "Limits", "Sessions",
    "asked_of_sessions", "change_of_limits", "reply_at", "reply_in", "said_in",
]  # fmt: skip

NEW = (1 << 64) - 1
END = NEW - 1
LIMITS = ACKED - 1
"""All request ids with a lower number, and above 0, are of sessions."""
REPLY = b"\xc1\xc1"
"""The first bytes of an answer with a reply of the state machine, which could otherwise be taken
for an error of Raft. No encoded value begins so: after a first 0xC1 comes msgpack, which never
begins with 0xC1. After REPLY come 8 bytes, the log index of the state that answered, and the
reply."""
REPLY_AT = Struct(">2sQ")

SESSIONS_MAX = 100_000
"""Most sessions of a group that has set no other number."""
SESSIONS_MAX_BOUND = 1_000_000
"""The highest number that a group may set."""
ANSWERS_MAX = 2_000_000
"""Most answers that are kept, in all sessions; some 200 MB. With one more, sessions expire, too."""
SESSION_S = 3_600
"""The expiry of a group that has set no other one, in seconds."""
SESSION_MS_MIN, SESSION_MS_MAX = 1_000, 30 * 24 * 3_600_000
"""The shortest and the longest expiry that a group may set."""
WINDOW = 2_048
"""A session keeps the answers to so many sequences, the newest ones."""
REPLY_BYTES_MAX = 256 * 1024
"""Most bytes of replies of one session. With more, the older replies are dropped down to half of
it."""
REPLIES_BYTES_MAX = 256 * 1024 * 1024
"""Most bytes of replies of all sessions. With more, the replies of the sessions that were unused
for longest are dropped, down to half of it."""

INDEX_BITS = 40
SALT_BITS = 23

ENDED = encoding.dumps("ok")
EXPIRED = encoding.dumps(("error", "session_expired"))
NOT_APPLIED = encoding.dumps(("error", "not_applied"))
FORGOTTEN = encoding.dumps(("error", "reply_forgotten"))


class Limits(NamedTuple):
    """The bounds of sessions that a group may set.

    sessions_max  most sessions. With one more, the session with the oldest last command expires
    session_ms    a session without a command for so many milliseconds of replicated time expires
    """

    sessions_max: int
    session_ms: int

    @property
    def view(self) -> dict[str, Any]:
        return {"sessions_max": self.sessions_max, "session_s": self.session_ms / 1_000}


def change_of_limits(change: Any) -> tuple[int | None, int | None]:
    """Return the limits to set, (sessions_max, session_ms); None stands for a limit that stays.
    Raises ValueError.
    """
    match change:
        case (None | int() as number, None | int() as expiry_ms) if (
            type(number) is not bool is not type(expiry_ms)
        ):
            if number is not None and not 1 <= number <= SESSIONS_MAX_BOUND:
                raise ValueError(f"sessions_max is 1 to {SESSIONS_MAX_BOUND}, not {number}")
            if expiry_ms is not None and not SESSION_MS_MIN <= expiry_ms <= SESSION_MS_MAX:
                raise ValueError(
                    f"session_s is {SESSION_MS_MIN // 1_000} to {SESSION_MS_MAX // 1_000} seconds, "
                    f"not {expiry_ms / 1_000:g}"
                )
            return number, expiry_ms
    raise ValueError(f"limits of sessions are two numbers, not {change!r}")


def reply_at(index: int, reply: bytes) -> bytes:
    """Return the answer with this reply, which shows the state at `index`."""
    return REPLY_AT.pack(REPLY, index) + reply


def reply_in(answer: bytes) -> tuple[int, bytes]:
    """Return index and reply of an answer that `reply_at` made."""
    _reply, index = REPLY_AT.unpack_from(answer)
    return index, answer[REPLY_AT.size :]


def said_in(answer: bytes) -> Any:
    """Return the decoded reply of an answer, with an index or without."""
    return encoding.loads(reply_in(answer)[1] if answer.startswith(REPLY) else answer)


def number_of(index: int, salt: int) -> int:
    """Return the number of the session that the entry at `index` opens. The index makes it unique
    within the group; the salt makes it differ from the numbers of other groups.
    """
    return (salt % (1 << SALT_BITS)) << INDEX_BITS | index


def asked_of_sessions(index: int, request: RequestId, command: bytes) -> tuple[Any, ...] | None:
    """Return the meaning of a command for the sessions and duties in words, for people: ("open",
    number), ("end", number), ("settle", number, sequence), ("limit", sessions_max, session_ms), or
    ("fire", index) and ("acknowledge", index) of the timer or message of the entry `index`. None
    for a command of the state machine.
    """
    number, sequence = request
    if number == NEW:
        return "open", number_of(index, sequence)
    if number == END:
        return "end", sequence
    if number == LIMITS:
        return "limit", *encoding.loads_shown(command)
    if number in (FIRED, ACKED):
        return ("fire" if number == FIRED else "acknowledge"), sequence
    if number and not command:
        return "settle", number, sequence
    return None


class Session:
    """The answers to one client's newest commands.

    newest   the highest sequence so far; sequences that are `WINDOW` or more below it have expired
    replies  the answers by sequence, in the order of the log
    size     bytes of the answers
    used_ms  replicated time of the last command
    """

    __slots__ = ("newest", "replies", "size", "used_ms")

    def __init__(
        self, used_ms: int, newest: int = 0, replies: tuple[tuple[int, bytes], ...] = ()
    ) -> None:
        self.used_ms: int = used_ms
        self.newest: int = newest
        self.replies: dict[int, bytes] = dict(replies)
        self.size: int = sum(map(len, self.replies.values()))

    def keep(self, sequence: int, reply: bytes) -> None:
        """Keep an answer. Sequences come in any order, and with gaps."""
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
        """Drop older replies until `bytes_max` are left, except that of the sequence `but`. It
        stays known that their commands have run.
        """
        replies = self.replies
        for sequence, reply in replies.items():
            if self.size <= bytes_max:
                return
            if sequence != but and len(reply) > len(FORGOTTEN):
                replies[sequence] = FORGOTTEN
                self.size -= len(reply) - len(FORGOTTEN)


class Sessions:
    """All sessions, by the time of their last command, the oldest first. `latest` is the last one.

    limits   how many sessions there may be, and when they expire
    now_ms   replicated time, which only `ReplicatedState` moves on
    answers  number of answers in all sessions
    size     bytes of these answers. Replicas may differ in which replies they know, see
             `pass_over`. So because of the bytes only replies are dropped, and never sessions
    """

    __slots__ = ("answers", "by_number", "latest", "limits", "now_ms", "size")

    def __init__(self) -> None:
        self.limits: Limits = Limits(SESSIONS_MAX, SESSION_S * 1_000)
        self.by_number: OrderedDict[int, Session] = OrderedDict()
        self.latest: Session | None = None
        self.now_ms: int = 0
        self.answers: int = 0
        self.size: int = 0

    def open(self, index: int, salt: int) -> bytes:
        """Open a session for the entry at `index`, and return the encoded answer.

        A request that was sent twice has two entries, and opens two sessions.
        """
        number = number_of(index, salt)
        self.expire()
        self.by_number[number] = self.latest = Session(self.now_ms)
        self.end_surplus()
        return encoding.dumps(("ok", number))

    def limit(self, command: bytes) -> bytes:
        """Set the limits, and return the encoded answer. Sessions above them expire at once."""
        number, expiry_ms = change_of_limits(encoding.loads(command))
        before = self.limits
        self.limits = Limits(number or before.sessions_max, expiry_ms or before.session_ms)
        self.expire()
        self.end_surplus()
        return encoding.dumps(("ok", self.limits.view))

    def end_surplus(self) -> None:
        while len(self.by_number) > self.limits.sessions_max:
            self.end(next(iter(self.by_number)))

    def end(self, number: int) -> bytes:
        """Remove the session with this number, if there is one; return the encoded answer."""
        session = self.by_number.pop(number, None)
        if session is not None:
            self.answers -= len(session.replies)
            self.size -= session.size
        return ENDED

    def expire(self) -> None:
        """Remove the sessions without a command for the expiry."""
        while self.by_number:
            number = next(iter(self.by_number))
            if self.by_number[number].used_ms >= self.now_ms - self.limits.session_ms:
                return
            self.end(number)

    def once(
        self, request: RequestId, run: Callable[[bytes], bytes], command: bytes, index: int
    ) -> bytes:
        """Run a command if it has not run yet; return its answer, or the answer of its first run.
        The answer has `index`, the index of the entry.
        """
        number, sequence = request
        session = self.by_number.get(number)
        if session is None or sequence <= session.newest - WINDOW:
            return EXPIRED
        if session.used_ms < self.now_ms - self.limits.session_ms:
            self.expire()
            return EXPIRED
        session.used_ms = self.now_ms
        if session is not self.latest:
            self.by_number.move_to_end(number)
            self.latest = session
        # Nearly every command has the next sequence, which can't have an answer yet.
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
        """Drop sessions and replies above the bounds, those unused for longest first."""
        while self.answers > ANSWERS_MAX:
            self.end(next(iter(self.by_number)))
        if self.size > REPLIES_BYTES_MAX:
            for session in self.by_number.values():
                if self.size <= REPLIES_BYTES_MAX // 2:
                    return
                self.size -= session.size
                session.forget_replies(0)
                self.size += session.size

    def pass_over(self, request: RequestId, command: bytes, index: int) -> None:
        """Note that a command was applied before the peer was restarted. Its reply is not known any
        more.

        Replies never decide whether a command runs; only request ids and times do. So all replicas
        decide alike.
        """
        unknown = reply_at(index, b"")
        if self.once(request, lambda _command: b"", command, index) == unknown:
            session = self.by_number[request[0]]
            session.replies[request[1]] = FORGOTTEN
            session.size += len(FORGOTTEN) - len(unknown)
            self.size += len(FORGOTTEN) - len(unknown)

    def stored(self) -> Iterator[Any]:
        """Yield time and limits, and then one value for each session, for a snapshot."""
        yield self.now_ms, *self.limits
        for number, session in self.by_number.items():
            yield number, session.used_ms, session.newest, tuple(session.replies.items())

    def compared(self) -> Iterator[Any]:
        """Yield what `stored` yields, but without the replies: all replicas have the rest."""
        yield self.now_ms, *self.limits
        for number, session in self.by_number.items():
            yield number, session.used_ms, session.newest, tuple(session.replies)

    def restore(self, stored: Iterable[Any]) -> None:
        """Replace all sessions by those that `stored` has yielded."""
        sessions = iter(stored)
        self.latest = None
        self.now_ms, *limits = next(sessions)
        self.limits = Limits(*limits)
        self.by_number = OrderedDict(
            (number, Session(used_ms, newest, replies))
            for number, used_ms, newest, replies in sessions
        )
        self.answers = sum(len(session.replies) for session in self.by_number.values())
        self.size = sum(session.size for session in self.by_number.values())
