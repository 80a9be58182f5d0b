"""How many clients and readers may be connected, and who gives way when they are too many."""

import json
import logging
import resource
import socket
from dataclasses import replace

import pytest

from raft_actors.transport.guests import half_of_the_files
from raft_actors.wire.cookie import Cookie
from raft_actors.wire.handshake import Refusal
from raft_actors.wire.roles import CLIENT, MEMBER, READER
from tests.helpers import eventually
from tests.node_fixtures import QUICK
from tests.node_helpers import Insider

SECRET = "the-cookie-of-the-members-of-this-test"
COOKIES = {MEMBER: SECRET, **{each: Cookie(SECRET).text_for(each) for each in (CLIENT, READER)}}
PATIENT = replace(QUICK, ping_after_s=30.0, dead_after_s=30.0)  # insiders answer no ping


@pytest.fixture
def enter(request):
    """Connect as a node of a role, from an address of the loopback."""

    def enter(node, name, role=CLIENT, host="127.0.0.1", incarnation=b"12345678", **known):
        sock = socket.create_connection(("127.0.0.1", node.port), 10, source_address=(host, 0))
        request.addfinalizer(sock.close)
        insider = Insider(sock, name, COOKIES[role], incarnation)
        insider.enter(node, **known)
        return insider

    return enter


@pytest.fixture
def full(make_node, enter):
    """A node that has taken in all the guests that it may, from one host."""
    node = make_node("a@one", cookie=SECRET, limits=replace(PATIENT, guests_max=4))
    for number in range(4):
        enter(node, f"g{number}@evil", (CLIENT, READER)[number % 2])
    return node


def test_a_guest_too_many_is_refused_and_both_ends_say_why(full, enter, caplog):
    eventually(lambda: len(full.list()) == 4)
    with pytest.raises(Refusal, match=r"has 4 connections of clients and readers.*ulimit -n"):
        enter(full, "g4@evil")
    assert len(full.list()) == 4
    eventually(lambda: "dropped g4@evil" in caplog.text)


def test_a_place_that_a_guest_has_left_is_free(full, enter):
    assert full.disconnect("g0@evil")
    enter(full, "g4@evil")
    with pytest.raises(Refusal):
        enter(full, "g5@evil")


def test_a_guest_that_connects_again_takes_its_own_place(full, enter):
    for dial in (1, 2):
        sock = socket.create_connection(("127.0.0.1", full.port), 10)
        Insider(sock, "g0@evil", COOKIES[CLIENT], b"incarna%d" % dial).enter(full)
        sock.close()
        eventually(lambda: "g0@evil" not in full.list())
    enter(full, "g0@evil")
    eventually(lambda: len(full.list()) == 4)


def test_members_are_not_counted(full, enter):
    enter(full, "b@two", MEMBER)
    eventually(lambda: "b@two" in full.list())


def test_who_has_many_connections_gives_way_to_who_has_few(full, enter):
    """The oldest of the host with the most goes, until the others have as many."""
    enter(full, "honest@three", host="127.0.0.3")
    eventually(lambda: sorted(full.list()) == ["g1@evil", "g2@evil", "g3@evil", "honest@three"])
    enter(full, "other@three", host="127.0.0.3")
    with pytest.raises(Refusal):
        enter(full, "third@three", host="127.0.0.3")
    enter(full, "fourth@four", host="127.0.0.4")
    rest = ["fourth@four", "g3@evil", "honest@three", "other@three"]
    eventually(lambda: sorted(full.list()) == rest)


def test_half_of_the_files_that_a_process_may_open_are_left_to_it(monkeypatch):
    """A reader's cookie and as many connections as the process had files stopped its peers."""
    monkeypatch.setattr(resource, "getrlimit", lambda _what: (1024, 4096))
    assert half_of_the_files() == 512
    monkeypatch.setattr(resource, "getrlimit", lambda _what: (resource.RLIM_INFINITY,) * 2)
    assert half_of_the_files() > 1 << 30


def test_guests_that_come_and_go_do_not_fill_the_logs(make_node, enter, caplog, tmp_path):
    """One could push every older event out of the audit log in some minutes. Planted: no limit."""
    caplog.set_level(logging.INFO)
    limits = replace(PATIENT, guest_log_burst=6)
    node = make_node("a@one", cookie=SECRET, limits=limits, audit_log=tmp_path / "audit")
    for number in range(20):
        guest = enter(node, f"g{number}@evil")
        if number % 2:
            guest.say(guest.framed(b"\xc1"))
        guest.sock.close()
        eventually(lambda: node.list() == [])
    enter(node, "b@two", MEMBER)
    eventually(lambda: "b@two is up" in caplog.text)
    assert sum("@evil" in line for line in caplog.messages) < 20, "without a limit: 90"
    told = [json.loads(line) for line in (tmp_path / "audit").read_text().splitlines()]
    assert sum(each.get("node", "").endswith("@evil") for each in told) < 10
    assert told[-1]["node"] == "b@two"


def role_now(node, name):
    """The role of the node called `name`; None between two of its connections."""
    connection = node._bridge._links[name].connection
    return connection and connection.role


def test_a_guest_can_not_have_a_member_taken_for_one_that_was_replaced(make_node, enter):
    """Anybody is told a node's incarnation who dials it. Two guests with the member's name, the
    first of them with its incarnation, and the member could not dial anew. Planted: remember what
    guests were replaced.
    """
    node = make_node("a@one", cookie=SECRET, limits=PATIENT)
    for role, incarnation in ((CLIENT, b"of the b"), (CLIENT, b"another!"), (MEMBER, b"of the b")):
        enter(node, "b@two", role, incarnation=incarnation)
        eventually(lambda role=role: role_now(node, "b@two") == role)
    first = node._bridge._links["b@two"].connection
    enter(node, "b@two", MEMBER, incarnation=b"of the b", dial=2)
    eventually(lambda: node._bridge._links["b@two"].connection not in (None, first))
