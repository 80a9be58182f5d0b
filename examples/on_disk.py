"""A state that is too big for memory: `python -m examples.on_disk`.

The state counts words. It is in a RocksDB beside each peer's log. The peers are stopped and started
again, and continue from the state on their disks without reading all of it.
"""

import tempfile
from pathlib import Path
from typing import Any

from raft_actors import Cluster, OnDiskStateMachine, Raft


class Words(OnDiskStateMachine):
    """The command `("see", word, ...)` counts words; `("count", word)` and `("begin", prefix)` are
    queries.
    """

    def handle_write(self, command: Any, state: Any) -> Any:
        match command:
            case ("see", *words):
                for word in words:
                    state[word] = state.get(word, 0) + 1
                return len(words), state

    def handle_read(self, query: Any, state: Any) -> Any:
        match query:
            case ("count", word):
                return state.get(word, 0)
            case ("begin", prefix):
                return dict(state.items(prefix))


PEERS = ("peer1", "peer2", "peer3")


def start_peers(directory: Path) -> None:
    for name in PEERS:
        Raft.start_peer(Words, name=name, data_dir=directory / name)


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        start_peers(Path(directory))
        Raft.set_configuration(PEERS[0], PEERS)
        with Cluster(PEERS) as cluster, cluster.pipeline() as pipeline:
            for number in range(2_000):
                pipeline.write(("see", f"word{number % 100:02}", "the"))
        Raft.snapshot(PEERS[0])
        for name in PEERS:
            Raft.stop(name)
        start_peers(Path(directory))
        with Cluster(PEERS) as cluster:
            print("the:", cluster.read(("count", "the")))
            print(cluster.read(("begin", "word9"))["word99"], "times word99")
        for name in PEERS:
            Raft.stop(name)


if __name__ == "__main__":
    main()
