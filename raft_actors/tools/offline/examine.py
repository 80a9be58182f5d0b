"""Examine: reads everything in the directory of a stopped peer, and reports damage.

The whole log is read once, in parts. Because everything is read, all checksums are checked: those
of RocksDB, those that this library adds to values in LMDB, and that of each entry. Other checks:
the terms in a log never fall (Raft §5.4.1), no term is above that of the ballot, and each
configuration names the one before it.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from raft_actors.core.configuration import Configuration
from raft_actors.core.effects import Ballot
from raft_actors.core.entry import CONFIG, KIND_NAMES, kind_of, payload_of, term_of
from raft_actors.core.snapshot import Snapshot
from raft_actors.errors import StoreCorrupt
from raft_actors.stores.durable import DurableStore
from raft_actors.stores.snapshots import Snapshots
from raft_actors.tools.offline.entries import damage_in, is_entry
from raft_actors.tools.offline.stopped_peer import PART

__all__ = ["Examined", "examine"]


@dataclass(slots=True)
class Examined:
    """What is in a directory, as terms that JSON can hold.

    terms           (term, first index, last index) of each stretch of the log
    kinds           how many entries of each kind
    configurations  those in the log, oldest first
    snapshots       the whole ones, oldest first
    notes           remarks that are no damage
    problems        the damage
    """

    path: str
    store: dict[str, Any]
    ballot: dict[str, Any] = field(default_factory=dict)
    log: dict[str, Any] = field(default_factory=dict)
    terms: list[tuple[int, int, int]] = field(default_factory=list)
    kinds: dict[str, int] = field(default_factory=dict)
    configurations: list[dict[str, Any]] = field(default_factory=list)
    snapshots: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def examine(store: DurableStore[Any]) -> Examined:
    """Read everything that `store` holds. Damage is told in `problems`, and never raised.

    Raises StoreError for what the operating system refuses, which may be no damage at all.
    """
    found = Examined(str(store.path), store.directory.record())
    if store.had_torn_tail:
        found.notes.append(
            "the log ended within a save, which is cut off: if a crash has torn it, nobody was "
            "told that it was made"
        )
    examine_snapshots(store.snapshots, found)
    found.problems += store.problems
    if not store.problems:
        examine_log(store, found)
    return found


def examine_log(store: DurableStore[Any], found: Examined) -> None:
    try:
        saved = store.load()
        ballot = Ballot(*saved.ballot)
    except (StoreCorrupt, TypeError) as error:
        found.problems.append(f"the ballot can't be read: {error}")
        return
    found.ballot = {
        "term": ballot.term, "voted_for": ballot.voted_for, "configuration": ballot.configuration,
        "group": ballot.group,
    }  # fmt: skip
    reader = LogReader(found, ballot, saved.base_term)
    reader.read(store, saved.first, saved.last)
    found.log = {
        "first": saved.first, "last": saved.last, "base_term": saved.base_term,
        "bytes": reader.size,
    }  # fmt: skip
    reader.check_configurations(saved.first - 1)
    base, newest = saved.first - 1, max((each["index"] for each in found.snapshots), default=0)
    if base > newest:
        found.problems.append(
            f"the log begins at entry {saved.first}, and no snapshot stands for those before it"
        )
    for snapshot in found.snapshots:
        index, term = snapshot["index"], reader.term_at(snapshot["index"])
        if term == snapshot["term"] or (term is None and index <= saved.last):
            continue
        there = f"has term {term} there" if term is not None else f"ends at entry {saved.last}"
        what = f"the snapshot at entry {index} is of term {snapshot['term']}, and the log {there}"
        if snapshot["reached"]:
            found.problems.append(f"{what}: entries are missing that were durable before")
        else:
            found.notes.append(f"{what}: the peer will begin its log behind the snapshot")


class LogReader:
    """Goes through a log, entry by entry."""

    def __init__(self, found: Examined, ballot: Ballot, base_term: int) -> None:
        self.found = found
        self.ballot = ballot
        self.term: int = base_term
        self.size: int = 0
        self.is_whole: bool = True

    def read(self, store: DurableStore[Any], first: int, last: int) -> None:
        for start in range(first, last + 1, PART):
            end = min(start + PART - 1, last)
            try:
                entries = store.entries(start, end)
            except StoreCorrupt as error:
                self.is_whole = False
                self.found.problems.append(str(error))
                continue
            for index, entry in enumerate(entries, start):
                self.take(index, entry)

    def take(self, index: int, entry: bytes) -> None:
        found = self.found
        self.size += len(entry)
        damage = damage_in(index, entry)
        if damage:
            found.problems.append(f"entry {index} {damage}")
        if not is_entry(entry):
            return
        term = term_of(entry)
        kind = KIND_NAMES[kind_of(entry)]
        found.kinds[kind] = found.kinds.get(kind, 0) + 1
        if found.terms and found.terms[-1][0] == term:
            found.terms[-1] = (term, found.terms[-1][1], index)
        else:
            found.terms.append((term, index, index))
        if term < self.term:
            found.problems.append(f"entry {index} is of term {term}, after one of {self.term}")
        elif term > self.ballot.term:
            found.problems.append(
                f"entry {index} is of term {term}, and the ballot knows {self.ballot.term} only"
            )
        self.term = max(self.term, term)
        if kind_of(entry) == CONFIG and not damage:
            payload = payload_of(entry)
            view = configuration_view(Configuration.decode(payload, index))
            forced = json.loads(payload).get("forced")
            found.configurations.append(view | ({"forced": forced} if forced else {}))

    def check_configurations(self, base: int) -> None:
        """Each must name the one before it; the ballot the newest."""
        found = self.found
        before = max(
            (each["configuration"]["index"] for each in found.snapshots if "configuration" in each),
            default=0,
        )
        newest = before
        for each in found.configurations:
            previous = each["previous"]
            if self.is_whole and previous > base and previous != newest:
                found.problems.append(
                    f"the configuration at entry {each['index']} names {previous} as the one "
                    f"before it, which is {newest}"
                )
            newest = each["index"]
        if self.is_whole and self.ballot.configuration not in {newest, before}:
            found.problems.append(
                f"the ballot names entry {self.ballot.configuration} as the newest configuration, "
                f"which is {newest}"
            )

    def term_at(self, index: int) -> int | None:
        for term, first, last in self.found.terms:
            if first <= index <= last:
                return term
        return None


def examine_snapshots(snapshots: Snapshots, found: Examined) -> None:
    for name in sorted(snapshots.files.names()):
        try:
            if name.endswith(".snapshot"):
                examine_snapshot(snapshots, name, found)
                continue
            if name.endswith(".reached"):
                continue
            if name.endswith(".part"):
                snapshots.numbers(name)
            what = "is not finished" if name.endswith((".part", ".draft")) else "is no snapshot"
            found.notes.append(f"snapshots/{name} {what}: {snapshots.files.size(name)} bytes")
        except StoreCorrupt as error:
            found.problems.append(str(error))
    found.snapshots.sort(key=lambda each: each["index"])


def examine_snapshot(snapshots: Snapshots, name: str, found: Examined) -> None:
    index, term, size, checksum = snapshots.numbers(name)
    view: dict[str, Any] = {
        "name": name, "index": index, "term": term, "bytes": size,
        "reached": snapshots.is_reached(Snapshot(index, term, size=size, checksum=checksum)),
    }  # fmt: skip
    found.snapshots.append(view)
    header = snapshots.check(name, size, checksum)
    configuration = Configuration.decode(header.configuration, header.configured)
    view |= {"machine": header.machine, "configuration": configuration_view(configuration)}


def configuration_view(configuration: Configuration) -> dict[str, Any]:
    return {
        "index": configuration.index,
        "members": configuration.members,
        "learners": configuration.learners,
        "old": configuration.old,
        "witnesses": configuration.witnesses,
        "incarnations": configuration.incarnations,
        "group": configuration.group,
        "previous": configuration.previous,
    }
