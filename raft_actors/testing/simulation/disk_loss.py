"""Disk loss: which disks of a world may be destroyed, and what is on the remaining disks.

A group is safe while a majority has its disks, and one of this majority has the state.
"""

from collections.abc import Iterator
from math import inf

from raft_actors.core.configuration import Configuration
from raft_actors.core.entry import CONFIG, first_damaged, kind_of, payload_of
from raft_actors.core.leader import Leader
from raft_actors.core.messages import AppendEntries
from raft_actors.testing.simulation.peer import SimulatedPeer
from raft_actors.testing.simulation.world import World

__all__ = ["can_be_led", "has_the_state", "may_change", "may_wipe"]

FORGETTING_TIMEOUTS = 3
"""After so many times the longest election timeout, a group has noticed that a disk was lost."""


def may_wipe(world: World, name: str) -> bool:
    """Return whether this disk may be destroyed: in each configuration that is in force, or may
    come into force, a majority must keep the disks that the group knows, and one of them the state.

    Not while a change of members is asked for: no leader can know that a new member lost its disk
    after its last message. And not if the members with empty directories would be a majority: they
    form a new group if they are asked to, and the absent members can't prevent it
    (decisions/founding_a_group.md).
    """
    return (
        bool(world.checker.configuration.members)
        and not any(is_asked_for_a_change(leader) for leader in world.leaders())
        and has_the_state(world, {*world.names} - {name})
        and not may_found_anew(world, {name, *(n for n in world.names if is_empty(world, n))})
    )


def may_change(world: World) -> bool:
    """Return whether members may change. They may not until the group has noticed the last loss of
    a disk.
    """
    forgetting_s = FORGETTING_TIMEOUTS * world.config.max_election_timeout
    return world.now >= world.wiped_at + forgetting_s


def is_asked_for_a_change(leader: SimulatedPeer) -> bool:
    role = leader.core.role
    assert isinstance(role, Leader)
    return role.change is not None or bool(role.postponed)


def may_found_anew(world: World, names: set[str]) -> bool:
    peers = [world.address(name) for name in names]
    return any(configuration.has_quorum(peers) for configuration in configurations(world)
               if configuration.members)  # fmt: skip


def is_empty(world: World, name: str) -> bool:
    store = world.disks[name].store
    return store.first == 1 and not store.log


def can_be_led(world: World) -> bool:
    """Return whether a running peer has a configuration, and may become a candidate with it.

    When an entry is committed, a majority can. Before that, the only peer with a configuration may
    be one whose disk the founder did not know, and such a disk does not count
    (decisions/founding_a_group.md).
    """
    return bool(world.checker.committed) or any(
        peer.core.configuration.members and peer.core.is_electable()
        for peer in world.peers.values()
    )


def has_the_state(world: World, living: set[str]) -> bool:
    """Return whether the peers of `living` are a majority with the disks that the group knows, and
    one of them has the committed state or can get it from the others. A witness has only its log.
    """
    if not all(
        configuration.has_quorum([
            member for member, incarnation in configuration.incarnations
            if member[0] in living and world.disks[member[0]].incarnation == incarnation
        ])
        for configuration in configurations(world) if configuration.members
    ):  # fmt: skip
        return False
    held = {name: held_by(world, name) for name in living}
    end = len(world.checker.committed)
    members = members_in(world, living)
    able = [name for name in members if held[name] == end]
    if any(name not in world.witnesses for name in able):
        return True
    first = max((may_begin_at(world, name) for name in able), default=inf)  # each may become leader
    return any(first <= held[name] + 1 for name in members - world.witnesses)


def configurations(world: World) -> Iterator[Configuration]:
    """Yield the newest committed configuration and all later ones: on disks, in the memory of
    peers, and in messages under way.
    """
    committed = world.checker.configuration
    yield committed
    under_way = [*world.wire, *(message for _when, message in world.late)]
    places = [(disk.store.first, disk.store.log) for disk in world.disks.values()]
    places += [(each.prev_index + 1, each.entries) for each in under_way
               if type(each) is AppendEntries]  # fmt: skip
    for peer in world.peers.values():
        log, due = peer.core.log, peer.due
        first, last = max(log.base, committed.index) + 1, log.last_index
        if due is not None and due.entries:  # not saved yet, and maybe replaced in memory
            places.append((due.first, due.entries))
            last = due.first - 1
        if first <= last:
            places.append((first, log.between(first, last)))
    for first, entries in places:
        for index, entry in enumerate(entries, first):
            if (
                index > committed.index
                and kind_of(entry) == CONFIG
                and not (first_damaged([entry], index))
            ):
                yield Configuration.decode(payload_of(entry), index)


def members_in(world: World, names: set[str]) -> set[str]:
    """Return the peers that are members of the newest committed configuration with their disks."""
    known = world.checker.configuration
    return {
        name for name in names
        if not known.members or known.counts(world.address(name), world.disks[name].incarnation)
    }  # fmt: skip


def may_begin_at(world: World, name: str) -> int:
    """Return the index at which the log of a witness begins, or will begin after a compaction."""
    trailing = min(config.snapshot_trailing for config in world.configs)
    first = max(world.disks[name].store.first, len(world.checker.committed) - trailing + 1)
    return max(first, world.peers[name].core.log.base + 1) if name in world.peers else first


def held_by(world: World, name: str) -> int:
    """Return the index up to which a disk has the committed entries."""
    store, committed = world.disks[name].store, world.checker.committed
    index = store.first - 1
    for entry in store.log:
        if index >= len(committed) or entry != committed[index]:
            break
        index += 1
    return index
