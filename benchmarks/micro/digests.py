"""What a digest of a big state does to the peer that makes it.

    python -m benchmarks.micro.digests                a million keys, three digests of each kind
    python -m benchmarks.micro.digests --keys 100000 --rounds 2

As `benchmarks.micro.snapshots`, with a digest in place of a snapshot. A group of one peer compares
no digests, so the peer is told to make one. `processor` is how many seconds of a processor it took:
a leader asks for the next one fifty times as long afterwards.
"""

import argparse
import logging
import tempfile
import time
from functools import partial
from statistics import median
from typing import Any

from benchmarks.micro.snapshots import STATES, longest_waits
from raft_actors import Config, Raft
from raft_actors.core.messages import DigestMade
from raft_actors.kv_store import KVStore
from raft_actors.peer.peer import Peer
from raft_actors.peer.peers import peers_here

TELL = object()


class Made:
    """The last DigestMade of the peer."""

    event: DigestMade | None = None


def begin(peer: Peer, _event: object) -> None:
    digester = peer.replica.digester
    digester.not_before = 0.0
    digester.step = lambda event: setattr(Made, "event", event)
    digester.begin(peer.replica.applier.applied)


def make(peer: Peer) -> None:
    """Have the peer make a digest, and wait for it."""
    Made.event = None
    peer.actor_ref.tell(TELL)
    while Made.event is None:
        time.sleep(0.001)
    assert Made.event.digest, "the digest failed"


def measure(kind: str, keys: int, rounds: int) -> list[float]:
    """Return medians: a digest's seconds, and those of a processor; waits in it for a status and a
    write, and without it.
    """

    class Store(KVStore):
        def init(self, _name: str) -> Any:
            return STATES[kind](keys)

    rows = []
    with tempfile.TemporaryDirectory() as directory:
        Raft.start_peer(Store, name="peer", data_dir=directory)
        Raft.set_configuration("peer", ["peer"])
        peer = [each for each in peers_here().stores.values() if each.name == "peer"][-1]
        for _ in range(rounds):
            began = time.perf_counter()
            status, write = longest_waits("peer", partial(make, peer))
            took = time.perf_counter() - began
            quiet = longest_waits("peer", partial(time.sleep, took))
            assert Made.event is not None
            rows.append((took, Made.event.took_s, status, write, *quiet))
        Raft.stop("peer")
    return [median(column) for column in zip(*rows, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description="what a digest does to its peer")
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    Peer.on_unknown = begin  # type: ignore[assignment, method-assign]
    fifth = Config().min_election_timeout / 5 * 1000
    print(f"{options.keys:,} keys; a fifth of the shortest election timeout is {fifth:.0f} ms")
    print(f"{'state':16}  digest  processor  longest wait, ms: status (without)  write (without)")
    for kind in STATES:
        took, processor, status, write, quiet_status, quiet_write = measure(
            kind, options.keys, options.rounds
        )
        print(
            f"{kind:16}  {took:4.1f} s  {processor:6.2f} s"
            f"{status * 1000:22.0f} ({quiet_status * 1000:.0f})"
            f"{write * 1000:14.0f} ({quiet_write * 1000:.0f})"
        )


if __name__ == "__main__":
    main()
