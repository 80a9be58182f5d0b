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
    """Who comes from one network, each in order."""

    __slots__ = ("heard", "silent")

    def __init__(self) -> None:
        self.silent: dict[T, None] = {}
        self.heard: dict[T, None] = {}

    def __len__(self) -> int:
        return len(self.silent) + len(self.heard)

    def first(self) -> T:
        """Return the first to go."""
        return next(iter(self.silent or self.heard))


class ExpiringSet(Generic[T]):
    """Holds each member until it is removed or its time is up; then `drop(member, why)` is called.

    One more than `count_max` drops one that comes from where most come from: there the oldest that
    has said nothing of sense, else the oldest. So a flood from one place keeps nobody out who comes
    from another, nor one of silent connections who has something to say.
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
        self._due: dict[T, tuple[float, str]] = {}  # with its network; all have one time: in order
        self._networks: dict[str, Network[T]] = {}
        self._timer_set = False

    def __len__(self) -> int:
        return len(self._due)

    def __iter__(self) -> Iterator[T]:
        return iter(tuple(self._due))

    def __contains__(self, member: T) -> bool:
        return member in self._due

    def add(self, member: T, address: str) -> None:
        """Take `member` in, which comes from the IP address `address`."""
        if len(self._due) >= self._count_max:
            largest = max(self._networks.values(), key=len)
            self._end(largest.first(), "too many strangers at once")
        name = network_of(address)
        self._due[member] = self._reactor.now + self._timeout_s, name
        self._networks.setdefault(name, Network()).silent[member] = None
        self._set_timer()

    def heard(self, member: T) -> None:
        """Note that `member` has said something of sense."""
        due = self._due.get(member)
        if due is not None:
            network = self._networks[due[1]]
            network.silent.pop(member, None)
            network.heard[member] = None

    def remove(self, member: T) -> None:
        due = self._due.pop(member, None)
        if due is not None:
            network = self._networks[due[1]]
            network.silent.pop(member, None)
            network.heard.pop(member, None)
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
    """Return what counts as one place: an IPv4 address, or the half of an IPv6 address that names
    its network, for a host has all of the other half to itself.
    """
    try:
        number = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    except OSError:
        return address
    return address if number.startswith(MAPPED) else number[:8].hex()
