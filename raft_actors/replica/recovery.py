"""Recovery: how a peer that starts makes ballot, log and snapshot consistent with each other."""

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
    """The content of a store with which a peer starts. The state is in the file of `snapshot`."""

    ballot: Ballot
    log: Log
    snapshot: Snapshot
    incoming: SnapshotReceipt | None
    incarnation: int

    @property
    def configuration(self) -> Configuration:
        """The newest configuration in the log or the snapshot."""
        index = self.ballot.configuration
        if index <= self.snapshot.index:
            return self.snapshot.configuration
        return Configuration.decode(payload_of(self.log.between(index, index)[0]), index)


def recover(store: LogStore, config: Config) -> Recovered:
    """Load a peer's ballot, log and newest snapshot.

    If a leader's snapshot was saved just before a crash, the log may end before the snapshot, or
    have other entries than the leader's. Then the log is dropped and begins after the snapshot, as
    it would have without the crash (Figure 13). But if the log had reached the snapshot before,
    and ends before it now, then the log has lost entries that were saved.

    Damaged entries don't keep a peer from starting, see `raft_actors.replica.damage`.

    Raises StoreCorrupt if entries are missing.
    """
    snapshot = store.snapshots.newest() or NO_SNAPSHOT
    saved = store.load()
    ballot = Ballot(*saved.ballot)
    if snapshot.index < saved.first - 1:
        raise StoreCorrupt(
            f"beside {store.snapshots.files.place} the log begins at entry {saved.first}, and the "
            f"newest snapshot there ends at {snapshot.index}: entries are missing; {REJOIN}"
        )
    saved, ballot = claimed(store, saved, ballot, snapshot)
    base, base_term, last = saved.first - 1, saved.base_term, saved.last
    log = log_of(store, config, base, base_term, last)
    if log.term_at(snapshot.index) != snapshot.term:
        if store.snapshots.is_reached(snapshot):
            raise StoreCorrupt(
                f"beside {store.snapshots.files.place} the log ends at entry {last} of term "
                f"{log.last_term}, but before it had reached the snapshot at entry "
                f"{snapshot.index} of term {snapshot.term}: entries that were durable are missing; "
                f"{REJOIN}"
            )
        ballot = replace(ballot, configuration=snapshot.configuration.index)
        store.restart(ballot.stored(), snapshot.index, snapshot.term)
        log = log_of(store, config, snapshot.index, snapshot.term, snapshot.index)
    store.snapshots.reached(snapshot)
    if ballot.configuration > max(log.last_index, snapshot.index):
        ballot = without_unsaved_configuration(store, ballot, log, snapshot)
    return Recovered(ballot, log, snapshot, store.snapshots.incoming(), saved.incarnation)


def claimed(
    store: LogStore, saved: Saved, ballot: Ballot, snapshot: Snapshot
) -> tuple[Saved, Ballot]:
    """Return the part of the log that the peer may claim to have, and a ballot whose `owed` names
    the end of the log before the damage.

    This ballot is saved here, before an entry of the leader replaces a damaged one; until then all
    entries stay on the disk. The term of an entry that can't be read is not known. In what is owed
    the ballot's term is taken for it, which is never lower; but an entry of an unknown term does
    not show that nothing is owed any more.
    """
    damage = find_damage(store, saved, snapshot.index)
    if not (damage.covered or damage.first or ballot.owed != NOTHING_OWED):
        return saved, ballot
    view = saved
    end = ballot.term if damage.last_term is None else damage.last_term, saved.last
    its_end = snapshot.term, snapshot.index
    paid_to = NOTHING_OWED if damage.last_term is None else end
    begins_anew = False
    if damage.covered:
        behind = replace(saved, first=snapshot.index + 1, base_term=snapshot.term)
        is_reached = store.snapshots.is_reached(snapshot)
        is_short = saved.last < snapshot.index
        if not is_reached and (is_short or damage.covered == snapshot.index):
            # Nothing shows whether the entries after the snapshot continue it: drop them, and get
            # them from the leader.
            view, begins_anew = replace(behind, last=snapshot.index), True
            paid_to = its_end
        elif not is_short and (is_reached or term_at(store, snapshot.index) == snapshot.term):
            view = behind
            paid_to = max(paid_to, its_end)
    owed = max(ballot.owed, end) if damage.first or begins_anew else ballot.owed
    if damage.first and not begins_anew:
        view = replace(view, last=damage.first - 1)
    elif owed <= paid_to:
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


def without_unsaved_configuration(
    store: LogStore, ballot: Ballot, log: Log, snapshot: Snapshot
) -> Ballot:
    """Return the ballot with the snapshot's configuration, in place of a configuration entry that
    was never saved, and save it.

    Versions before this one saved first the ballot with the log's new begin, and then the entries
    after it. A crash between the two left a ballot that names a configuration in entries that were
    never saved or acknowledged.

    Raises StoreCorrupt if that can't be the reason.
    """
    if log.last_index > log.base:
        raise StoreCorrupt(
            f"beside {store.snapshots.files.place} the ballot names entry {ballot.configuration} "
            f"as the newest configuration, and the log ends at {log.last_index}: entries are "
            f"missing; {REJOIN}"
        )
    ballot = replace(ballot, configuration=snapshot.configuration.index)
    store.save(ballot.stored(), 0, [])
    return ballot


def log_of(store: LogStore, config: Config, base: int, base_term: int, last: int) -> Log:
    return Log(store, base=base, base_term=base_term, last=last, cache_bytes=config.log_cache_bytes)
