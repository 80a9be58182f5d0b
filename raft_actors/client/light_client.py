"""LightClient: the client of a handle that was made without a node.

It has a node of its own, which only dials: the members do not count it as a node. The node is
started by the first call, and is not the node of the process. A forked child starts another one.
"""

import atexit
import os
import re
import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple
from weakref import WeakSet

from raft_actors.client.call import Call
from raft_actors.client.retrying_client import RetryingClient
from raft_actors.core.replies import NO_PEER
from raft_actors.errors import RaftError
from raft_actors.names import check_peer_name
from raft_actors.node.client_access import ClientAccess, client_name
from raft_actors.node.discovery import parse_address
from raft_actors.node.local_node import LocalNode
from raft_actors.node.tls import TlsOption
from raft_actors.peer.router import Router
from raft_actors.wire.cookie import Cookie

__all__ = ["Group", "LightClient", "group_of", "url_in_environment"]

URL = re.compile(r"raft://(?P<peer>[^@/]+)@(?P<addresses>[^@/]+)/?")
VARIABLE = "RAFT_ACTORS_URL"


class Group(NamedTuple):
    """The group that a handle is for: the name of its peers, and where members listen."""

    peer: str
    addresses: tuple[str, ...]


class LightClient(RetryingClient):
    """A client with a node of its own, which begins with the addresses of members.

    node  None before the first call, and after a fork
    """

    def __init__(
        self,
        group: Group,
        cookie: str | bytes | Cookie | None,
        tls: TlsOption | None,
        timeout: float,
    ) -> None:
        self.group = group
        self.cookie: Cookie | None = (
            cookie if cookie is None or isinstance(cookie, Cookie) else Cookie(cookie)
        )
        self.tls = tls
        self.begin_anew(timeout)
        made.add(self)

    def begin_anew(self, timeout: float) -> None:
        """Forget connection and session."""
        self.node: LocalNode | None = None
        self.node_lock: threading.RLock = threading.RLock()
        self.ending: Call | None = None
        self.ending_lock: threading.Lock = threading.Lock()
        seeds = tuple((self.group.peer, seed) for seed in self.group.addresses)
        super().__init__(self.start_node, seeds, timeout, begins_at_once=False)

    def start_node(self) -> Router:
        """Start the node of this client. Raises what `ClientAccess.open` raises."""
        with self.node_lock:
            finder = self.finder
            access = ClientAccess(
                self.group.addresses, cookie=self.cookie, tls=self.tls, on_learned=finder.rename
            )
            node = LocalNode(client_name(), access=access)
            router = Router(
                node, {}, {}, referral=lambda _name: (NO_PEER, []), stop=lambda _name: NO_PEER
            )
            self.node = node.start()
            return router

    def close(self) -> None:
        """Refuse new calls, end the session and the connections. Calls that wait for an answer end
        their session and the connections themselves.
        """
        super().close()
        session = self.session
        if session is None or not session.under_way:
            self.finish_ending()
        # Else the last of the calls ends the session: see `on_ending`.

    def close_soon(self) -> None:
        self.closed = True
        threading.Thread(target=self.close, name="raft_actors-close", daemon=True).start()

    def on_ending(self, ending: Call) -> None:
        self.ending = ending
        if ending.future is not None:
            ending.future.add_done_callback(lambda _answer: self.finish_ending_soon())

    def finish_ending_soon(self) -> None:
        """Do it on a thread of its own: the bridge thread can't wait for itself."""
        with suppress(RuntimeError):  # the system has no thread left: the process ends the rest
            threading.Thread(
                target=self.finish_ending, name="raft_actors-close", daemon=True
            ).start()

    def finish_ending(self) -> None:
        """End the session, at a new leader if there is one, and stop the node."""
        with self.ending_lock:
            ending, self.ending = self.ending, None
            if ending is not None:
                with suppress(RaftError):
                    self.finish(ending)
        node = self.node
        if node is not None:
            node.stop()


def group_of(addresses: str | Iterable[str], peer: str | None) -> Group:
    """Return the group of a URL, or of addresses and the name of a peer. Raises ValueError,
    BadName.
    """
    if isinstance(addresses, str) and "://" in addresses:
        found = URL.fullmatch(addresses)
        if found is None:
            raise ValueError(
                f"{addresses!r} is no URL of a group: write raft://PEER@HOST:PORT,HOST:PORT"
            )
        if peer not in (None, found["peer"]):
            raise ValueError(f"{addresses!r} names the peer {found['peer']}, and not {peer!r}")
        addresses, peer = found["addresses"], found["peer"]
    if peer is None:
        raise ValueError("name the peer: Cluster.connect('10.0.0.1:4001', 'kv')")
    several = addresses.split(",") if isinstance(addresses, str) else list(addresses)
    places = tuple(dict.fromkeys(place.strip() for place in several if place.strip()))
    if not places:
        raise ValueError("a group needs the address of at least one member: '10.0.0.1:4001'")
    for place in places:
        if parse_address(place)[1] == 0:
            raise ValueError(f"{place!r} has no port: write host:port, as `Node.start` has it")
    return Group(check_peer_name(peer), places)


def url_in_environment() -> str:
    """Return the URL in RAFT_ACTORS_URL. Raises ValueError if there is none."""
    url = os.environ.get(VARIABLE, "").strip()
    if "://" not in url:
        raise ValueError(f"set {VARIABLE} to raft://PEER@HOST:PORT,HOST:PORT, not {url!r}")
    return url


made: WeakSet[LightClient] = WeakSet()


def begin_anew_in_child() -> None:
    """The connections, threads and sessions belong to the parent."""
    for client in tuple(made):
        closed, token = client.closed, client.token
        client.begin_anew(client.timeout)
        client.closed, client.token = closed, token


@atexit.register
def close_all() -> None:
    """End the sessions that this process has left open."""
    for client in tuple(made):
        if client.node is not None and not client.closed:
            client.close()


os.register_at_fork(after_in_child=begin_anew_in_child)
