"""Logs that would grow for years: a peer catches up by snapshot, and nothing grows.

In a test run with few entries and early snapshots. By hand with as many as one likes, and the
defaults:

    RAFT_ACTORS_ENTRIES=1000000 pytest --timeout 0 -s tests/cluster/test_long_logs.py -k away
    RAFT_ACTORS_ENTRIES=10000000 pytest --timeout 0 -s tests/cluster/test_long_logs.py -k flat
"""

import contextlib
import os
import time
from pathlib import Path

import psutil
import pytest

from raft_actors import Config, Raft
from tests.cluster.stage import NAMES
from tests.helpers import eventually

ENTRIES = int(os.environ.get("RAFT_ACTORS_ENTRIES", "0"))
FEW, EARLY = 20_000, 2_000
SAMPLES, LOOKS = (20, 5) if ENTRIES else (5, 2)
"""A log grows and is cut again and again: what is told is the most that a few looks have found."""
DEFAULTS = Config()
MIB = 1 << 20
PATIENCE_S = 60 if not ENTRIES else 3_600


@pytest.fixture
def compacting(stage):
    stage.starter = "tests.cluster.compacting:start"
    if not ENTRIES:
        stage.environment["RAFT_ACTORS_TEST_SNAPSHOT_ENTRIES"] = str(EARLY)
    stage.form()
    return stage


def status(stage, name):
    answer = Raft.status(stage.address(name))
    return answer[1] if answer[0] == "ok" else None


def test_a_peer_that_was_away_catches_up_by_snapshot_while_the_others_go_on(compacting):
    stage = compacting
    entries = ENTRIES or FEW
    away = next(name for name in NAMES if name != stage.leader())
    with stage.load(pipelined=True) as load:
        behind = status(stage, away)["last_index"]
        stage.kill(away)
        load.wait_for_more(entries, PATIENCE_S)
        stage.start(away)
        began, written = time.monotonic(), load.written()
        eventually(lambda: stage.is_up(away))
        goal = stage.applied(stage.leader(stage.others(away)))
        eventually(lambda: stage.applied(away) >= goal, PATIENCE_S)
        took_s, meanwhile = time.monotonic() - began, load.written() - written
        found = status(stage, away)
        assert found["snapshot_index"] > behind, "by a snapshot, not by the log"
        assert found["first_index"] > behind
        load.wait_for_more()
    print(f"\naway for {goal - behind:,} entries; back in {took_s:.1f} s, while {meanwhile:,} more "
          f"were written; {load.report['written']:,} in all, none failed; longest write "
          f"{load.report['longest_s']:.2f} s")  # fmt: skip


def test_memory_and_disk_stay_flat(compacting):
    stage = compacting
    entries = ENTRIES or FEW
    samples = []
    with stage.load(pipelined=True) as load:
        began, total = time.monotonic(), load.written()
        for _ in range(SAMPLES):
            some = []
            for _ in range(LOOKS):
                load.wait_for_more(entries // SAMPLES // LOOKS, PATIENCE_S)
                some.append(sample(stage))
            samples.append([max(values) for values in zip(*some, strict=True)])
            rate = (load.written() - total) / (time.monotonic() - began)
            print(f"{load.written():12,} writes, {rate:8,.0f}/s: memory "
                  f"{samples[-1][0] / MIB:.0f} MiB, disk {samples[-1][1] / MIB:.0f} MiB, log "
                  f"{samples[-1][2]:,} entries")  # fmt: skip
    every, trailing = (DEFAULTS.snapshot_entries, DEFAULTS.snapshot_trailing)
    if not ENTRIES:
        every, trailing = EARLY, EARLY // 10
    held_up = 10 * every  # by a follower that is behind, at most
    assert max(log for _, _, log in samples) < every + trailing + held_up
    if not ENTRIES:
        return
    memory, disk, _ = zip(*samples, strict=True)
    for what, values in (("memory", memory), ("disk", disk)):
        early, late = max(values[SAMPLES // 5 : SAMPLES // 2]), max(values[SAMPLES // 2 :])
        print(f"{what}: at most {early:,} before half of it was written, {late:,} after")
        assert late < 1.25 * early, what


def sample(stage):
    """Of the node that has most: bytes of memory and of disk, and entries in the log."""
    found = []
    for name in NAMES:
        memory = psutil.Process(stage.pid(name)).memory_info().rss
        disk = disk_bytes(stage.data_dir(name))
        now = status(stage, name)
        found.append((memory, disk, now["last_index"] - now["first_index"] + 1))
    return tuple(max(values) for values in zip(*found, strict=True))


def disk_bytes(directory):
    found = 0
    for place, _, names in os.walk(directory):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # compacted away while we looked
                found += Path(place, name).stat().st_blocks * 512
    return found
