"""AnswerChecker: checks that answered requests are linearizable, and refused ones never run."""

from bisect import bisect_right
from operator import itemgetter

from raft_actors import encoding
from raft_actors.core.entry import RequestId
from raft_actors.core.replies import OUTCOME_UNKNOWN
from raft_actors.machine.sessions import EXPIRED, FORGOTTEN
from raft_actors.testing.simulation.broken import Broken
from raft_actors.testing.simulation.checked import CheckedPeer
from raft_actors.testing.simulation.ticket import Ticket

__all__ = ["AnswerChecker"]

UNKNOWN = encoding.dumps(OUTCOME_UNKNOWN)


class AnswerChecker:
    """What is known of the clients' requests.

    positions     the indexes at which each command was committed: one, or several if the command
                  belongs to a session
    index_shown   the highest index that is contained in an answer to a client
    indexes_shown (when, index): all values of `index_shown` so far, and when each began
    acknowledged  how many commands were answered with a reply
    reads         how many queries were answered with a reply
    """

    def __init__(self) -> None:
        self.positions: dict[RequestId, list[int]] = {}
        self.first_reply: dict[RequestId, bytes] = {}
        self.refused: set[RequestId] = set()
        self.expired: set[RequestId] = set()
        self.index_shown: int = 0
        self.indexes_shown: list[tuple[float, int]] = []
        self.acknowledged: int = 0
        self.reads: int = 0

    def note_committed(self, request: RequestId, index: int) -> None:
        """Check a command that is committed: a refused command must never be committed, and a
        command only once, unless it belongs to a session and was sent again.
        """
        positions = self.positions.setdefault(request, [])
        positions.append(index)
        if request[0]:
            return
        if len(positions) > 1:
            raise Broken(f"command {request} is committed twice, at {positions}")
        if request in self.refused:
            raise Broken(f"command {request} was refused, and then committed at {index}")

    def requests_up_to(self, index: int) -> set[RequestId]:
        """Return the commands of sessions that have run, or never will, when `index` is applied."""
        return {
            request
            for request, positions in self.positions.items()
            if request[0] and positions[0] <= index
        }

    def answered(self, peer: CheckedPeer, ticket: Ticket, now: float) -> None:
        """Check that an answer is linearizable: it must include every entry that the answers given
        before its request began had included.
        """
        seen = peer.applied.seen_by(ticket.answer)
        if not seen:
            if ticket.what == "write" and ticket.answer != UNKNOWN:
                self.note_refusal(ticket.request)
            return
        index = max(seen)
        if ticket.what == "write":
            self.acknowledged += 1
            index = self.note_reply(peer, ticket, seen)
        else:
            self.reads += 1
        if index < ticket.index_min:
            raise Broken(
                f"{peer.name} answers a {ticket.what} from entry {index} that must see "
                f"{ticket.index_min}: a stale {ticket.what} (§8)"
            )
        if index > self.index_shown:
            self.index_shown = index
            self.indexes_shown.append((now, index))

    def index_shown_at(self, when: float) -> int:
        """Return the highest index that the answers given until `when` had included."""
        place = bisect_right(self.indexes_shown, when, key=itemgetter(0))
        return self.indexes_shown[place - 1][1] if place else 0

    def note_refusal(self, request: RequestId) -> None:
        self.refused.add(request)
        if request in self.positions and not request[0]:
            raise Broken(f"command {request} was committed, and refused after it")

    def note_reply(self, peer: CheckedPeer, ticket: Ticket, seen: list[int]) -> int:
        """Check that a write is answered with the reply to its own command, always the same."""
        own = [index for index in seen if index in self.positions.get(ticket.request, ())]
        if not own:
            raise Broken(
                f"{peer.name} answers write {ticket.request} with the reply to entry {seen[0]}"
            )
        assert ticket.answer is not None
        if ticket.answer == EXPIRED:
            self.expired.add(ticket.request)
            return own[-1]
        if ticket.answer == FORGOTTEN:
            return own[-1]
        if ticket.request in self.expired:
            raise Broken(f"command {ticket.request} ran after it had expired (thesis 6.3)")
        if self.first_reply.setdefault(ticket.request, ticket.answer) != ticket.answer:
            raise Broken(f"command {ticket.request} has two replies (thesis 6.3)")
        return own[-1]
