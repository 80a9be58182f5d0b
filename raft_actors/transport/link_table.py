"""LinkTable: the links of one node, by the names of the other nodes.

Names of nodes come and go while this node runs. So when too many links are idle, the link that has
been idle for longest is forgotten.
"""

import threading
from collections.abc import Callable
from functools import partial

from raft_actors.errors import NoConnection
from raft_actors.names import check_node_name, is_seed
from raft_actors.transport.limits import BridgeLimits
from raft_actors.transport.link import Link
from raft_actors.transport.reactor import Reactor
from raft_actors.wire.handshake import Identity

__all__ = ["LinkTable"]


class LinkTable:
    """Makes links, and forgets idle ones. Only this class changes the dict `links`."""

    def __init__(
        self,
        me: Identity,
        reactor: Reactor,
        limits: BridgeLimits,
        queue_bytes_max: int,
        retire: Callable[[Link], bool],
    ) -> None:
        """`retire` closes an idle link for good. It returns False if the link is in use again."""
        self._me = me
        self._reactor = reactor
        self._limits = limits
        self._queue_bytes_max = queue_bytes_max
        self._retire = retire
        self.links: dict[str, Link] = {}
        self.closed: bool = False
        self._lock = threading.RLock()
        """Held while `links` changes. A signal handler may interrupt `link_with`, and call it."""
        self._idle: dict[Link, None] = {}
        """Links without a connection and without a dial, in the order in which they became idle."""

    # From any thread.

    def link_with(self, node: str) -> Link:
        """Return the link with `node`; make it if there is none.

        Raises BadName, ValueError for this node itself, and NoConnection if this node is stopped.
        """
        link = self.links.get(node)
        if link is not None:
            return link
        if not (self._me.is_client and is_seed(node)):
            check_node_name(node)
        if node == self._me.name:
            raise ValueError(f"{node} is this node itself")
        with self._lock:
            if self.closed:
                raise NoConnection(f"node {self._me.name} is stopped", was_sent=False)
            made = Link(
                node,
                frame_bytes_max=self._me.frame_bytes_max,
                queue_bytes_max=self._queue_bytes_max,
                limits=self._limits,
            )
            if self.links.setdefault(node, made) is made:
                # The link may never be used, if its first frame is too large for example.
                self._reactor.post(partial(self.note_idle, made))
            return self.links[node]

    def close(self) -> None:
        """Make no more links. Every link that there is then is in `links`."""
        with self._lock:
            self.closed = True

    # The bridge thread only.

    def note_up(self, link: Link) -> None:
        self._idle.pop(link, None)

    def note_idle(self, link: Link) -> None:
        """Note that a link has nothing left to do. Beyond `idle_links_max` idle links, forget the
        one that has been idle for longest.
        """
        if link.connection is not None:
            return
        idle = self._idle
        idle.pop(link, None)
        idle[link] = None
        while len(idle) > self._limits.idle_links_max:
            oldest = next(iter(idle))
            del idle[oldest]
            with self._lock:  # `link_with` must not return the link while it is being retired
                del self.links[oldest.node]
                if not self._retire(oldest):
                    self.links[oldest.node] = oldest
