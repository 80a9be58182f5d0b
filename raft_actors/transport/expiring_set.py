"""ExpiringSet: a set of bounded size whose members expire.

It holds connections that have not authenticated yet.
"""

import socket
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from raft_actors.transport.reactor import Reactor

__all__ = ["ExpiringSet"]

T = TypeVar("T")

MAPPED = bytes(10) + b"\xff\xff"  # ::ffff:10.0.0.1 is an address of IPv4


class Network(Generic[T]):
    """The members from one network, oldest first: `silent` members have sent no valid message yet,
    `active` members have.
    """

    __slots__ = ("active", "silent")

    def __init__(self) -> None:
        self.silent: dict[T, None] = {}
        self.active: dict[T, None] = {}

    def __len__(self) -> int:
        return len(self.silent) + len(self.active)

    def first(self) -> T:
        """Return the member to drop first."""
        return next(iter(self.silent or self.active))


class ExpiringSet(Generic[T]):
    """Holds each member until it is removed, or until its time ends: then `drop(member, why)` is
    called.

    If there are more than `count_max` members, one of the network with the most members is dropped:
    the oldest that has sent no valid message, or else the oldest. So a flood from one network
    pushes out no member of another network, and a flood of silent connections pushes out none that
    sends valid messages.
    """

    def __init__(
        self,
        reactor: Reactor,
        drop: Callable[[T, str], None],
        *,
        count_max: int,
        timeout_s: float,
    ) -> None:
        self._reactor = reactor
        self._drop = drop
        self._count_max = count_max
        self._timeout_s = timeout_s
        self._due: dict[T, tuple[float, str]] = {}  # (end of its time, network), oldest first
        self._networks: dict[str, Network[T]] = {}
        self._timer_set = False

    def __len__(self) -> int:
        return len(self._due)

    def __iter__(self) -> Iterator[T]:
        return iter(tuple(self._due))

    def __contains__(self, member: T) -> bool:
        return member in self._due

    def add(self, member: T, address: str) -> None:
        """Add `member`, which comes from the IP address `address`."""
        if len(self._due) >= self._count_max:
            largest = max(self._networks.values(), key=len)
            self._end(largest.first(), "too many strangers at once")
        name = network_of(address)
        self._due[member] = self._reactor.now + self._timeout_s, name
        self._networks.setdefault(name, Network()).silent[member] = None
        self._set_timer()

    def mark_active(self, member: T) -> None:
        """Record that `member` has sent a valid message."""
        due = self._due.get(member)
        if due is not None:
            network = self._networks[due[1]]
            network.silent.pop(member, None)
            network.active[member] = None

    def remove(self, member: T) -> None:
        due = self._due.pop(member, None)
        if due is not None:
            network = self._networks[due[1]]
            network.silent.pop(member, None)
            network.active.pop(member, None)
            if not len(network):
                del self._networks[due[1]]

    def _set_timer(self) -> None:
        if self._due and not self._timer_set:
            self._timer_set = True
            due, _ = next(iter(self._due.values()))
            self._reactor.after(due - self._reactor.now, self._on_timer)

    def _on_timer(self) -> None:
        self._timer_set = False
        for member, (due, _name) in tuple(self._due.items()):
            if due > self._reactor.now:
                break
            self._end(member, f"no handshake within {self._timeout_s:g} s")
        self._set_timer()

    def _end(self, member: T, why: str) -> None:
        self.remove(member)
        self._drop(member, why)


def network_of(address: str) -> str:
    """Return the network of an address: an IPv4 address itself, or the first half of an IPv6
    address, because one host may use all addresses with the same first half.
    """
    try:
        number = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    except OSError:
        return address
    return address if number.startswith(MAPPED) else number[:8].hex()
