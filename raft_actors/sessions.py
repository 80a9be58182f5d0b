"""Sessions: which commands of each client have run, and what they were answered (thesis 6.3).

Part of the replicated state: only applying the log changes it, so it is the same on every replica.
The bounds are constants of the version and no Config, for replicas with different ones would part.

A command's request id says what it is here:

    (0, any)              of no session: run each time it is committed
    (NEW, salt)           opens a session, and is answered ("ok", its number)
    (number, sequence)    run once; committed again, it gets its first answer again. One with an
                          empty payload runs nothing: it settles that what has not run never will
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from raft_actors import terms
from raft_actors.core.entry import RequestId

__all__ = ["NEW", "REPLY", "WINDOW", "Sessions"]

NEW = (1 << 64) - 1
REPLY = b"\xc1"
"""Begins the reply of a machine, which may look like an error of Raft's. Begins no term."""

SESSIONS_MAX = 1_000
"""One more, and the one whose last command is the longest ago expires."""
WINDOW = 2_048
"""Sequences of a session, down from the newest, whose answers are known."""
REPLY_BYTES_MAX = 256 * 1024
"""Kept for one session. When it is more, the older replies go until it is half of it."""

INDEX_BITS = 40
SALT_BITS = 23

EXPIRED = terms.dumps(("error", "session_expired"))
NOT_APPLIED = terms.dumps(("error", "not_applied"))
FORGOTTEN = terms.dumps(("error", "reply_forgotten"))


class Session:
    """One client's commands, as far back as they are known.

    newest   the highest sequence so far; what is `WINDOW` below it has expired
    replies  the answers, in the order of the log
    size     their bytes
    """

    __slots__ = ("newest", "replies", "size")

    def __init__(self, newest: int = 0, replies: tuple[tuple[int, bytes], ...] = ()) -> None:
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
            self.forget_replies(sequence)

    def forget_replies(self, but: int) -> None:
        """Forget older replies, but not that their commands have run."""
        replies = self.replies
        for sequence, reply in replies.items():
            if self.size <= REPLY_BYTES_MAX // 2:
                return
            if sequence != but and len(reply) > len(FORGOTTEN):
                replies[sequence] = FORGOTTEN
                self.size -= len(reply) - len(FORGOTTEN)


class Sessions:
    """All sessions, the one that was used longest ago first. `latest` stands last."""

    __slots__ = ("by_number", "latest")

    def __init__(self) -> None:
        self.by_number: OrderedDict[int, Session] = OrderedDict()
        self.latest: Session | None = None

    def open(self, index: int, salt: int) -> bytes:
        """Open a session by the entry at `index`, and return the encoded answer.

        No two entries have one index, so an entry that was sent twice opens two sessions and
        none twice. The salt tells the numbers of one group from those of another.
        """
        number = (salt % (1 << SALT_BITS)) << INDEX_BITS | index
        self.by_number[number] = self.latest = Session()
        if len(self.by_number) > SESSIONS_MAX:
            self.by_number.popitem(last=False)
        return terms.dumps(("ok", number))

    def once(self, request: RequestId, run: Callable[[bytes], bytes], command: bytes) -> bytes:
        """Run a command if it never ran; return its answer, the first or the first again."""
        number, sequence = request
        session = self.by_number.get(number)
        if session is None or sequence <= session.newest - WINDOW:
            return EXPIRED
        if session is not self.latest:
            self.by_number.move_to_end(number)
            self.latest = session
        answer = session.replies.get(sequence)
        if answer is None:
            answer = REPLY + run(command) if command else NOT_APPLIED
            session.keep(sequence, answer)
        return answer

    def stored(self) -> Iterator[Any]:
        """Yield all of it, a term for each session, for a snapshot. `restore` takes them."""
        for number, session in self.by_number.items():
            yield number, session.newest, tuple(session.replies.items())

    def restore(self, stored: Iterable[Any]) -> None:
        self.latest = None
        self.by_number = OrderedDict(
            (number, Session(newest, replies)) for number, newest, replies in stored
        )
