"""Rot: a bit of a stored entry is another than the one that was written.

A group keeps its promises while a majority of its members has disks without damage: nothing wrong
is applied, nothing that was acknowledged is lost, and it goes on (docs/decisions/checksums.md).
"""

from raft_actors.core.effects import NOTHING_OWED, Ballot
from raft_actors.core.entry import TERM_BYTES, first_damaged
from raft_actors.testing.simulation.disk_loss import has_the_state
from raft_actors.testing.simulation.world import World

__all__ = ["damaged", "may_rot", "rot"]


def damaged(world: World) -> set[str]:
    """Return the peers whose disks are damaged, or were damaged and lack some lost entries
    still.
    """
    return {
        name
        for name, disk in world.disks.items()
        if first_damaged(disk.store.log, disk.store.first)
        or Ballot(*disk.store.ballot).owed != NOTHING_OWED
    }


def may_rot(world: World, name: str) -> bool:
    return bool(
        not world.machine.state_is_on_disk  # ahead of a damaged log it is a person's to move
        and world.disks[name].store.log
        and world.checker.configuration.members
        and has_the_state(world, {*world.names} - damaged(world) - {name})
    )


def rot(world: World, name: str, first: float, second: float) -> None:
    """End the process, and flip a bit of an entry; of its term never, which the checker reads."""
    if name in world.peers:
        world.crash(name, 1.0)
    store = world.disks[name].store
    if not store.log:  # a compaction that was under way has removed the last entries
        return
    place = int(second * len(store.log))
    held = world.rotted.setdefault(name, {})
    held.update(
        (index, entry)
        for index, entry in enumerate(store.log, store.first)
        if not first_damaged([entry], index)  # an entry that has rotted before was sound then
    )
    entry = bytearray(store.log[place])
    bit = 8 * TERM_BYTES + int(first * 8 * (len(entry) - TERM_BYTES))
    entry[bit // 8] ^= 1 << bit % 8
    store.log[place] = bytes(entry)
    if world.tell:
        world.tell(f"{name}: entry {store.first + place} rots on its disk")
