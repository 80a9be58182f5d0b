"""What the audit log tells, and not: no secret; that it is bounded, and for its user alone."""

import json
import logging
import stat

import pytest

from raft_actors import Config, encoding
from raft_actors.audit import AuditFile, audit
from raft_actors.errors import RaftError
from raft_actors.kv_store import KVStore
from raft_actors.peer.peers import peers_of
from raft_actors.replica.requests import CONFIGURE, PART, SNAPSHOT, STOP, TRANSFER, WRITE
from raft_actors.wire.cookie import Cookie
from tests.helpers import eventually

SECRET = "the-cookie-of-the-members-of-this-test"


@pytest.fixture
def log(tmp_path):
    return tmp_path / "audit" / "log"


def events(log, kind=None):
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return [line for line in lines if kind in (None, line["event"])]


def test_nodes_that_come_and_go_are_told_with_role_and_address(make_node, log):
    a = make_node("a@one", cookie=SECRET, audit_log=log)
    b = make_node("b@one", cookie=Cookie(SECRET).text_for("client"))
    assert b.ping("a@one") == "pong"
    port = b._bridge._links["a@one"].connection.socket.getsockname()[1]
    b.stop()
    eventually(lambda: [each for each in events(log, "down") if each["by"] == "a@one"])
    (up,) = [each for each in events(log, "up") if each["by"] == "a@one"]
    assert (up["node"], up["by"], up["role"]) == ("b@one", "a@one", "client")
    assert up["at_address"] == f"127.0.0.1:{port}"
    (down,) = [each for each in events(log, "down") if each["by"] == "a@one"]
    assert (down["node"], down["role"], down["why"]) == ("b@one", "client", "connection_closed")
    a.stop()
    own = [each["event"] for each in events(log) if each.get("by", each["node"]) == "a@one"]
    assert own == ["node_started", "up", "down", "node_stopped"]
    assert all("T" in each["at"] for each in events(log))


def test_who_is_refused_is_told_at_both_ends(make_node, log):
    make_node("a@one", cookie=SECRET, audit_log=log)
    assert make_node("b@one", cookie="another" * 5).ping("a@one") == "pang"
    eventually(lambda: events(log, "refused") and events(log, "refused_by"))
    (refused,) = events(log, "refused")
    assert refused["node"] == "b@one"
    assert "the cookies differ" in refused["why"]
    assert events(log, "refused_by")[0]["node"] == "a@one"
    assert SECRET not in log.read_text()


def test_changes_of_members_stops_transfers_and_backups_are_told_and_no_command(
    make_node, log, tmp_path
):
    a = make_node("a@one", cookie=SECRET, audit_log=log)
    b = make_node("b@one", cookie=SECRET)
    assert peers_of(a).start(KVStore, "kv", Config(data_dir=tmp_path / "kv"))[0] == "ok"

    def ask(operation, arguments=(), node=b):
        payload = encoding.dumps(arguments)
        body = [operation, "kv", payload, 0, 1]
        return encoding.loads(peers_of(node).router.request(("kv", "a@one"), body).get(20))

    assert ask(CONFIGURE, ((("kv", "a@one"),), (), None, False), a)[0] == "ok"
    assert ask(WRITE, ("set", "name", "a payload"))[0] == "ok"
    index = ask(SNAPSHOT)[1]
    assert ask(PART, (index, 0))[0] == "ok"
    ask(PART, (index, 1))
    ask(TRANSFER, None)
    assert ask(STOP) == "ok"
    told = [(each["what"], each["node"], each["role"]) for each in events(log, "request")]
    assert told == [
        ("configure", "a@one", "member"),
        *[(what, "b@one", "member") for what in ("snapshot", "backup", "transfer", "stop")],
    ]
    assert all(each["peer"] == ["kv", "a@one"] for each in events(log, "request"))
    assert events(log, "members")[-1]["members"] == [["kv", "a@one"]]
    assert "payload" not in log.read_text()


def test_what_a_client_may_not_is_told(make_node, log):
    a = make_node("a@one", cookie=SECRET, audit_log=log)
    b = make_node("b@one", cookie=Cookie(SECRET).text_for("client"))
    peers_of(a)
    request = [STOP, "kv", encoding.dumps(()), 0, 1]
    answer = peers_of(b).router.request(("kv", "a@one"), request).get(20)
    assert encoding.loads(answer) == ("error", "not_allowed")
    (told,) = events(log, "not_allowed")
    assert (told["node"], told["role"], told["what"]) == ("b@one", "client", "ask a peer for stop")


def test_the_file_is_its_users_alone_and_bounded(make_node, log):
    make_node("a@one", audit_log=log)
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    file = AuditFile(log.with_name("small"), maxBytes=300, backupCount=2, encoding="utf-8")
    logger = logging.getLogger("raft_actors.audit")
    logger.addHandler(file)  # the node has turned it on
    try:
        for number in range(50):
            audit("test", number=number)
    finally:
        logger.removeHandler(file)
        file.close()
    files = sorted(log.parent.glob("small*"))
    assert len(files) == 3
    assert all(each.stat().st_size <= 300 for each in files)
    assert {stat.S_IMODE(each.stat().st_mode) for each in files} == {0o600}


def test_without_a_file_nothing_is_told(make_node, caplog):
    caplog.set_level(logging.DEBUG)
    make_node("a@one")
    assert not [each for each in caplog.records if each.name == "raft_actors.audit"]


def test_a_file_that_can_not_be_written_is_told_at_the_start(make_node, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RaftError, match=r"the audit log .*file/log can't be written"):
        make_node("a@one", audit_log=tmp_path / "file" / "log")
    make_node("a@one")
