"""What the audit log tells, and not: no secret; that it is bounded, and for its user alone."""

import json
import logging
import resource
import socket
import stat

import pytest

from raft_actors import Config, encoding
from raft_actors.audit import AuditFile, audit
from raft_actors.errors import RaftError
from raft_actors.kv_store import KVStore
from raft_actors.peer.peers import peers_of
from raft_actors.replica.requests import CONFIGURE, PART, RESEED, SNAPSHOT, STOP, TRANSFER, WRITE
from raft_actors.wire.cookie import Cookie
from raft_actors.wire.roles import MEMBER
from tests.certificates import Authority
from tests.helpers import eventually
from tests.node.test_cookie_file import write

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
    assert ask(RESEED)[0] == "error", "there is nobody to hand over to"
    assert ask(STOP) == "ok"
    told = [(each["what"], each["node"], each["role"]) for each in events(log, "request")]
    assert told == [
        ("configure", "a@one", "member"),
        *[
            (what, "b@one", "member")
            for what in ("snapshot", "backup", "transfer", "reseed", "stop")
        ],
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


def test_a_file_that_others_could_read_is_made_private(make_node, log):
    log.parent.mkdir()
    log.touch(mode=0o644)
    make_node("a@one", audit_log=log)
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert events(log, "node_started")


def test_a_disk_that_is_full_is_told_once_and_stops_no_node(make_node, caplog, capfd):
    """Planted: let `logging` print a traceback for each event, and close the file with an error."""
    node = make_node("a@one", audit_log="/dev/full")
    for _ in range(5):
        audit("test")
    node.stop()
    lines = [line for line in caplog.messages if "audit log /dev/full" in line]
    assert len(lines) == 1
    assert "events are lost until it can" in lines[0]
    assert "No space left" in lines[0]
    assert "Traceback" not in capfd.readouterr().err


def test_what_was_lost_is_counted_and_a_line_that_was_cut_off_spoils_no_other(
    make_node, log, caplog
):
    make_node("a@one", audit_log=log)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size + 20, before[1]))
    try:
        for _ in range(3):
            audit("lost")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    audit("written")
    assert "is written again; 3 events are lost" in caplog.text
    _started, cut_off, written = log.read_text().splitlines()
    assert len(cut_off) == 20
    assert json.loads(written)["event"] == "written"


@pytest.mark.parametrize("how", ["renamed", "removed", "its directory, too"])
def test_a_file_that_is_taken_away_is_begun_anew(make_node, log, how):
    """As logrotate does. Planted: write on into the renamed one."""
    make_node("a@one", audit_log=log)
    old = log.with_name("old")
    if how == "renamed":
        log.rename(old)
    else:
        log.unlink()
    if how == "its directory, too":
        log.parent.rmdir()
        audit("lost")
        log.parent.mkdir()
    audit("test")
    assert [each["event"] for each in events(log)] == ["test"]
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    if how == "renamed":
        assert [each["event"] for each in events(old)] == ["node_started"]


def test_two_nodes_do_not_share_a_file(make_node, log):
    """Each would rename it away from the other."""
    first = make_node("a@one", audit_log=log)
    with pytest.raises(RaftError, match=r"another node writes the audit log .*: give each node"):
        make_node("b@one", audit_log=log)
    first.stop()
    make_node("b@one", audit_log=log)


def test_no_name_and_no_text_of_others_makes_a_line_of_its_own(make_node, log):
    make_node("a@one", audit_log=log)
    audit("test", node='x"\n{"event": "forged"}\r\u2028\x1b[31m\udc80', why=[{"\n": None}])
    assert [each["event"] for each in events(log)] == ["node_started", "test"]
    assert log.read_text().isascii()


def test_a_handler_of_the_program_is_told_after_a_node_has_ended(make_node, log, caplog):
    """Planted: turn the logger off with the file."""
    logger = logging.getLogger("raft_actors.audit")
    logger.addHandler(caplog.handler)
    caplog.set_level(logging.INFO, logger.name)
    try:
        make_node("a@one", audit_log=log).stop()
        audit("test")
    finally:
        logger.removeHandler(caplog.handler)
    assert '"event": "test"' in caplog.text


def test_cookies_and_certificates_that_are_read_again_are_told(make_node, log, tmp_path):
    authority = Authority(tmp_path)
    node = make_node("a@one", audit_log=log, tls=authority.issue("DNS:one"))
    write(MEMBER, SECRET)
    eventually(lambda: events(log, "cookies"))
    assert events(log, "cookies")[0]["first"] == Cookie(SECRET).id.hex()
    authority.issue("DNS:one")
    socket.create_connection(("127.0.0.1", node.port), 10).close()
    eventually(lambda: events(log, "certificate"))
    (told,) = events(log, "certificate")
    assert told["node"] == "a@one"
    assert len(told["sha256"]) == 64
    assert SECRET not in log.read_text()


def test_without_a_file_nothing_is_told(make_node, caplog):
    caplog.set_level(logging.DEBUG)
    make_node("a@one")
    assert not [each for each in caplog.records if each.name == "raft_actors.audit"]


def test_a_file_that_can_not_be_written_is_told_at_the_start(make_node, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RaftError, match=r"the audit log .*file/log can't be written"):
        make_node("a@one", audit_log=tmp_path / "file" / "log")
    make_node("a@one")
