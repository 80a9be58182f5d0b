"""Pipeline: many operations under way at once from one thread, their replies in order."""

from collections import deque
from typing import TYPE_CHECKING, Any

from raft_actors.client.call import Call
from raft_actors.errors import RaftError

if TYPE_CHECKING:
    from raft_actors.cluster import Cluster

__all__ = ["Pending", "Pipeline"]

SENT_TOGETHER = 64
"""So many that have not left are sent without waiting for more."""


class Pending:
    """A write or a read that is under way, or was."""

    __slots__ = ("call", "cluster", "error", "reply")

    def __init__(self, cluster: "Cluster", call: Call) -> None:
        self.cluster = cluster
        self.call: Call | None = call
        self.reply: Any = None
        self.error: RaftError | None = None

    def __del__(self) -> None:
        """Nobody can ask for the reply any more."""
        if self.call is not None:
            self.call.give_up()

    def result(self) -> Any:
        """Return the reply, waiting until the deadline; raises as `Cluster.write` or `read`."""
        self.end()
        if self.error is not None:
            raise self.error
        return self.reply

    def end(self) -> None:
        call = self.call
        if call is not None:
            if call.future is not None and not call.future.done():
                self.cluster.peers.node.flush()
            try:
                self.reply = self.cluster.finish(call)
            except RaftError as error:
                self.error = error
            self.call = None  # not before: Ctrl-C may have ended the wait


class Pipeline:
    """Made by `Cluster.pipeline`; for one thread.

    Commands are sent in the order of `write`, and run in it as long as the leader stays. Those
    that must be sent again, around a change of leaders, may be overtaken by later ones. What is
    written in one go leaves together, without waiting for more than the bridge's next round.
    """

    def __init__(self, cluster: "Cluster", outstanding_max: int, timeout: float | None) -> None:
        self.cluster = cluster
        self.outstanding_max = outstanding_max
        self.timeout = timeout
        self.under_way: deque[Pending] = deque()
        self.unsent = 0

    def write(self, command: Any) -> Pending:
        """Send a command; while `outstanding_max` are under way, waits for the oldest.

        Raises as `Cluster.write` does what is wrong before it is sent.
        """
        self.make_room()
        return self.add(self.cluster.begin(command, self.timeout, together=True))

    def read(self, query: Any) -> Pending:
        """Ask the machine; linearizable, and it sees what this pipeline wrote before it was sent.

        Waits as `write` does.
        """
        self.make_room()
        return self.add(self.cluster.begin_read(query, self.timeout, together=True))

    def make_room(self) -> None:
        while len(self.under_way) >= self.outstanding_max:
            self.under_way.popleft().end()

    def add(self, call: Call) -> Pending:
        pending = Pending(self.cluster, call)
        self.under_way.append(pending)
        self.unsent += 1
        if len(self.under_way) > 1 and self.unsent < SENT_TOGETHER:
            self.cluster.peers.node.flush_soon()
        else:
            self.unsent = 0
            self.cluster.peers.node.flush()
        return pending

    def drain(self) -> None:
        """Wait until none is under way. What became of each, its `Pending` says."""
        while self.under_way:
            self.under_way.popleft().end()

    def __enter__(self) -> "Pipeline":
        return self

    def __exit__(self, *_: object) -> None:
        self.drain()
