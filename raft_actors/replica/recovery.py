"""Recovery: what a peer finds in its store, fitted together."""

from dataclasses import dataclass, replace

from raft_actors.config import Config
from raft_actors.core.configuration import Configuration
from raft_actors.core.effects import NOTHING_OWED, Ballot
from raft_actors.core.entry import payload_of, term_of
from raft_actors.core.log import Log
from raft_actors.core.snapshot import NO_SNAPSHOT, Snapshot, SnapshotReceipt
from raft_actors.errors import REJOIN, StoreCorrupt
from raft_actors.replica.damage import find_damage
from raft_actors.stores import LogStore, Saved

__all__ = ["Recovered", "recover"]


@dataclass(frozen=True, slots=True)
class Recovered:
    """The state of a peer that starts; the machine's state is that of `snapshot`."""

    ballot: Ballot
    log: Log
    snapshot: Snapshot
    incoming: SnapshotReceipt | None
    incarnation: int

    @property
    def configuration(self) -> Configuration:
        """The newest that the log or the snapshot has."""
        index = self.ballot.configuration
        if index <= self.snapshot.index:
            return self.snapshot.configuration
        return Configuration.decode(payload_of(self.log.between(index, index)[0]), index)


def recover(store: LogStore, config: Config) -> Recovered:
    """Load a peer's ballot, log and newest snapshot.

    A leader's snapshot that was made durable just before a crash may be newer than the log, or of
    another history: then the log begins behind it, as it would have then (Figure 13). A log that
    ends before a snapshot that it had reached has lost what was durable.

    What is damaged of the log keeps no peer from starting: see `raft_actors.replica.damage`.

    Raises StoreCorrupt when entries are missing.
    """
    snapshot = store.snapshots.newest() or NO_SNAPSHOT
    saved = store.load()
    ballot = Ballot(*saved.ballot)
    if snapshot.index < saved.first - 1:
        raise StoreCorrupt(
            f"the log begins at entry {saved.first}, and the newest snapshot ends at "
            f"{snapshot.index}: entries are missing; {REJOIN}"
        )
    saved, ballot = claimed(store, saved, ballot, snapshot)
    base, base_term, last = saved.first - 1, saved.base_term, saved.last
    log = log_of(store, config, base, base_term, last)
    if log.term_at(snapshot.index) != snapshot.term:
        if store.snapshots.is_reached(snapshot):
            raise StoreCorrupt(
                f"the log ends at entry {last} of term {log.last_term}, and it had come to the "
                f"snapshot at entry {snapshot.index} of term {snapshot.term}: entries are missing "
                f"that were durable before; {REJOIN}"
            )
        ballot = replace(ballot, configuration=snapshot.configuration.index)
        store.restart(ballot.stored(), snapshot.index, snapshot.term)
        log = log_of(store, config, snapshot.index, snapshot.term, snapshot.index)
    store.snapshots.reached(snapshot)
    if ballot.configuration > max(log.last_index, snapshot.index):
        ballot = without_what_was_never_saved(store, ballot, log, snapshot)
    return Recovered(ballot, log, snapshot, store.snapshots.incoming(), saved.incarnation)


def claimed(
    store: LogStore, saved: Saved, ballot: Ballot, snapshot: Snapshot
) -> tuple[Saved, Ballot]:
    """Return the part of the log that the peer may claim to have, and what it owes besides.

    What it owes is durable before the first entry of its leader takes the place of a damaged one;
    until then all that is on the disk stays there. Of an entry that can't be read the term is not
    known: none is above the ballot's.
    """
    damage = find_damage(store, saved, snapshot.index)
    if not (damage.covered or damage.first or ballot.owed != NOTHING_OWED):
        return saved, ballot
    view = saved
    end = ballot.term if damage.last_term is None else damage.last_term, saved.last
    begins_anew = False
    if damage.covered:
        behind = replace(saved, first=snapshot.index + 1, base_term=snapshot.term)
        is_reached = store.snapshots.is_reached(snapshot)
        is_short = saved.last < snapshot.index
        if not is_reached and (is_short or damage.covered == snapshot.index):
            # Whether what follows is of the snapshot's history can't be seen: the leader will tell.
            view, begins_anew = replace(behind, last=snapshot.index), True
        elif not is_short and (is_reached or term_at(store, snapshot.index) == snapshot.term):
            view = behind
    owed = max(ballot.owed, end) if damage.first or begins_anew else ballot.owed
    if damage.first and not begins_anew:
        view = replace(view, last=damage.first - 1)
    elif owed <= ((snapshot.term, snapshot.index) if begins_anew else end):
        owed = NOTHING_OWED
    configuration = 0 if begins_anew else damage.configuration
    before = ballot
    ballot = replace(ballot, owed=owed, configuration=configuration or snapshot.configuration.index)
    if begins_anew:
        store.restart(ballot.stored(), snapshot.index, snapshot.term)
    elif ballot != before:
        store.save(ballot.stored(), 0, [])
    return view, ballot


def term_at(store: LogStore, index: int) -> int:
    return term_of(store.entries(index, index)[0])


def without_what_was_never_saved(
    store: LogStore, ballot: Ballot, log: Log, snapshot: Snapshot
) -> Ballot:
    """Versions before this one saved a ballot and a log's new beginning, and then, by itself, what
    follows: a crash between left a ballot that names a configuration of entries that nobody had
    acknowledged.

    Raises StoreCorrupt where that can't be it.
    """
    if log.last_index > log.base:
        raise StoreCorrupt(
            f"the ballot names entry {ballot.configuration} as the newest configuration, and the "
            f"log ends at {log.last_index}: entries are missing; {REJOIN}"
        )
    ballot = replace(ballot, configuration=snapshot.configuration.index)
    store.save(ballot.stored(), 0, [])
    return ballot


def log_of(store: LogStore, config: Config, base: int, base_term: int, last: int) -> Log:
    return Log(store, base=base, base_term=base_term, last=last, cache_bytes=config.log_cache_bytes)
