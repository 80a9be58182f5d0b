"""Pipeline: many writes under way at once from one thread, their replies in order."""

from collections import deque
from typing import TYPE_CHECKING, Any

from raft_actors.client.call import Call
from raft_actors.errors import RaftError

if TYPE_CHECKING:
    from raft_actors.cluster import Cluster

__all__ = ["Pending", "Pipeline"]


class Pending:
    """A write that is under way, or was."""

    __slots__ = ("call", "cluster", "error", "reply")

    def __init__(self, cluster: "Cluster", call: Call) -> None:
        self.cluster = cluster
        self.call: Call | None = call
        self.reply: Any = None
        self.error: RaftError | None = None

    def result(self) -> Any:
        """Return the reply, waiting until the write's deadline; raises as `Cluster.write`."""
        self.end()
        if self.error is not None:
            raise self.error
        return self.reply

    def end(self) -> None:
        if self.call is not None:
            call, self.call = self.call, None
            try:
                self.reply = self.cluster.finish(call)
            except RaftError as error:
                self.error = error


class Pipeline:
    """Made by `Cluster.pipeline`; for one thread.

    Commands are sent in the order of `write`, and run in it as long as the leader stays. Those
    that must be sent again, around a change of leaders, may be overtaken by later ones.
    """

    def __init__(self, cluster: "Cluster", outstanding_max: int, timeout: float | None) -> None:
        self.cluster = cluster
        self.outstanding_max = outstanding_max
        self.timeout = timeout
        self.under_way: deque[Pending] = deque()

    def write(self, command: Any) -> Pending:
        """Send a command; while `outstanding_max` are under way, waits for the oldest.

        Raises as `Cluster.write` does what is wrong before it is sent.
        """
        while len(self.under_way) >= self.outstanding_max:
            self.under_way.popleft().end()
        pending = Pending(self.cluster, self.cluster.begin(command, self.timeout))
        self.under_way.append(pending)
        return pending

    def drain(self) -> None:
        """Wait until none is under way. What became of each, its `Pending` says."""
        while self.under_way:
            self.under_way.popleft().end()

    def __enter__(self) -> "Pipeline":
        return self

    def __exit__(self, *_: object) -> None:
        self.drain()
