"""Audit: compares the recorded calls with the states of the replicas at the end."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from raft_actors.tools.torture.linearizability import LINEARIZABLE, Verdict, check
from raft_actors.tools.torture.operation import OK, READ, REFUSED, STALE, Operation
from raft_actors.tools.torture.staleness import Staleness, look_for_staler
from raft_actors.tools.torture.unknown_outcomes import narrow

__all__ = ["Audit", "audit"]

States = dict[str, dict[str, list[Any]]]
"""Of each node its replica: of each key all values put there, in order."""


@dataclass(slots=True)
class Audit:
    """The result of an audit. The run has passed only if `passed` is true.

    acknowledged  how many changes were acknowledged, and therefore searched in every replica
    lost          changes that were acknowledged, and are missing in a replica
    doubled       changes that were applied twice
    undead        changes that were refused, and applied all the same
    diverged      keys whose values differ between replicas
    staleness     the result for the stale reads
    verdicts      for the keys whose history is not linearizable, or could not be decided
    troubles      other things that must not happen, as texts
    """

    acknowledged: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    undead: list[str] = field(default_factory=list)
    diverged: list[str] = field(default_factory=list)
    staleness: Staleness = field(default_factory=Staleness)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    keys: int = 0
    troubles: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return self.acknowledged > 0 and not self.findings()

    def findings(self) -> list[str]:
        """All faults that were found, one line for each."""
        findings = list(self.troubles)
        for what, items in (
            ("acknowledged and lost", self.lost),
            ("applied twice", self.doubled),
            ("refused and applied nonetheless", self.undead),
            ("not the same on every node", self.diverged),
            ("staler than was asked for", self.staleness.staler),
        ):
            if items:
                more = f", and {len(items) - 5} more" if len(items) > 5 else ""
                findings.append(f"{what}: {', '.join(items[:5])}{more}")
        for key, verdict in self.verdicts.items():
            findings.append(f"the history of key {key} is {verdict.outcome}")
        if not self.acknowledged:
            findings.append("nothing was ever acknowledged")
        return findings


def audit(operations: Iterable[Operation], states: States) -> Audit:
    """Judge the calls key by key, and look for every change in every replica."""
    found = Audit()
    by_key: dict[str, list[Operation]] = defaultdict(list)
    for operation in operations:
        by_key[operation.key].append(operation)
    found.keys = len(by_key)
    for key, calls in sorted(by_key.items()):
        look_into(found, key, calls, states)
        if states:
            values = next(iter(states.values())).get(key, [])
            look_for_staler(found.staleness, key, calls, values)
        verdict = check(narrow([call for call in calls if call.kind != STALE]))
        if verdict.outcome != LINEARIZABLE:
            found.verdicts[key] = verdict
    return found


def look_into(found: Audit, key: str, calls: list[Operation], states: States) -> None:
    """Compare what was answered with what each replica holds."""
    replicas = {node: state.get(key, []) for node, state in states.items()}
    if len({tuple(values) for values in replicas.values()}) > 1:
        found.diverged.append(key)
    counted = {node: Counter(values) for node, values in replicas.items()}
    acknowledged = [call for call in calls if call.changes]
    refused = [call for call in calls if call.outcome == REFUSED and call.kind not in (READ, STALE)]
    idle = [call for call in calls if call.outcome == OK and call.kind not in (READ, STALE)]
    found.acknowledged += len(acknowledged)
    for call in acknowledged:
        missing = [node for node, counts in counted.items() if not counts[call.value]]
        if missing:
            found.lost.append(f"{call.described()} on {key}, on {' and '.join(missing)}")
    for node, counts in counted.items():
        found.undead += [
            f"{call.described()} on {key}, on {node}"
            for call in (*refused, *(call for call in idle if not call.changes))
            if counts[call.value]
        ]
        found.doubled += [
            f"value {value} of {key}, on {node}" for value, count in counts.items() if count > 1
        ]
