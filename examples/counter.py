"""A replicated counter: three peers in one process, and the leader is stopped.

python -m examples.counter
"""

import tempfile
import time
from typing import Any

from raft_actors import Config, Raft, StateMachine

NAMES = ("one", "two", "three")


class Counter(StateMachine):
    """The only command is ("add", amount). The answer to any query is the count."""

    def init(self, name: str) -> int:
        return 0

    def handle_write(self, command: Any, state: int) -> tuple[Any, int]:
        match command:
            case ("add", int(amount)):
                return ("ok", state + amount), state + amount
        raise ValueError(f"not a command of a counter: {command!r}")

    def handle_read(self, query: Any, state: int) -> Any:
        return ("ok", state), state


def leader_of(names: tuple[str, ...]) -> Any:
    """Wait until these peers agree on a leader among them, and return its address."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        leaders = {Raft.leader(name) for name in names}
        if len(leaders) == 1 and (leader := leaders.pop()) and leader[0] in names:
            return leader
        time.sleep(0.01)
    raise TimeoutError(f"{names} elected nobody")


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        for name in NAMES:
            Raft.start_peer(Counter, name=name, config=Config(data_dir=f"{directory}/{name}"))
        print(Raft.set_configuration("one", list(NAMES))[0])
        leader = leader_of(NAMES)
        print("add 2:", Raft.write(leader, ("add", 2)))
        print("add 40:", Raft.write(leader, ("add", 40)))
        print("a command that raises:", Raft.write(leader, ("subtract", 1)))

        print("stop the leader:", Raft.stop(leader))
        others = tuple(name for name in NAMES if name != leader[0])
        print("the new leader's count:", Raft.read(leader_of(others), "count"))
        for name in others:
            Raft.stop(name)


if __name__ == "__main__":
    main()
