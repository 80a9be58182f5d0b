"""What is recorded, by whom, and what recording costs when nobody asked for it: nothing."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from raft_actors import Raft
from raft_actors.kv_store import KVStore
from raft_actors.node.local_node import LocalNode
from raft_actors.peer.router import Router
from raft_actors.replica import trace
from raft_actors.replica.replica import Replica
from raft_actors.replica.trace import Trace
from raft_actors.tools.trace_check import check
from tests.cluster.stage import NAMES, Stage
from tests.helpers import eventually

ROOT = Path(__file__).parent.parent.parent
KV = ("kv", "nonode@nohost")


@pytest.fixture(autouse=True)
def no_trace_of_the_environment(monkeypatch):
    monkeypatch.delenv("RAFT_TRACE", raising=False)


@pytest.fixture
def start(tmp_path):
    """Start a peer without a node."""
    here = []

    def start(**fields):
        answer = Raft.start_peer(
            KVStore, name="kv", **{"data_dir": tmp_path / "data", "log_store": "memory", **fields}
        )
        if answer[0] == "ok":
            here.append(KV)
        return answer

    yield start
    if here:
        Raft.stop_peer("kv")


def write(key, value):
    """Write as the only member of a group."""
    assert Raft.set_configuration(KV, [KV])[0] == "ok"
    assert Raft.write(KV, ("set", key, value))[0] == "ok"


def lines_in(directory):
    (path,) = directory.glob("*.jsonl")
    return path, [json.loads(line) for line in path.read_text().splitlines()]


def test_each_line_tells_the_event_and_the_state_after_it(start, tmp_path):
    """The format is docs/trace.md's; a change of it needs another FORMAT."""
    start(trace=tmp_path / "trace")
    write("key", "a secret")
    Raft.stop_peer("kv")
    path, lines = lines_in(tmp_path / "trace")
    assert path.name == f"kv@nonode@nohost.{os.getpid()}.jsonl"
    assert [line["n"] for line in lines] == list(range(1, len(lines) + 1))
    first, last = lines[0], lines[-1]
    assert (first["event"], first["format"], first["peer"]) == ("start", 2, ["kv", "nonode@nohost"])
    assert (last["event"], last["reason"]) == ("end", "'shutdown'")
    assert "secret" not in path.read_text(), "payloads are hashes"
    told = {"n", "at", "now", "event", "term", "vote", "role", "leader", "commit", "base", "last",
            "last_term", "configuration"}  # fmt: skip
    for line in lines:
        assert told <= line.keys()
    saved = next(line for line in lines if line["event"] == "save" and line["entries"])
    term, digest, configuration = saved["entries"][0]
    assert (term, len(digest)) == (1, 16)
    assert configuration["members"] == [["kv", "nonode@nohost"]]
    assert saved["ballot"] == [1, ["kv", "nonode@nohost"], 1, ""]
    assert [(line["first"], line["through"]) for line in lines if line["event"] == "apply"] == [
        (1, 1), (2, 2),
    ]  # fmt: skip
    assert check(tmp_path / "trace").violations == []


def test_what_is_sent_leaves_when_the_trace_tells_of_it(start, tmp_path, monkeypatch):
    """Planted: `Replica.send` sends at once whether there is a trace or not.

    Others of this process say and flush what is theirs, at any time.
    """
    said, told_as_it_left, speakers = [], [], set()
    send, flush = Router.send, LocalNode.flush

    def counted(router, messages, **how):
        own = [message for message in messages if message.source == KV]
        if own:
            said.extend(own)
            speakers.add(threading.get_ident())
        send(router, messages, **how)

    def looked_at(node):
        if threading.get_ident() in speakers:
            _path, lines = lines_in(tmp_path / "trace")
            told = [line for line in lines if line["event"] == "send"]
            told_as_it_left.append((len(told), len(said)))
        flush(node)

    monkeypatch.setattr(Router, "send", counted)
    monkeypatch.setattr(LocalNode, "flush", looked_at)
    start(trace=tmp_path / "trace", members=[KV, ("other", "nonode@elsewhere")])
    eventually(lambda: said)
    Raft.stop_peer("kv")
    assert told_as_it_left
    for told, left in told_as_it_left:
        assert told == left


def test_the_documented_names_are_those_that_are_written(start, tmp_path):
    start(trace=tmp_path / "trace")
    write("key", 1)
    Raft.stop_peer("kv")
    _path, lines = lines_in(tmp_path / "trace")
    page = (ROOT / "docs" / "trace.md").read_text()
    for name in {name for line in lines for name in line}:
        assert f"`{name}`" in page, f"docs/trace.md does not tell what {name} is"


def test_the_environment_asks_for_a_trace_and_the_config_goes_before(start, tmp_path, monkeypatch):
    monkeypatch.setenv("RAFT_TRACE", str(tmp_path / "asked"))
    start()
    Raft.stop_peer("kv")
    start(trace=tmp_path / "configured")
    Raft.stop_peer("kv")
    assert len(list((tmp_path / "asked").iterdir())) == 1
    assert len(list((tmp_path / "configured").iterdir())) == 1


def test_a_second_run_in_one_process_goes_on_in_the_file(start, tmp_path):
    for _ in range(2):
        start(trace=tmp_path / "trace", log_store="rocksdb")
        Raft.stop_peer("kv")
    _path, lines = lines_in(tmp_path / "trace")
    assert [line["n"] for line in lines if line["event"] == "start"] == [1, 1]
    assert check(tmp_path / "trace").runs == 2


def test_without_a_trace_nothing_is_formatted(start, monkeypatch):
    """Planted: make a Trace whatever the config says."""

    def forbidden(*_arguments, **_more):
        raise AssertionError("something was formatted for a trace that nobody wants")

    for name in ("plain", "views", "digest", "encode_line"):
        monkeypatch.setattr(trace, name, forbidden)
    for name in ("__init__", "write", "step"):
        monkeypatch.setattr(Trace, name, forbidden)
    start()
    write("key", 1)


def test_without_a_trace_a_peer_steps_its_core_directly(start, monkeypatch):
    seen = []
    flush = Replica.flush

    def looked_at(self):
        if self.core.peer == KV:
            seen.append((self.trace, self.step == self.core.step))
        flush(self)

    monkeypatch.setattr(Replica, "flush", looked_at)
    start()
    write("key", 1)
    assert set(seen) == {(None, True)}


def test_a_full_disk_ends_the_trace_and_not_the_peer(start, tmp_path, caplog):
    """/dev/full: every write fails."""
    directory = tmp_path / "trace"
    directory.mkdir()
    (directory / f"kv@nonode@nohost.{os.getpid()}.jsonl").symlink_to("/dev/full")
    start(trace=directory)
    write("key", 1)
    assert len([line for line in caplog.messages if "ends here" in line]) == 1


def test_a_directory_that_can_not_be_made_is_told_at_the_start(start, tmp_path):
    """Planted: the error of the operating system alone, which names no setting."""
    (tmp_path / "file").write_text("")
    error, (_exception, name, text) = start(trace=tmp_path / "file" / "trace")
    assert (error, name) == ("error", "StoreError")
    assert f"{tmp_path}/file/trace, the directory of Config.trace, can't be written" in text
    assert "choose another place" in text


# Real processes.


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """Three processes that record, and this one as a node beside them, which does not."""
    from raft_actors import Node

    stage = Stage(tmp_path)
    for name, value in stage.environment.items():
        monkeypatch.setenv(name, value)
    for name in ("RAFT_ACTORS_NODES", "RAFT_ACTORS_MAPPER_PORT"):
        monkeypatch.delenv(name, raising=False)
    stage.environment["RAFT_TRACE"] = str(tmp_path / "trace")
    Node.start("tester")
    try:
        yield stage
    finally:
        stage.end()


def checked(directory):
    return subprocess.run(
        [sys.executable, "-m", "raft_actors", "trace", "check", str(directory)],
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip


def test_a_real_cluster_that_is_killed_and_restarted_keeps_every_rule(stage):
    stage.form()
    for number in range(30):
        stage.write("a", number)
    for _ in range(2):
        leader = stage.leader()
        stage.kill(leader)
        stage.write("b", leader)
        stage.start(leader)
        eventually(lambda leader=leader: stage.is_up(leader))
    follower = next(name for name in NAMES if name != stage.leader())
    assert Raft.transfer_leadership(stage.address(stage.leader()), stage.address(follower)) == (
        "ok",
        stage.address(follower),
    )
    stage.write("c", 1)
    stage.kill(*NAMES)
    stage.start(*NAMES)
    stage.write("c", 2)

    directory = stage.directory / "trace"
    answer = checked(directory)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "Every rule is kept." in answer.stdout
    report = check(directory)
    assert len(report.peers) == 3
    assert report.runs >= 8
    assert report.killed >= 5
    assert report.committed > 35


def test_the_command_names_file_line_and_rule_and_its_status_is_1(stage):
    stage.form()
    for number in range(5):
        stage.write("a", number)
    leader = stage.leader()
    stage.kill(*NAMES)
    (path,) = (stage.directory / "trace").glob(f"kv@{leader}@*.jsonl")
    lines = path.read_text().splitlines(keepends=True)
    number = next(n for n, line in enumerate(lines, 1) if '"event":"apply","first":2,' in line)
    lines[number - 1] = lines[number - 1].replace('"first":2,', '"first":3,')
    path.write_text("".join(lines))
    answer = checked(stage.directory / "trace")
    assert answer.returncode == 1
    assert answer.stdout.startswith(f"{path}:{number}: entry 3 after 1\n    rule applied: ")
    assert "Figure 2" in answer.stdout
    assert checked(stage.directory / "run").returncode == 2
