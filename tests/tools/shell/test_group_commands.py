"""The commands for a running group, against three processes of `raft-actors node`."""

import json
import re
from pathlib import Path

import pytest

from raft_actors.wire.cookie import Cookie
from tests.helpers import eventually
from tests.node_helpers import free_port
from tests.tools.shell.test_cli import HOST, Nodes, nodes  # noqa: F401 - fixture

MODULE = f"""
from raft_actors import Config, Node, Raft
from raft_actors.kv_store import KVStore

def start():
    members = [("kv", f"{{name}}@{HOST}") for name in "abc"]
    Raft.start_peer(KVStore, name="kv", members=members)
"""


class Trio:
    def __init__(self, nodes: Nodes, directory: Path) -> None:  # noqa: F811
        (directory / "kv_trio.py").write_text(MODULE)
        self.nodes = nodes
        self.ports = [free_port() for _ in "abc"]
        self.processes = [
            nodes.start_up("--sname", name, "--port", str(port), "-m", "kv_trio",
                           "--data-dir", f"data_{name}")
            for name, port in zip("abc", self.ports, strict=True)
        ]  # fmt: skip
        self.group = f"kv@127.0.0.1:{self.ports[0]},127.0.0.1:{self.ports[1]}"

    def __call__(self, command: str, *arguments: str) -> tuple[int, str, str]:
        return self.nodes.run(command, self.group, *arguments)

    def json(self, command: str, *arguments: str):
        status, out, err = self(command, *arguments, "--json")
        assert (status, err) == (0, ""), (status, out, err)
        return json.loads(out)


@pytest.fixture
def trio(nodes: Nodes, tmp_path: Path) -> Trio:  # noqa: F811
    return Trio(nodes, tmp_path)


def test_a_group_is_looked_at_written_and_changed(trio: Trio, tmp_path: Path) -> None:
    name, leader = trio.json("leader", "--timeout", "20")
    assert name == "kv"
    assert trio.json("write", "('set', 'k', 1)") == ["ok", "k", 1]
    assert trio("read", "('get', 'k')") == (0, "('ok', 1)\n", "")

    status, out, _ = trio("members")
    head, *rows = out.splitlines()
    assert (status, len(rows)) == (0, 3)
    assert max(map(len, (head, *rows))) <= 80
    assert sorted(trio.json("members")) == [f"kv on {each}@{HOST}" for each in "abc"]

    assert trio.json("explain")[0]["code"] == "well"
    status, out, _ = trio("health")
    assert (status, "nothing is wrong" in out) == (0, True)

    other = next(f"{each}@{HOST}" for each in "abc" if f"{each}@{HOST}" != leader)
    planned = trio.json("remove", "kv", other, "--dry-run")
    assert ["kv", other] not in planned["members"]
    assert trio.json("transfer", "kv", other) == ["kv", other]
    assert trio.json("demote", "kv", leader)["learners"] == [["kv", leader]]
    assert len(trio.json("promote", "kv", leader)["members"]) == 3
    third = ({f"{each}@{HOST}" for each in "abc"} - {leader, other}).pop()
    assert len(trio.json("remove", "kv", third)["members"]) == 2
    assert len(trio.json("add", "kv", third)["members"]) == 3
    assert trio.json("snapshot", "kv", other) > 0
    assert trio.json("backup", str(tmp_path / "kv.backup")) > 0
    assert (tmp_path / "kv.backup").stat().st_size > 0
    assert trio.json("limit-sessions", "--session-s", "600")["session_s"] == 600.0

    status, _, err = trio("remove", "kv", f"nobody@{HOST}")
    assert (status, "no_such_member" in err) == (1, True)
    status, _, err = trio("write", "set k 1")
    assert (status, "no Python literal" in re.sub(r"\s+", " ", err)) == (2, True)


def test_without_a_majority_a_command_ends_with_3_and_says_why(trio: Trio) -> None:
    trio.json("leader", "--timeout", "20")
    for process in trio.processes[1:]:
        process.kill()
    status = eventually(lambda: (said := trio("leader", "--timeout", "1"))[0] == 3 and said)
    assert "1 of 3 members answer, and 2 are needed" in status[2]
    assert trio("health", "--timeout", "1")[0] == 3
    status, out, _ = trio("explain")
    assert (status, out.startswith("no leader for ")) == (3, True)


def test_the_environment_names_the_group_and_a_wrong_name_is_status_2(trio: Trio) -> None:
    trio.nodes.environment["RAFT_ACTORS_URL"] = f"raft://{trio.group}"
    status, out, _ = trio.nodes.run("leader", "--timeout", "20")
    assert (status, out.startswith("kv on ")) == (0, True)
    status, _, err = trio.nodes.run("leader", "kv")
    assert (status, "'raft://kv' is no URL of a group" in re.sub(r"\s+", " ", err)) == (2, True)


def test_the_cookie_of_a_client_may_write_and_changes_nothing_else(trio: Trio) -> None:
    trio.json("leader", "--timeout", "20")
    (path,) = [each for each in trio.nodes.directory.rglob("cookie") if each.is_file()]
    own = Cookie(path.read_text().strip())
    trio.nodes.environment["RAFT_ACTORS_COOKIE"] = own.text_for("client")
    assert trio.json("write", "('set', 'k', 1)") == ["ok", "k", 1]
    status, _, err = trio("remove", "kv", f"a@{HOST}")
    assert (status, "needs the cookie of a member" in err) == (1, True)
