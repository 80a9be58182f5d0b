"""Cluster: a client's handle for one group. It finds the leader, and sends again what is safe."""

from collections.abc import Iterable
from typing import Any

from raft_actors.client.applied_wait import await_applied
from raft_actors.client.explaining import explain
from raft_actors.client.explanation import Explanation
from raft_actors.client.group_table import group_table
from raft_actors.client.leader_finder import router_here
from raft_actors.client.leader_watch import LeaderWatch, Observer
from raft_actors.client.light_client import LightClient, group_of, url_in_environment
from raft_actors.client.pipeline import Pipeline
from raft_actors.client.retrying_client import RetryingClient, seeds_of
from raft_actors.client.rpc import PeerRef
from raft_actors.client.session_limits import limit_sessions_of
from raft_actors.client.statuses import ask_all, statuses
from raft_actors.client.topic_watch import TopicWatch, topic_wait
from raft_actors.client.views import SessionLimits, Status
from raft_actors.core.configuration import named
from raft_actors.core.entry import RequestId
from raft_actors.core.messages import LINEARIZABLE
from raft_actors.errors import RaftError
from raft_actors.names import Address
from raft_actors.node.tls import TlsOption
from raft_actors.timeouts import optional_seconds, seconds
from raft_actors.wire.cookie import Cookie

__all__ = ["Cluster"]


class Cluster:
    """A client's handle for one group. Give it one or more members of the group.

    Every operation has one deadline, `timeout` seconds after its call. In this time it finds the
    leader, waits for elections, and sends again. A handle has a session, so a command that is sent
    again runs only once. Threads may share a handle; each call blocks its thread, and a call on a
    peer's own thread is an error. The node and the peers may stop and start while a handle exists.

    A member on another node is given by its address:
    `Cluster([("peer1", "a@host"), ("peer2", "b@host")])`. A failed operation raises a RaftError
    that says what to do next: see docs/client.md.

    >>> from raft_actors import Cluster, Raft
    >>> cluster = Cluster(Raft.test_cluster(), timeout=10.0)
    >>> cluster.write(("set", "key", 1))
    ('ok', 'key', 1)
    """

    def __init__(self, members: PeerRef | Iterable[PeerRef], *, timeout: float = 10.0) -> None:
        self._client = RetryingClient(router_here, seeds_of(members), seconds(timeout))

    @classmethod
    def connect(
        cls,
        addresses: str | Iterable[str],
        peer: str | None = None,
        *,
        cookie: str | bytes | Cookie | None = None,
        tls: TlsOption | None = None,
        timeout: float = 10.0,
    ) -> "Cluster":
        """Return a handle for a program that is no node: it has no name, and nothing listens.

        addresses  where members listen, `"10.0.0.1:4001,10.0.0.2:4001"`; or all at once, as a URL:
                   `"raft://kv@10.0.0.1:4001,10.0.0.2:4001"`. One that answers is enough: it names
                   the others
        peer       the name of the group's peers
        cookie     of a member, or of a client, which may do less; None: as for `Node.start`
        tls        as for `Node.start`

        The first call connects. A process that was forked makes a connection of its own with its
        next call, so a handle may be made before a web server forks its workers. `close` it when
        you need it no more.

        Raises ValueError for an address that is none; UnsafeCookie.

        >>> kv = Cluster.connect("10.0.0.1:4001,10.0.0.2:4001", "kv")  # nothing is sent yet
        >>> kv.close()
        """
        made = cls.__new__(cls)
        made._client = LightClient(group_of(addresses, peer), cookie, tls, seconds(timeout))
        return made

    @classmethod
    def from_env(cls, *, timeout: float = 10.0) -> "Cluster":
        """As `connect`, with the URL in the environment variable RAFT_ACTORS_URL. The cookie and
        TLS are taken from RAFT_ACTORS_COOKIE and RAFT_ACTORS_TLS..., or the user's files.

        Raises ValueError if the variable is not set, or is no such URL.

        >>> import os
        >>> os.environ["RAFT_ACTORS_URL"] = "raft://kv@10.0.0.1:4001,10.0.0.2:4001"
        >>> Cluster.from_env().members
        [('kv', '10.0.0.1:4001'), ('kv', '10.0.0.2:4001')]
        """
        return cls.connect(url_in_environment(), timeout=timeout)

    def __repr__(self) -> str:
        return f"<Cluster of {named(self.members)}>"

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        """Show the group's peers as a table: IPython asks for it. Members that do not answer within
        1 s are in it, with the reason.
        """
        try:
            text = group_table(*ask_all(self._client.finder))
        except RaftError:
            text = repr(self)
        printer.text(text)

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Refuse new calls, and ask the group to end the session of this handle.

        `close` does not wait: calls under way go on, and the last of them ends the session. If the
        outcome of a command is unknown, the session is not ended, because the outcome may still be
        asked for; it expires by itself.
        """
        self._client.close()

    # Commands and queries.

    def write(self, command: Any, timeout: float | None = None) -> Any:
        """Have `command` applied once, and return the state machine's reply.

        Raises NotApplied, or a subclass, if the command did not run and never will; OutcomeUnknown
        if it may have run or may still run; ReplyLost if it ran and the reply is lost; TypeError if
        it can't be encoded.

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
        """Ask the state machine. By default the read is linearizable: it sees every write that was
        acknowledged before.

        consistency      `"linearizable"`: the leader answers, after a round among the members;
                         `"lease"`: also linearizable, without this round if
                         `Config.lease_clock_drift_max` allows it; `"follower"`: also
                         linearizable, and any member answers; `"stale"`: any member answers from
                         its present state, which may be old
        max_staleness_s  for `"stale"`: the answer sees every write that was acknowledged more than
                         so many seconds ago
        after            for `"stale"`: the answer sees what the handle with this `token` has seen
        at               for `"follower"` and `"stale"`: ask only this peer

        Raises NotApplied, or a subclass, if there is no answer: to ask again is safe.

        >>> cluster.read(("get", "key"))
        ('ok', 'value')
        >>> cluster.read(("get", "key"), consistency="stale", after=cluster.token)
        ('ok', 'value')
        """
        client = self._client
        call = client.read_call(query, timeout, consistency, max_staleness_s, after, at)
        return client.finish(client.send(call))

    def cast(self, command: Any, timeout: float | None = None) -> None:
        """Send a command once, and do not wait for an answer. The command may be lost, and no error
        is reported then.

        Waits only if no leader is known yet.

        >>> cluster.cast(("set", "key", "other"))
        """
        self._client.detach(self._client.begin(command, timeout))

    def pipeline(self, *, outstanding_max: int = 1_000, timeout: float | None = None) -> Pipeline:
        """Return a pipeline: one thread can have `outstanding_max` operations under way at once.

        >>> with cluster.pipeline() as pipeline:
        ...     pending = [pipeline.write(("set", "key", number)) for number in range(100)]
        >>> pending[-1].result()
        ('ok', 'key', 99)
        """
        return Pipeline(self._client, outstanding_max, optional_seconds(timeout))

    def outcome(self, request_id: RequestId, timeout: float | None = None) -> Any:
        """Settle an unknown outcome: return the reply of the command, if the command ran.

        Raises NotApplied if it did not run; from now on it can't. Raises SessionExpired if the
        group does not know it any more, ReplyLost if the command ran and the reply is lost, and
        OutcomeUnknown if no member answers in time. Use it only if no call waits for the command
        any more. Raises ValueError if `request_id` is no request id.

        >>> from raft_actors.errors import OutcomeUnknown
        >>> try:
        ...     reply = cluster.write(("set", "key", 1))
        ... except OutcomeUnknown as error:
        ...     reply = cluster.outcome(error.request_id)
        """
        client = self._client
        return client.finish(client.send(client.settle_call(request_id, timeout)))

    # Waiting, and the state of the group.

    def barrier(self, timeout: float | None = None) -> int:
        """Wait until the leader has applied every write that was acknowledged before. Returns the
        index up to which the leader has applied.

        >>> index = cluster.barrier()
        """
        client = self._client
        index: int = client.finish(client.send(client.barrier_call(timeout)))
        return index

    def await_leader(self, timeout: float | None = None) -> Address:
        """Wait for a leader that is ready: the first entry of its term is committed. Returns its
        address.

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
        """Wait until the peer `at`, or every member, has applied the entry `index`. Raises
        Unavailable.

        >>> cluster.await_applied(cluster.barrier())
        """
        await_applied(self._client, index, at, timeout)

    @property
    def timeout(self) -> float:
        """The timeout of calls that have none of their own, in seconds."""
        return self._client.timeout

    @timeout.setter
    def timeout(self, timeout: float) -> None:
        self._client.timeout = seconds(timeout)

    @property
    def token(self) -> int:
        """The highest log index in an answer to this handle; see the argument `after` of `read`."""
        return self._client.token

    @property
    def members(self) -> list[Address]:
        """The members of the newest configuration that the handle knows; at first the given ones.
        A handle made by `connect` has their addresses in place of their nodes, until the first
        answer.
        """
        return list(self._client.finder.members)

    @property
    def leader(self) -> Address | None:
        """The leader that the handle knows, or None. Nobody is asked."""
        return self._client.finder.leader

    def watch_leader(self) -> LeaderWatch:
        """Return a stream of values: the leader, its term, and whether it is ready.

        Only the latest value counts: a slow reader misses values in between.

        >>> with cluster.watch_leader() as watch:
        ...     leadership = watch.get()
        """
        return LeaderWatch(Observer(self._client.finder, self._client.parking()))

    def watch_topics(
        self, *topics: str, prefixes: Iterable[str] = (), after: int | None = None
    ) -> TopicWatch:
        """Return a stream of `Changes`: which topics have commands published by the effect
        `Notify`, and up to which index. No change is missed; changes of one topic that come close
        to each other may come as one.

        prefixes  also all topics that begin with one of these; "" for all topics
        after     only what entries after this index have published: the `index` of the last
                  `Changes` that was read; else from now on

        If `topics` of a `Changes` is None, any of the watched topics may have changed: the member
        that serves the watch has forgotten what exactly.

        >>> from raft_actors import StateMachine
        >>> from raft_actors.effects import Notify
        >>> class Prices(StateMachine):
        ...     def init(self, name):
        ...         return {}
        ...     def handle_write(self, command, state):
        ...         name, price = command
        ...         return "ok", {**state, name: price}, [Notify(name)]
        ...     def handle_read(self, query, state):
        ...         return state.get(query)
        >>> ok, peer = Raft.start_peer(Prices, name="prices", members=["prices"])
        >>> prices = Cluster("prices")
        >>> with prices.watch_topics("apple", after=prices.barrier()) as watch:
        ...     reply = prices.write(("apple", 3))
        ...     changes = watch.get(timeout=10.0)
        >>> changes.topics
        ('apple',)
        """
        client = self._client
        return TopicWatch(topic_wait(client.finder, client.parking(), topics, prefixes, after))

    def status(self) -> dict[Address, Status | None]:
        """Return the status of each member; None for a member that does not answer.

        >>> sorted(name for name, node in cluster.status())
        ['peer1', 'peer2', 'peer3']
        """
        return statuses(self._client.finder)

    def explain(self) -> Explanation:
        """Explain what is wrong with the group: why there is no leader, why writes are slow, why a
        member lags. Members that do not answer within 1 s are a part of the answer.

        >>> cluster.explain().findings[0].code
        'well'
        """
        return explain(self._client.finder)

    def limit_sessions(
        self, *, sessions_max: int | None = None, session_s: float | None = None
    ) -> SessionLimits:
        """As `Raft.limit_sessions`, and return the limits from now on. Raises NotApplied;
        NotAllowed without the cookie of a member.

        >>> cluster.limit_sessions(session_s=600)
        {'sessions_max': 100000, 'session_s': 600.0}
        """
        return limit_sessions_of(self._client, sessions_max, session_s)
