"""Cluster: a client's handle on one group. It finds the leader, tries again, and never guesses."""

from collections.abc import Iterable
from typing import Any

from raft_actors.client.leader_watch import LeaderWatch
from raft_actors.client.pipeline import Pipeline
from raft_actors.client.retrying_client import RetryingClient, seeds_of
from raft_actors.client.rpc import PeerRef
from raft_actors.client.statuses import await_applied, statuses
from raft_actors.client.views import Status
from raft_actors.core.configuration import named
from raft_actors.core.entry import RequestId
from raft_actors.core.messages import LINEARIZABLE
from raft_actors.names import Address
from raft_actors.peer.peers import peers_here
from raft_actors.timeouts import optional_seconds, seconds

__all__ = ["Cluster"]


class Cluster:
    """A group of peers, named by any of its members, or by several.

    Every operation has one deadline, `timeout` seconds, for all that it takes: finding the leader,
    waiting for elections, sending again. A handle is a session: a command that is sent again runs
    once. It is safe to share between threads; each call blocks the thread that makes it, and no
    peer's own thread may make one. Node and peers may start and stop under it.

    Members elsewhere are named by address: `Cluster([("peer1", "a@host"), ("peer2", "b@host")])`.
    Raises a RaftError that says what to do next: see docs/client.md.

    >>> from raft_actors import Cluster, Raft
    >>> cluster = Cluster(Raft.test_cluster(), timeout=10.0)
    >>> cluster.write(("set", "key", 1))
    ('ok', 'key', 1)
    """

    def __init__(self, members: PeerRef | Iterable[PeerRef], *, timeout: float = 10.0) -> None:
        self._client = RetryingClient(peers_here().router, seeds_of(members), seconds(timeout))

    def __repr__(self) -> str:
        return f"<Cluster of {named(self.members)}>"

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take no more calls, and have the group forget the session of this handle.

        Waits for nothing: calls under way end by themselves, and the last of them ends the session.
        One that has a command in doubt expires by itself, for its outcome may still be asked for.
        """
        self._client.close()

    # What it is for.

    def write(self, command: Any, timeout: float | None = None) -> Any:
        """Have `command` applied once, and return the machine's reply.

        Raises NotApplied, or one of its kind, if it did not happen and never will; OutcomeUnknown;
        ReplyLost; TypeError for a command that can't be encoded.

        >>> cluster.write(("set", "key", "value"))
        ('ok', 'key', 'value')
        """
        client = self._client
        return client.finish(client.begin(command, timeout))

    def read(
        self,
        query: Any,
        timeout: float | None = None,
        *,
        consistency: str = LINEARIZABLE,
        max_staleness_s: float | None = None,
        after: int = 0,
        at: PeerRef | None = None,
    ) -> Any:
        """Ask the machine; linearizable: it sees every write that was answered before.

        consistency      `"linearizable"`; `"lease"`, as good, without a round among the members
                         if `Config.lease_clock_drift_max` allows it; `"follower"`, as good, and
                         any member answers; `"stale"`: any member, from the state that it has
        max_staleness_s  of `"stale"`: what was answered so long before is in it
        after            of `"stale"`: what the handle with this `token` has seen is in it
        at               of `"follower"` and `"stale"`: ask this peer and no other

        Raises NotApplied, or one of its kind: there is no answer, and asking again is safe.

        >>> cluster.read(("get", "key"))
        ('ok', 'value')
        >>> cluster.read(("get", "key"), consistency="stale", after=cluster.token)
        ('ok', 'value')
        """
        client = self._client
        call = client.read_call(query, timeout, consistency, max_staleness_s, after, at)
        return client.finish(client.send(call))

    def cast(self, command: Any, timeout: float | None = None) -> None:
        """Send a command once, and wait for no answer: it may be lost, and nobody hears of it.

        Waits only where no leader is known yet.

        >>> cluster.cast(("set", "key", "other"))
        """
        self._client.detach(self._client.begin(command, timeout))

    def pipeline(self, *, outstanding_max: int = 1_000, timeout: float | None = None) -> Pipeline:
        """Return a pipeline, to have so many operations under way at once from one thread.

        >>> with cluster.pipeline() as pipeline:
        ...     pending = [pipeline.write(("set", "key", number)) for number in range(100)]
        >>> pending[-1].result()
        ('ok', 'key', 99)
        """
        return Pipeline(self._client, outstanding_max, optional_seconds(timeout))

    def outcome(self, request_id: RequestId, timeout: float | None = None) -> Any:
        """Settle an unknown outcome: return the reply of the command, if it happened.

        Raises NotApplied if it did not; from now on it can't. SessionExpired if nobody knows any
        more, ReplyLost if it happened and the reply is gone, OutcomeUnknown if nobody answers.
        Only for commands that nobody is still waiting for. Raises ValueError for what is no id.

        >>> from raft_actors.errors import OutcomeUnknown
        >>> try:
        ...     reply = cluster.write(("set", "key", 1))
        ... except OutcomeUnknown as error:
        ...     reply = cluster.outcome(error.request_id)
        """
        client = self._client
        return client.finish(client.send(client.settle_call(request_id, timeout)))

    # Waiting and looking.

    def barrier(self, timeout: float | None = None) -> int:
        """Wait until all that was answered before is applied at the leader; return its index.

        >>> index = cluster.barrier()
        """
        client = self._client
        index: int = client.finish(client.send(client.barrier_call(timeout)))
        return index

    def await_leader(self, timeout: float | None = None) -> Address:
        """Wait for a leader that is ready: the first entry of its term has committed.

        Raises NoLeader or Unavailable.

        >>> cluster.await_leader() in cluster.members
        True
        """
        client = self._client
        call = client.barrier_call(timeout)
        client.finish(client.send(call))
        return call.answered_by()

    def await_applied(
        self, index: int, *, at: PeerRef | None = None, timeout: float | None = None
    ) -> None:
        """Wait until `index` is applied at one peer, or at every member. Raises Unavailable.

        >>> cluster.await_applied(cluster.barrier())
        """
        await_applied(self._client, index, at, timeout)

    @property
    def timeout(self) -> float:
        """Seconds for each call that is given none of its own."""
        return self._client.timeout

    @timeout.setter
    def timeout(self, timeout: float) -> None:
        self._client.timeout = seconds(timeout)

    @property
    def token(self) -> int:
        """The highest log index that an answer to this handle has shown; see `read`."""
        return self._client.token

    @property
    def members(self) -> list[Address]:
        """The members of the newest configuration heard of; before that, those given."""
        return list(self._client.finder.members)

    @property
    def leader(self) -> Address | None:
        """Who leads, as far as the handle knows. It does not ask."""
        return self._client.finder.leader

    def watch_leader(self) -> LeaderWatch:
        """Return a stream of who leads, in which term, and whether that one is ready.

        Only the latest counts: a slow reader misses what has passed meanwhile.

        >>> with cluster.watch_leader() as watch:
        ...     leadership = watch.get()
        """
        return LeaderWatch(self._client.finder)

    def status(self) -> dict[Address, Status | None]:
        """What each member says of itself; None where it does not answer.

        >>> sorted(name for name, node in cluster.status())
        ['peer1', 'peer2', 'peer3']
        """
        return statuses(self._client.finder)
