"""Members: nodes under torture that leave the group, lose their disks, and come back."""

import shutil
import time
from collections.abc import Callable
from typing import Any

from raft_actors import Raft
from raft_actors.names import Address
from raft_actors.tools.torture.nodes import TorturedNodes, TortureFailed

__all__ = ["Members"]

CALL_S = 2.0
PAUSE_S = 0.05


class Members:
    """Who belongs to the group. One node at a time is out of it, or comes back with an empty disk.

    out      the node that is to be taken back, if any
    wiped    whether its disk is empty, so that it must be removed before it is added
    answer   what the last change was answered
    leader   returns who leads, as far as somebody knows
    """

    def __init__(self, nodes: TorturedNodes, leader: Callable[[], Address]) -> None:
        self.nodes = nodes
        self.leader = leader
        self.out: str = ""
        self.wiped: bool = False
        self.answer: Any = None

    def found(self) -> None:
        """Make all nodes a group. Raises TortureFailed."""
        if not self.become(self.nodes.names, self.nodes.addresses[0], timeout=30.0):
            raise TortureFailed(f"set_configuration answered {self.answer!r}")

    def remove(self, name: str, limit_s: float) -> bool:
        """Take a node out of the group. False where nobody confirmed it: it may still happen."""
        self.out = name
        return self.has_become(self.others(name), limit_s)

    def wipe(self, name: str) -> None:
        """Take a node's disk away and give its process an empty one."""
        self.out, self.wiped = name, True
        self.nodes.kill(name)
        for path in self.nodes.data_dir(name).iterdir():
            shutil.rmtree(path)
        self.nodes.start(name)

    def take_back(self, limit_s: float) -> bool:
        """Have all nodes in the group again. False where that takes longer: ask once more."""
        if not self.out:
            return True
        deadline = time.monotonic() + limit_s
        if self.wiped:  # the group knows another disk under this name
            self.wiped = not self.has_become(self.others(self.out), limit_s)
        if not self.wiped and self.has_become(self.nodes.names, deadline - time.monotonic()):
            self.out = ""
        return not self.out

    def others(self, name: str) -> tuple[str, ...]:
        return tuple(other for other in self.nodes.names if other != name)

    def has_become(self, names: tuple[str, ...], limit_s: float) -> bool:
        deadline = time.monotonic() + limit_s
        leader = self.leader()
        while not self.become(names, leader, timeout=CALL_S):
            if time.monotonic() > deadline:
                return False
            time.sleep(PAUSE_S)
            leader = self.next_leader(leader)
        return True

    def next_leader(self, asked: Address) -> Address:
        """Return who leads by the words of whoever answers, or else another to ask."""
        addresses = self.nodes.addresses
        for address in addresses:
            found = Raft.leader(address)
            if found in addresses:
                return found
        return addresses[(addresses.index(asked) + 1) % len(addresses)]

    def become(self, names: tuple[str, ...], leader: Address, timeout: float) -> bool:
        """Ask for this configuration once."""
        witness = self.nodes.witness
        self.answer = Raft.set_configuration(
            leader,
            [self.nodes.address(name) for name in names if name != witness],
            witnesses=[self.nodes.address(name) for name in names if name == witness],
            timeout=timeout,
        )
        return bool(self.answer[0] == "ok")
