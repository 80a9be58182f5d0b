"""Kit: handles of the objects that `Batteries` has, for threads."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Self, TypeVar

from raft_actors.client.rpc import PeerRef
from raft_actors.cluster import Cluster
from raft_actors.errors import RaftError
from raft_actors.kit.coordination import Coordination
from raft_actors.kit.dict_handles import TRIES, Dict
from raft_actors.kit.keeper import ThreadKeeper
from raft_actors.kit.lease import Lease
from raft_actors.kit.lock import Lock, LockInfo, force_release, lock_info
from raft_actors.kit.queue import Queue
from raft_actors.kit.script import Script, run
from raft_actors.kit.transaction import Transaction, transacting
from raft_actors.node.tls import TlsOption
from raft_actors.wire.cookie import Cookie

__all__ = ["Kit"]

TTL_S = 10.0
T = TypeVar("T")
V = TypeVar("V")


class Kit(Coordination):
    """Locks and other objects in one group whose machine is `Batteries`. Threads may share it.

    >>> from raft_actors import Raft
    >>> from raft_actors.kit import Batteries, Kit
    >>> peers = Raft.test_cluster(Batteries)
    >>> with Kit(peers) as kit, kit.lock("printer") as token:
    ...     token > 0
    True

    A kit that has a lease has one thread, which keeps all leases of the kit alive with one command.
    The leases, and with them the locks, end when the kit is closed or its process ends.
    """

    def __init__(
        self, members: PeerRef | Iterable[PeerRef] | Cluster, *, timeout: float = 10.0
    ) -> None:
        """Make a kit.

        members  the members of the group, as for `Cluster`; or a `Cluster`, which `close` leaves
                 open
        timeout  of each request, in seconds. A wait for a lock has its own
        """
        self._owns_cluster = not isinstance(members, Cluster)
        self.cluster: Cluster = (
            members if isinstance(members, Cluster) else Cluster(members, timeout=timeout)
        )
        self._keeper = ThreadKeeper(self.cluster)
        self._core = self._keeper.core

    @classmethod
    def connect(
        cls, addresses: str | Iterable[str], peer: str | None = None, *,
        cookie: str | bytes | Cookie | None = None, tls: TlsOption | None = None,
        timeout: float = 10.0,
    ) -> Self:  # fmt: skip
        """Make a kit for a program that is no node: see `Cluster.connect`. `Kit.close` closes the
        connections.
        """
        kit = cls(Cluster.connect(addresses, peer, cookie=cookie, tls=tls, timeout=timeout))
        kit._owns_cluster = True
        return kit

    @classmethod
    def from_env(cls, *, timeout: float = 10.0) -> Self:
        """As `connect`, with the URL in RAFT_ACTORS_URL: see `Cluster.from_env`."""
        kit = cls(Cluster.from_env(timeout=timeout))
        kit._owns_cluster = True
        return kit

    def __repr__(self) -> str:
        return f"<Kit of {self.cluster!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the leases of this kit, and all that hangs on them. Where the group can't be reached
        they end by themselves.
        """
        with suppress(RaftError):
            self._run(self._core.close())
        self._keeper.close()
        if self._owns_cluster:
            self.cluster.close()

    def _run(self, script: Script[T]) -> T:
        return run(self.cluster, script)

    @contextmanager
    def lease(self, ttl: float = TTL_S) -> Iterator[Lease]:
        """Make a lease for the time of a `with` block, and keep it alive.

        ttl  when no keepalive was answered for so many seconds, the lease is lost: 0.1 to 86,400
        """
        lease = self._run(self._core.grant(ttl))
        try:
            yield lease
        finally:
            self._run(self._core.end(lease))

    def dict(self, name: str, *, value: type[V] | None = None) -> Dict[V]:  # noqa: ARG002
        """Return a `Dict`. `value` tells type checkers of which class the values are."""
        return Dict(self._run, name)

    def queue(
        self, name: str, *, maxsize: int = 0, visibility: float = 30.0, max_attempts: int = 5,
        ttl: float = TTL_S, value: type[V] | None = None,  # noqa: ARG002
    ) -> Queue[V]:  # fmt: skip
        """Return a `Queue`.

        maxsize       `put` waits while so many jobs are not taken; 0: it never waits
        visibility    for how many seconds a worker has a job before another one gets it
        max_attempts  of the jobs that this object puts: then a job is dead
        ttl           of the lease of a worker: a job of a dead worker is free so soon
        """
        return Queue(self._core, self._run, name, maxsize, visibility, max_attempts, ttl)

    def transaction(self, function: Callable[[Transaction], T], *, tries: int = TRIES) -> T:
        """Run `function(transaction)`, and do all that it has written in one entry of the log, if
        nothing that it has read was changed meanwhile; else it runs again. Returns its result.

        The function runs several times, so it must change nothing but the transaction.

        >>> from raft_actors import Raft
        >>> from raft_actors.kit import Batteries, Kit
        >>> kit = Kit(Raft.test_cluster(Batteries))
        >>> accounts = kit.dict("accounts", value=int)
        >>> accounts.update(ann=5, bob=1)
        >>> def pay(transaction):
        ...     for name, change in (("ann", -2), ("bob", 2)):
        ...         transaction.put(accounts, name, transaction.get(accounts, name) + change)
        >>> kit.transaction(pay)
        >>> dict(accounts)
        {'ann': 3, 'bob': 3}

        Raises Conflict after so many tries.
        """
        return self._run(transacting(function, tries))

    def lock(self, name: str, *, ttl: float = TTL_S) -> Lock:
        """Return a `Lock`. Two objects with the same name are two holders of one lock."""
        return Lock(self._core, self._run, name, ttl)

    def lock_info(self, name: str) -> LockInfo:
        """Return who holds a lock, and who waits for it."""
        return self._run(lock_info(name))

    def force_release(self, name: str, token: int) -> str:
        """Take a lock from the holder that has got `token`, and return who it was. The holder is
        not stopped by this: only what looks at the token refuses it. Its release raises LockLost.

        Raises LockLost if nobody holds the lock with this token.
        """
        return self._run(force_release(name, token))
