"""Child: what a node process under torture starts, and the orders it takes on standard input.

    slow SECONDS   from now on every save of the log takes so much longer
    state PATH     write the state of this process' peer to PATH, as JSON

It ends when its standard input does, and with its parent's thread, even while it is stopped.
"""

import contextlib
import ctypes
import json
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, NoReturn

from raft_actors import Supervisor
from raft_actors.peer.peers import peers_here
from raft_actors.stores.durable import DurableStore
from raft_actors.stores.log_store import StoredBallot
from raft_actors.tools.node_processes import PEER
from raft_actors.tools.torture.registers import Registers, RegistersOnDisk

__all__ = ["LEASES", "ON_DISK", "start"]

LEASES = "RAFT_ACTORS_TORTURE_LEASES"
"""Set where leaders have leases: how far clocks may drift. All nodes have one clock here."""
ON_DISK = "RAFT_ACTORS_TORTURE_ON_DISK"
"""Set where the machine's state is on disk."""
SNAPSHOTS = {"snapshot_entries": 1_000, "snapshot_trailing": 500}
"""Often, so that peers that were away need them, and those that start again start from them."""
PR_SET_PDEATHSIG = 1  # prctl(2)


class Disk:
    """How slow this process' disk is, in seconds for each save."""

    slow_s: float = 0.0


def start() -> Any:
    """Start the node's tree: one peer. `raft-actors node --start` calls this."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    logging.getLogger("raft_actors").setLevel(logging.INFO)
    slow_down_saves()
    threading.Thread(target=take_orders, name="orders", daemon=True).start()
    drift_max = float(os.environ[LEASES]) if LEASES in os.environ else None
    fields = {"lease_clock_drift_max": drift_max, **SNAPSHOTS}
    machine = RegistersOnDisk if ON_DISK in os.environ else Registers
    return Supervisor.start_link([(machine, {"name": PEER, **fields})], strategy="one_for_one")


def slow_down_saves() -> None:
    """Let each save of this process take as long as it is told to."""
    save = DurableStore.save

    def slow_save(
        self: DurableStore[Any], ballot: StoredBallot | None, first: int, entries: list[bytes]
    ) -> None:
        save(self, ballot, first, entries)
        if Disk.slow_s:
            time.sleep(Disk.slow_s)

    DurableStore.save = slow_save  # type: ignore[method-assign]


def take_orders() -> NoReturn:
    for line in sys.stdin:
        order, _, argument = line.strip().partition(" ")
        if order == "slow":
            Disk.slow_s = float(argument)
        elif order == "state":
            write_state(Path(argument))
    os._exit(1)


def write_state(path: Path) -> None:
    """Write the whole file or none; an order that finds no peer writes none.

    It is what the peer holds now: what its machine's `init` made is gone after a snapshot.
    """
    peers = peers_here()
    with contextlib.suppress(KeyError, RuntimeError, OSError):  # not there, or changing, or full
        state = peers.hosted[peers.running[PEER]].replica.applier.applied.state
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(dict(state.items())))
        draft.replace(path)
