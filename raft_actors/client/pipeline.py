"""Pipeline: one thread has many operations under way at once, with their replies in order."""

from collections import deque
from typing import Any, Generic, NoReturn, TypeVar

from raft_actors.client.call import Call
from raft_actors.client.retrying_client import RetryingClient
from raft_actors.client.session import SPAN
from raft_actors.errors import RaftError

__all__ = ["Operation", "OperationsUnderWay", "Pending", "Pipeline"]

SENT_TOGETHER = 64
"""When so many operations are not sent yet, they are sent without waiting for more."""
OUTSTANDING_MAX = SPAN * 2 // 3

ClientT = TypeVar("ClientT")
OperationT = TypeVar("OperationT", bound="Operation[Any]")


class Operation(Generic[ClientT]):
    """A write or a read of a pipeline: under way, or ended with a reply or an error.

    The client waits for it: a RetryingClient on a thread, an AsyncRetryingClient on a loop.
    """

    __slots__ = ("_call", "_client", "_error", "_reply")

    def __init__(self, client: ClientT, call: Call) -> None:
        self._client = client
        self._call: Call | None = call
        self._reply: Any = None
        self._error: RaftError | None = None

    def __del__(self) -> None:
        """Give the call up: its reply can't be read any more."""
        call = getattr(self, "_call", None)  # a Ctrl-C in `__init__` leaves no `_call`
        if call is not None:
            call.give_up()

    def _raise(self) -> NoReturn:
        assert self._error is not None
        raise self._error.with_traceback(None)  # each `raise` adds lines to a kept traceback


class OperationsUnderWay(Generic[ClientT, OperationT]):
    """What both kinds of pipelines have in common: a queue of operations with a bounded length."""

    def __init__(self, client: ClientT, outstanding_max: int, timeout: float | None) -> None:
        if type(outstanding_max) is not int or not 0 < outstanding_max <= OUTSTANDING_MAX:
            raise ValueError(
                f"outstanding_max must be from 1 to {OUTSTANDING_MAX}, not {outstanding_max!r}"
            )
        self._client = client
        self._outstanding_max = outstanding_max
        self._timeout = timeout
        self._under_way: deque[OperationT] = deque()


class Pending(Operation[RetryingClient]):
    """A write or a read of a pipeline: under way or ended."""

    __slots__ = ()

    def result(self) -> Any:
        """Return the reply, waiting until the deadline; raises as `Cluster.write` or `read`."""
        if self._call is not None:
            self._end()
        if self._error is not None:
            self._raise()
        return self._reply

    def _end(self) -> None:
        call = self._call
        if call is not None:
            if call.future is not None and not call.future.done():
                node = self._client.finder.router.node
                node.check_process()
                node.flush()
            try:
                self._reply = self._client.finish(call)
            except RaftError as error:
                self._error = error
            self._call = None  # only now: after a Ctrl-C in `finish`, `result` may be called again


class Pipeline(OperationsUnderWay[RetryingClient, Pending]):
    """A pipeline for one thread, made by `Cluster.pipeline`.

    Commands are sent in the order of `write`, and run in this order while the leader stays the
    same. When the leader changes, later commands may run before those that must be sent again.
    Commands that are written one after the other are sent together, at the latest in the bridge's
    next round.
    """

    def __init__(self, client: RetryingClient, outstanding_max: int, timeout: float | None) -> None:
        super().__init__(client, outstanding_max, timeout)
        self._unsent = 0

    def write(self, command: Any) -> Pending:
        """Send a command. While `outstanding_max` operations are under way, wait for the oldest.

        Raises the errors of `Cluster.write` that are found before the command is sent.
        """
        if len(self._under_way) >= self._outstanding_max:
            self._end_oldest()
        return self._add(self._client.begin(command, self._timeout, together=True))

    def read(self, query: Any) -> Pending:
        """Ask the state machine. The read is linearizable: it sees every write that was
        acknowledged before. A command of this pipeline that is still under way may be missing in
        it.

        Waits as `write` does.
        """
        if len(self._under_way) >= self._outstanding_max:
            self._end_oldest()
        return self._add(self._client.begin_read(query, self._timeout, together=True))

    def _end_oldest(self) -> None:
        """While too many operations are under way, wait for the oldest one."""
        while len(self._under_way) >= self._outstanding_max:
            oldest = self._under_way.popleft()
            if oldest._call is not None:  # `result` has not ended it
                oldest._end()

    def _add(self, call: Call) -> Pending:
        pending = Pending(self._client, call)
        self._under_way.append(pending)
        self._unsent += 1
        if len(self._under_way) > 1 and self._unsent < SENT_TOGETHER:
            self._client.finder.router.node.flush_soon()
        else:
            self._unsent = 0
            self._client.finder.router.node.flush()
        return pending

    def drain(self) -> None:
        """Wait until no operation is under way. Each `Pending` has its reply or its error then."""
        while self._under_way:
            self._under_way.popleft()._end()

    def __enter__(self) -> "Pipeline":
        return self

    def __exit__(self, *_: object) -> None:
        self.drain()
