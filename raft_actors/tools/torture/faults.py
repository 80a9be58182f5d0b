"""Faults: what can go wrong with processes, wires and disks. Each is undone when its body ends.

A fault is a context manager that draws its victims and says what it did. Faults of different
groups may overlap.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from random import Random

from raft_actors.tools.torture.clients import Clients
from raft_actors.tools.torture.disks import SmallDisk
from raft_actors.tools.torture.members import Members
from raft_actors.tools.torture.nodes import TorturedNodes
from raft_actors.tools.torture.proxy import Proxy

__all__ = ["CLIENT", "FaultTargets", "available", "known_kinds"]

CLIENT = "torture"
"""The short name of the node that the clients are."""


@dataclass(slots=True)
class FaultTargets:
    """All that can be made worse, and the chance that says how.

    small_disks  of the nodes that live on a disk that can be made full
    """

    nodes: TorturedNodes
    proxy: Proxy
    clients: Clients
    small_disks: dict[str, SmallDisk]
    members: Members
    luck: Random

    @property
    def names(self) -> list[str]:
        return list(self.nodes.names)

    @property
    def leader(self) -> str:
        """Who led when somebody last had an answer."""
        return self.clients.leader[1].partition("@")[0]

    def some(self, count: int) -> list[str]:
        return self.luck.sample(self.names, count)

    def one(self) -> str:
        return self.luck.choice(self.names)

    def minority(self) -> list[str]:
        return self.some(self.luck.randint(1, (len(self.names) - 1) // 2))

    def others(self, *names: str) -> list[str]:
        return [name for name in self.names if name not in names]

    @contextmanager
    def worse(self, ways: list[tuple[str, str]], **conditions: float) -> Iterator[None]:
        """Have these conditions on the paths of `ways`, from and to."""
        with ExitStack() as stack:
            for way in ways:
                stack.enter_context(self.proxy.path(*way).worse(**conditions))
            self.proxy.wake()
            yield
        self.proxy.wake()

    def apart(self, ways: list[tuple[str, str]]) -> tuple[AbstractContextManager[None], str]:
        """Part these ways in one of two manners: silence, or connections that are reset."""
        if self.luck.random() < 0.5:
            return self.worse(ways, blocked=True), "silently"
        return self.worse(ways, refused=True), "with resets"


CHANGE_S = 3.0  # to change members while other faults last; then it is tried again later

Fault = Callable[[FaultTargets], AbstractContextManager[str]]


def between(some: list[str], others: list[str]) -> list[tuple[str, str]]:
    """All ways between two sides, both directions."""
    return [way for one in some for other in others for way in ((one, other), (other, one))]


def every_way(world: FaultTargets) -> list[tuple[str, str]]:
    """Every ordered pair of nodes."""
    return [way for way in between(world.names, world.names) if way[0] != way[1]]


# Processes.


def killed(world: FaultTargets, victims: list[str], who: str) -> Iterator[str]:
    world.nodes.kill(*victims)
    try:
        yield f"kill -9 of {who}"
    finally:
        for victim in victims:
            world.nodes.start(victim)


@contextmanager
def kill_one(world: FaultTargets) -> Iterator[str]:
    victim = world.one()
    yield from killed(world, [victim], victim)


@contextmanager
def kill_leader(world: FaultTargets) -> Iterator[str]:
    leader = world.leader
    yield from killed(world, [leader], f"{leader}, the leader")


@contextmanager
def kill_minority(world: FaultTargets) -> Iterator[str]:
    victims = world.minority()
    yield from killed(world, victims, f"{' and '.join(victims)}, a minority")


@contextmanager
def kill_all(world: FaultTargets) -> Iterator[str]:
    yield from killed(world, world.names, "all at once")


def paused(world: FaultTargets, victim: str, who: str) -> Iterator[str]:
    world.nodes.signal(victim, signal.SIGSTOP)
    try:
        yield f"SIGSTOP of {who}"
    finally:
        world.nodes.signal(victim, signal.SIGCONT)


@contextmanager
def pause_one(world: FaultTargets) -> Iterator[str]:
    victim = world.one()
    yield from paused(world, victim, victim)


@contextmanager
def pause_leader(world: FaultTargets) -> Iterator[str]:
    leader = world.leader
    yield from paused(world, leader, f"{leader}, the leader")


# Wires.


@contextmanager
def isolate_leader(world: FaultTargets) -> Iterator[str]:
    leader = world.leader
    parted, how = world.apart(between([leader], world.others(leader)))
    with parted:
        yield f"{leader}, the leader, is cut off {how}"


@contextmanager
def split(world: FaultTargets) -> Iterator[str]:
    some = world.minority()
    others = world.others(*some)
    parted, how = world.apart(between(some, others))
    with parted:
        yield f"{' '.join(some)} | {' '.join(others)} are parted {how}"


@contextmanager
def bridge(world: FaultTargets) -> Iterator[str]:
    """Two sides that only one node can reach both of."""
    middle, *rest = world.some(len(world.names))
    left, right = rest[: len(rest) // 2], rest[len(rest) // 2 :]
    parted, how = world.apart(between(left, right))
    with parted:
        yield f"{' '.join(left)} | {' '.join(right)} are parted {how}; {middle} sees all"


@contextmanager
def ring(world: FaultTargets) -> Iterator[str]:
    """Each node sees its two neighbours; of three nodes the ring is left open."""
    circle = world.some(len(world.names))
    size = len(circle)
    far = [
        (one, other)
        for place, one in enumerate(circle)
        for distance, other in enumerate(circle[place:] + circle[:place])
        if distance not in (0, 1, size - 1)
    ]
    parted, how = world.apart(far or between(circle[:1], circle[2:]))
    with parted:
        yield f"a ring {'-'.join(circle)}, parted {how}"


@contextmanager
def leader_is_deaf(world: FaultTargets) -> Iterator[str]:
    leader = world.leader
    with world.worse([(other, leader) for other in world.others(leader)], blocked=True):
        yield f"nothing reaches {leader}, the leader, which still speaks"


@contextmanager
def leader_is_mute(world: FaultTargets) -> Iterator[str]:
    leader = world.leader
    with world.worse([(leader, other) for other in world.others(leader)], blocked=True):
        yield f"{leader}, the leader, hears all and reaches nobody"


@contextmanager
def one_way(world: FaultTargets) -> Iterator[str]:
    one, other = world.some(2)
    with world.worse([(one, other)], blocked=True):
        yield f"nothing gets from {one} to {other}"


@contextmanager
def delay(world: FaultTargets) -> Iterator[str]:
    delay_s = world.luck.uniform(0.005, 0.25)
    with world.worse(every_way(world), delay_s=delay_s, jitter_s=delay_s):
        yield f"every way takes {delay_s * 1000:.0f} to {delay_s * 2000:.0f} ms"


@contextmanager
def delay_one(world: FaultTargets) -> Iterator[str]:
    victim, delay_s = world.one(), world.luck.uniform(0.02, 1.0)
    with world.worse(between([victim], world.others(victim)), delay_s=delay_s):
        yield f"{delay_s * 1000:.0f} ms to and from {victim}"


@contextmanager
def loss(world: FaultTargets) -> Iterator[str]:
    odds = world.luck.uniform(0.02, 0.3)
    with world.worse(every_way(world), loss=odds):
        yield f"{odds:.0%} of all that is sent is lost, and sent again 200 ms later"


@contextmanager
def resets(world: FaultTargets) -> Iterator[str]:
    odds = world.luck.uniform(0.005, 0.1)
    with world.worse(every_way(world), resets=odds):
        yield f"{odds:.1%} of all that is sent resets its connection"


@contextmanager
def narrow(world: FaultTargets) -> Iterator[str]:
    victim, rate = world.one(), world.luck.choice((1_000, 5_000, 20_000))
    with world.worse(between([victim], world.others(victim)), bytes_per_s=rate):
        yield f"{rate / 1000:.0f} kB/s to and from {victim}"


@contextmanager
def cut_clients(world: FaultTargets) -> Iterator[str]:
    victim = world.leader if world.luck.random() < 0.5 else world.one()
    parted, how = world.apart(between([CLIENT], [victim]))
    with parted:
        yield f"clients and {victim} are parted {how}"


# Disks.


def slowed(world: FaultTargets, victims: list[str], who: str) -> Iterator[str]:
    slow_s = world.luck.choice((0.02, 0.1, 0.4, 1.0))
    for victim in victims:
        world.nodes.order(victim, f"slow {slow_s}")
    try:
        yield f"saving takes {who} {slow_s * 1000:.0f} ms longer"
    finally:
        for victim in victims:
            world.nodes.order(victim, "slow 0")


@contextmanager
def slow_disk(world: FaultTargets) -> Iterator[str]:
    victim = world.leader if world.luck.random() < 0.5 else world.one()
    yield from slowed(world, [victim], victim)


@contextmanager
def slow_disks(world: FaultTargets) -> Iterator[str]:
    yield from slowed(world, world.names, "everyone")


@contextmanager
def full_disk(world: FaultTargets) -> Iterator[str]:
    """A peer gives up when its disk refuses; the node is started anew once there's room."""
    victim = world.luck.choice(sorted(world.small_disks))
    world.small_disks[victim].fill()
    try:
        yield f"the disk of {victim} is full"
    finally:
        world.small_disks[victim].free()
        world.nodes.kill(victim)
        world.nodes.start(victim)


@contextmanager
def file_limit(world: FaultTargets) -> Iterator[str]:
    victim, size = world.one(), world.luck.choice((0, 16 * 1024))
    world.nodes.limit_files(victim, size)
    try:
        yield f"no file of {victim} may grow beyond {size} bytes"
    finally:
        world.nodes.kill(victim)
        world.nodes.start(victim)


# Members.


def out_for_a_while(world: FaultTargets, take_out: Callable[[str], str]) -> Iterator[str]:
    """Have a member out of the group. One at a time: else a majority of the disks may be gone."""
    victim = world.one()
    if not world.members.take_back(CHANGE_S):
        yield f"{world.members.out} is still to come back"
        return
    what = take_out(victim)
    try:
        yield what
    finally:
        world.members.take_back(CHANGE_S)


@contextmanager
def remove_member(world: FaultTargets) -> Iterator[str]:
    """A member leaves, and comes back with the disk that it had."""

    def take_out(victim: str) -> str:
        removed = world.members.remove(victim, CHANGE_S)
        return f"{victim} is removed" if removed else f"{victim} is being removed"

    yield from out_for_a_while(world, take_out)


@contextmanager
def wipe_member(world: FaultTargets) -> Iterator[str]:
    """A member loses its disk, and comes back with an empty one: removed, and added again."""

    def take_out(victim: str) -> str:
        world.members.wipe(victim)
        return f"{victim} has lost its disk"

    yield from out_for_a_while(world, take_out)


GROUPS: dict[str, dict[str, Fault]] = {
    "processes": {
        fault.__name__: fault
        for fault in (kill_one, kill_leader, kill_minority, kill_all, pause_one, pause_leader)
    },
    "wires": {
        fault.__name__: fault
        for fault in (
            isolate_leader, split, bridge, ring, leader_is_deaf, leader_is_mute, one_way,
            delay, delay_one, loss, resets, narrow, cut_clients,
        )
    },
    "disks": {
        fault.__name__: fault for fault in (slow_disk, slow_disks, full_disk, file_limit)
    },
    "members": {fault.__name__: fault for fault in (remove_member, wipe_member)},
}  # fmt: skip


def available(world: FaultTargets) -> dict[str, dict[str, Fault]]:
    """The groups without what can't be had on this machine."""
    missing = set() if world.small_disks else {"full_disk"}
    return {
        group: {name: fault for name, fault in faults.items() if name not in missing}
        for group, faults in GROUPS.items()
    }


def known_kinds() -> set[str]:
    """The names of all faults."""
    return {name for faults in GROUPS.values() for name in faults}
