"""One planted bug, and the nets that are held under it."""

from dataclasses import dataclass

NETS = (
    "tests/core", "tests/scenarios", "tests/testing", "tests/machine/test_replicated_state.py",
    "tests/client/test_sessions.py", "tests/client/test_in_doubt.py",
    "tests/peer/test_upgrades.py",
)  # fmt: skip
"""Tests of the protocol, without those that play seeds."""
DISK_NETS = (
    "tests/stores/test_contract.py", "tests/stores/test_power_cut.py",
    "tests/machine/test_on_disk.py", "tests/replica/test_snapshotter.py",
)  # fmt: skip
"""Tests of what is on a disk."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """Replace `old`, which stands exactly once in `raft_actors/<module>.py`, with `new`; these
    tests are the net."""

    name: str
    rule: str
    module: str
    old: str
    new: str
    nets: tuple[str, ...] = NETS
