"""Damage: which entries of a store are not what their leaders wrote, found as a peer starts.

What a peer does about them follows "Protocol-Aware Recovery for Consensus-Based Storage" (Alagappan
and others, FAST '18): an entry that was acknowledged and has rotted must not be forgotten, for it
may be committed by that word, and is not to be cut off like the torn end of a log.

An entry that a snapshot stands for is needed by nobody: the log then begins behind the snapshot.
Any other ends the part of the log that the peer may claim, and the peer owes what lay behind. See
`Ballot.owed` for what that means until its leader has sent it again.
"""

from dataclasses import dataclass

from raft_actors.core.entry import CONFIG, first_damaged, kind_of, term_of
from raft_actors.core.log import READ_AT_ONCE
from raft_actors.errors import StoreCorrupt
from raft_actors.stores import LogStore, Saved

__all__ = ["Damage", "find_damage"]


@dataclass(slots=True)
class Damage:
    """What is damaged in a log.

    covered        the newest damaged entry that a snapshot stands for; 0 for none
    first          the oldest of the others; 0 for none
    configuration  the newest sound configuration before `first`, and after the snapshot; 0 for none
    last_term      of the last entry; None where that is damaged
    """

    covered: int = 0
    first: int = 0
    configuration: int = 0
    last_term: int | None = None


def find_damage(store: LogStore, saved: Saved, snapshot_index: int) -> Damage:
    """Read all of a log. It is short: snapshots see to that, and what follows the newest of them is
    read and applied anyhow.
    """
    found = Damage(last_term=saved.base_term)
    for start in range(saved.first, saved.last + 1, READ_AT_ONCE):
        end = min(start + READ_AT_ONCE - 1, saved.last)
        for index, entry in enumerate(sound(store, start, end), start):
            found.last_term = None if entry is None else term_of(entry)
            if index <= snapshot_index:
                found.covered = index if entry is None else found.covered
            elif entry is None:
                found.first = found.first or index
            elif kind_of(entry) == CONFIG and not found.first:
                found.configuration = index
    return found


def sound(store: LogStore, first: int, last: int) -> list[bytes | None]:
    """Return the entries, and None for each that the store can't read, or gives otherwise than its
    leader wrote it.
    """
    try:
        entries = store.entries(first, last)
    except StoreCorrupt:
        if first == last:
            return [None]
        return [each for index in range(first, last + 1) for each in sound(store, index, index)]
    if not first_damaged(entries, first):
        return [*entries]
    return [
        None if first_damaged([entry], index) else entry
        for index, entry in enumerate(entries, first)
    ]
