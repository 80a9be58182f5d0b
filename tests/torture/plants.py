"""Planted bugs: starters of node processes that break one promise each, for the torture to find."""

from typing import Any

from raft_actors import terms
from raft_actors.core.follower import Follower
from raft_actors.core.leader import Leader
from raft_actors.core.messages import Query
from raft_actors.peer import Peer
from raft_actors.stores.rocks import RocksStore
from raft_actors.torture import child

FORGOTTEN = 25


def forgets_when_restarted() -> Any:
    """A store that loses the last entries it promised to keep (a save that does not sync)."""
    load = RocksStore.load

    def load_less(self):
        saved = load(self)
        keep = max(saved.first, saved.last - FORGOTTEN)
        if keep < saved.last:
            self.save(None, keep + 1, [])
        return load(self)

    RocksStore.load = load_less
    return child.start()


def reads_locally() -> Any:
    """Reads answered from the peer's own state, without asking a majority (thesis 6.4)."""

    def on_query(self: Any, event: Query) -> None:
        self.server.answer(event.ticket, Local(event.query))

    class Local:
        def __init__(self, query: bytes) -> None:
            self.query = query

    drained = Peer.on_drained

    def on_drained(self):
        answers, self.core.effects.answers = self.core.effects.answers, []
        for ticket, answer in answers:
            if isinstance(answer, Local):
                ticket.set(self.applied.read(answer.query))
            else:
                self.core.effects.answers.append((ticket, answer))
        drained(self)

    Peer.on_drained = on_drained
    Leader.handlers = Leader.handlers | {Query: on_query}
    Follower.handlers = Follower.handlers | {Query: on_query}
    return child.start()


def acknowledges_at_once() -> Any:
    """Writes acknowledged when the leader takes them in, before anybody has stored them."""
    propose = Leader.handlers[next(kind for kind in Leader.handlers if kind.__name__ == "Propose")]

    def on_propose(self: Any, event: Any) -> None:
        command = terms.loads(event.command)
        if command[0] == "write":
            event.ticket.set(terms.dumps(("ok", command[2])))
        propose(self, event)

    Leader.handlers = {
        kind: on_propose if kind.__name__ == "Propose" else handler
        for kind, handler in Leader.handlers.items()
    }
    return child.start()
