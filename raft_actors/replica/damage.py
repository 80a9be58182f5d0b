"""Damage: the search, at the start of a peer, for entries in its store that are not what their
leaders wrote.

The peer handles them as in "Protocol-Aware Recovery for Consensus-Based Storage" (Alagappan and
others, FAST '18). A damaged entry was acknowledged, and may be committed because of that. So it
must not be forgotten, and must not be cut off like the torn end of a log.

A damaged entry that a snapshot has replaced is not needed: the log then begins after the snapshot.
Any other damaged entry ends the part of the log that the peer may claim to have. `Ballot.owed` then
names the end of the log before the damage; see there what the peer must not do until its leader has
sent it the entries again.
"""

from dataclasses import dataclass

from raft_actors.core.entry import CONFIG, first_damaged, kind_of, term_of
from raft_actors.core.log import READ_AT_ONCE
from raft_actors.errors import StoreCorrupt
from raft_actors.stores import LogStore, Saved

__all__ = ["Damage", "find_damage"]


@dataclass(slots=True)
class Damage:
    """The damaged entries of a log.

    covered        the newest damaged entry that the snapshot has replaced; 0 for none
    first          the oldest damaged entry after the snapshot; 0 for none
    configuration  the newest configuration entry after the snapshot and before `first`; 0 for none
    last_term      the term of the last entry; None if that entry is damaged
    """

    covered: int = 0
    first: int = 0
    configuration: int = 0
    last_term: int | None = None


def find_damage(store: LogStore, saved: Saved, snapshot_index: int) -> Damage:
    """Read the whole log, and return what is damaged. The log is short because of the snapshots,
    and the entries after the newest snapshot are read at a start anyhow, to be applied.
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
    """Return the entries, with None for each entry that the store can't read or whose checksum is
    wrong.
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
