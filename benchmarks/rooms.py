"""The way of one lone write through the code: how many calls, files and rooms it passes.

python -m benchmarks.rooms

Three nodes of this process, with RocksDB; the leader is asked on its own node. Every Python call
of `raft_actors` and `supervision` is counted, on every thread, from the call of a write to its
answer. A room is a folder, or a module that lies in none. A change is a step of one thread from a
file or room into another: a reader of the code follows each of them.
"""

import logging
import sys
import tempfile
import threading
import time
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from statistics import median
from types import FrameType
from typing import Annotated, Any

import typer

import raft_actors
import supervision
from raft_actors import Config, encoding
from raft_actors.kv_store import KVStore
from raft_actors.node.local_node import LocalNode
from raft_actors.peer.peers import peers_of
from raft_actors.replica.requests import CONFIGURE, WRITE

PACKAGES = tuple(str(Path(str(each.__file__)).parent) for each in (raft_actors, supervision))
QUIET = Config(
    heartbeat_timeout=20.0, min_election_timeout=60.0, max_election_timeout=61.0,
)  # fmt: skip
"""No heartbeat and no election falls into a write."""


class Recorder:
    """The files of the calls that each thread makes while `on` is True."""

    def __init__(self) -> None:
        self.on = False
        self.files: dict[int, list[str]] = defaultdict(list)

    def see(self, frame: FrameType, event: str, _argument: Any) -> None:
        if self.on and event == "call" and frame.f_code.co_filename.startswith(PACKAGES):
            self.files[threading.get_ident()].append(frame.f_code.co_filename)

    def take(self) -> list[list[str]]:
        files, self.files = self.files, defaultdict(list)
        return [*files.values()]


def room(file: str) -> str:
    """Return the folder of a module in its package, or its own name if it lies in none."""
    package = next(each for each in PACKAGES if file.startswith(each))
    if not package.endswith("raft_actors"):
        return "supervision"
    return Path(file).relative_to(package).parts[0]


def changes(names: list[str]) -> int:
    return sum(before != after for before, after in pairwise(names))


def main(writes: Annotated[int, typer.Option(min=1)] = 50) -> None:
    """Print the medians of so many writes."""
    logging.getLogger("raft_actors").setLevel(logging.ERROR)
    recorder = Recorder()
    threading.setprofile(recorder.see)
    with tempfile.TemporaryDirectory(prefix="raft_actors-bench-") as name:
        nodes = [LocalNode(f"{letter}@localhost", config=QUIET).start() for letter in "abc"]
        try:
            found = [*follow(nodes, Path(name), recorder, writes)]
        finally:
            threading.setprofile(None)
            for node in nodes:
                peers_of(node).stop("kv")
                node.stop()
    for what, figure in zip(
        ("calls", "files", "rooms", "changes of the file", "changes of the room"),
        (median(each) for each in zip(*found, strict=True)),
        strict=True,
    ):
        print(f"{figure:6.0f} {what}")


def follow(nodes: list[LocalNode], directory: Path, recorder: Recorder, writes: int) -> Any:
    members = tuple(("kv", node.name) for node in nodes)
    for node in nodes:
        config = Config.of(QUIET, data_dir=directory / node.name)
        peers_of(node).start(KVStore, "kv", config)
    router = peers_of(nodes[0]).router
    change = encoding.dumps((members, (), None, False))
    router.request(members[0], [CONFIGURE, "kv", change, 0, 1]).get(30)
    command = encoding.dumps(("set", "key", "value"))
    for _ in range(writes):
        time.sleep(0.05)  # what comes after an answer is over
        recorder.on = True
        sys.setprofile(recorder.see)
        router.request(members[0], [WRITE, "kv", command, 0, 1]).get(30)
        sys.setprofile(None)
        recorder.on = False
        threads = recorder.take()
        files = [file for thread in threads for file in thread]
        yield (
            len(files), len({*files}), len({room(file) for file in files}),
            sum(changes(thread) for thread in threads),
            sum(changes([room(file) for file in thread]) for thread in threads),
        )  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
