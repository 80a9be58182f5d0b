"""Guests that send as fast as they can, over one connection or many: they are refused at last, and
neither members nor other guests wait for them.
"""

import socket
import threading
import time
from dataclasses import replace

import pytest

from raft_actors import Config, Raft, StateMachine, encoding
from raft_actors.node import actor_server
from raft_actors.node.remote_ref import RemoteError
from raft_actors.peer.admission import GuestShares
from raft_actors.peer.peers import peers_of
from raft_actors.peer.router import CLIENT as REQUEST
from raft_actors.replica.questions import Applied
from raft_actors.replica.requests import CONFIGURE, PARK, READ, STATUS, WRITE
from raft_actors.transport import link_sockets
from raft_actors.wire.cookie import Cookie
from raft_actors.wire.roles import CLIENT, MEMBER, READER
from supervision import Process
from tests.helpers import eventually
from tests.node_fixtures import QUICK, make_node, own_directories  # noqa: F401 - fixtures
from tests.node_helpers import KIND, Collector, Insider, hold
from tests.peer_fixtures import Gated

SECRET = "the-cookie-of-the-members-of-this-test"
COOKIES = {MEMBER: SECRET, **{each: Cookie(SECRET).text_for(each) for each in (CLIENT, READER)}}
PATIENT = replace(QUICK, ping_after_s=30.0, dead_after_s=30.0)  # insiders answer no ping
OVERLOADED = ("error", "overloaded")


# The shares.


def taken(shares, network, count=100, size=0):
    return sum(shares.take(network, size) for _ in range(count))


def test_one_network_may_have_half_and_leaves_something_for_each_that_comes():
    shares = GuestShares(60, 1_000)
    assert taken(shares, "a") == 30
    assert taken(shares, "b") == 15
    assert taken(shares, "c") == 8
    assert taken(shares, "d") >= 3
    for _ in range(30):
        shares.give("a", 0)
    assert taken(shares, "d") > 10
    assert "a" not in shares.networks


def test_bytes_are_shared_as_requests_are():
    shares = GuestShares(60, 1_000)
    assert taken(shares, "a", size=100) == 5
    assert taken(shares, "b", size=100) == 3
    assert shares.take("c", 900), (
        "the first is taken, whatever its size: the peer has its own limit"
    )
    assert not shares.take("c", 900)


def test_what_was_given_back_leaves_nothing_behind():
    shares = GuestShares(4, 100)
    for _ in range(50):
        assert shares.take("a", 10)
        shares.give("a", 10)
    assert (shares.networks, shares.count_left, shares.bytes_left) == ({}, 4, 100)


# At a real node.


@pytest.fixture
def member(make_node, tmp_path):  # noqa: F811
    """A node with a group of one peer, whose thread a command can hold up."""
    node = make_node("a@one", cookie=SECRET, limits=PATIENT)
    config = Config(data_dir=tmp_path, log_store="memory", proposals_max=40, parked_max=40)
    Gated.gate.clear()
    Gated.entered.clear()
    assert peers_of(node).start(Gated, "kv", config)[0] == "ok"
    arguments = encoding.dumps(((("kv", "a@one"),), (), None, False))
    assert encoding.loads(asked(node, CONFIGURE, arguments).get(20))[0] == "ok"
    yield node
    Gated.gate.set()
    peers_of(node).stop("kv")


def asked(node, operation, payload, number=1):
    body = [operation, "kv", payload, 0, number]
    return peers_of(node).router.request(("kv", "a@one"), body)


def write(value):
    return encoding.dumps(("set", "k", value))


@pytest.fixture
def enter(request):
    """Connect as a node of a role, from an address of the loopback."""

    def enter(node, name, role=CLIENT, host="127.0.0.1"):
        sock = socket.create_connection(("127.0.0.1", node.port), 10, source_address=(host, 0))
        request.addfinalizer(sock.close)
        insider = Insider(sock, name, COOKIES[role])
        insider.enter(node)
        return insider

    return enter


def replies(insider, count):
    """The next answers that this node gets, by the numbers of its calls."""
    found = {}
    while len(found) < count:
        frames = insider.next_frame()
        for _kind, body, call in frames if type(frames[0]) is list else [frames]:
            found[call] = encoding.loads(body)
    return found


def flood(insider, operation, payload, count):
    for number in range(1, count + 1):
        insider.send_frame([REQUEST, [operation, "kv", payload, 0, number], number])


@pytest.mark.parametrize(("role", "operation"), [(CLIENT, WRITE), (READER, READ)])
def test_requests_of_one_host_are_refused_while_there_is_room_for_others(
    member, enter, role, operation
):
    """By however many connections. Planted: guests are not counted; they are counted by name."""
    payload = write(1) if operation == WRITE else encoding.dumps(("get", "k"))
    held = asked(member, WRITE, encoding.dumps("wait"))
    assert Gated.entered.wait(10)
    flooding = [enter(member, f"g{number}@evil", role) for number in range(4)]
    for each in flooding:
        flood(each, operation, payload, 30)
    refused = [reply for each in flooding for reply in replies(each, 10).values()]
    assert set(refused) == {OVERLOADED}
    other = enter(member, "honest@three", role, host="127.0.0.3")
    flood(other, operation, payload, 3)
    own = asked(member, WRITE, write("of a member"), 7)
    time.sleep(0.05)  # for what should not come
    assert not own.done()
    Gated.gate.set()
    assert held.get(20)
    assert encoding.loads(own.get(20)) == ("ok", "k", "of a member")
    assert OVERLOADED not in replies(other, 3).values()
    assert all(reply != OVERLOADED for reply in replies(flooding[0], 1).values())
    peer = next(iter(peers_of(member).stores.values()))
    eventually(lambda: peer.admission.guests.networks == {})


def test_parked_calls_of_one_host_are_refused_while_there_is_room_for_others(member, enter):
    """A quarter is for each name, and names are made up. Planted: only names are counted."""
    payload = encoding.dumps(Applied(1_000).encodable())
    for number in range(6):
        insider = enter(member, f"g{number}@evil", READER)
        flood(insider, PARK, payload, 12)
        refused = replies(insider, 2)
        assert set(refused.values()) == {OVERLOADED}
    honest = enter(member, "honest@three", READER, host="127.0.0.3")
    flood(honest, PARK, payload, 5)
    honest.send_frame([REQUEST, [STATUS, "kv", encoding.dumps(()), 0, 99], 99])
    assert [*replies(honest, 1)] == [99], "the parked calls are open"


# Whose turn it is.


def test_members_are_read_before_guests_and_guests_in_turn(make_node, enter, monkeypatch):  # noqa: F811
    """Planted: everybody in the order in which they are found ready; the first guest always."""
    monkeypatch.setattr(link_sockets, "GUESTS_S", 0.0)
    node = make_node("a@one", cookie=SECRET, limits=PATIENT)
    seen = Collector(node)
    guests = [enter(node, f"g{number}@evil") for number in range(3)]
    friend = enter(node, "b@two", MEMBER)
    eventually(lambda: len(node.list()) == 4)
    release = hold(node)
    for each in guests:
        each.send_frame([KIND, "of a guest"])
    friend.send_frame([KIND, "of a member"])
    time.sleep(0.05)  # until the kernel has brought all of it
    release()
    eventually(lambda: len(seen.bodies) == 4)
    assert seen.bodies[0] == ("b@two", "of a member")
    assert sorted(node for node, _body in seen.bodies[1:]) == ["g0@evil", "g1@evil", "g2@evil"]


def test_a_guest_that_never_stops_lets_others_have_their_turn(make_node, enter, monkeypatch):  # noqa: F811
    monkeypatch.setattr(link_sockets, "GUESTS_S", 0.0)
    node = make_node("a@one", cookie=SECRET, limits=PATIENT)
    heard = set()
    node.on_frames(KIND, lambda frames: heard.update((each.node, each.body) for each in frames))
    over = threading.Event()
    loud = [enter(node, f"g{number}@evil") for number in range(3)]
    quiet, friend = enter(node, "quiet@three"), enter(node, "b@two", MEMBER)

    def shout(insider):
        while not over.is_set():
            insider.send_frame([KIND, "noise"])

    threads = [threading.Thread(target=shout, args=(each,)) for each in loud]
    for each in threads:
        each.start()
    try:
        for number in range(20):
            quiet.send_frame([KIND, number])
            friend.send_frame([KIND, number])
            for name in ("quiet@three", "b@two"):
                eventually(lambda name=name, number=number: (name, number) in heard)
    finally:
        over.set()
        for each in threads:
            each.join()


# Actors.


class Held(Process):
    def init(self, gate):
        self.gate = gate

    def on_receive(self, message):
        self.gate.wait(20)
        return message


def test_messages_of_guests_to_an_actor_that_is_behind_are_refused(
    make_node, monkeypatch, caplog  # noqa: F811
):  # fmt: skip
    """Planted: they are put into its inbox, until the memory is full."""
    monkeypatch.setattr(actor_server, "WAITING_MAX", 50)
    node = make_node("a@one", cookie=SECRET)
    guest = make_node("g@two", cookie=COOKIES[CLIENT])
    friend = make_node("b@two", cookie=SECRET)
    gate = threading.Event()
    actor = Held.start(gate)
    node.register("actor", actor)
    try:
        for_guest, for_friend = (each.whereis(("actor", "a@one")) for each in (guest, friend))
        for _ in range(200):
            for_guest.tell("a message")
        with pytest.raises(RemoteError) as error:
            for_guest.ask("a question", timeout=20)
        assert error.value.type_name == "Overloaded"
        assert sum("faster than it handles them" in line for line in caplog.messages) == 1
        assert actor.actor_inbox.waiting() <= 50
        answer = for_friend.ask("a question", block=False)
        gate.set()
        assert answer.get(timeout=20) == "a question"
        assert for_guest.ask("later", timeout=20) == "later"
    finally:
        gate.set()
        actor.stop()


def test_the_bytes_that_wait_for_an_actor_are_bounded_too(monkeypatch):
    monkeypatch.setattr(actor_server, "WAITING_BYTES_MAX", 100)

    class Inbox:
        def qsize(self):
            return 10

    assert not actor_server.is_full(Inbox(), [b"x" * 10])
    assert actor_server.is_full(Inbox(), [b"x" * 11])


# Reads that take long.


class Slow(StateMachine):
    def init(self, name):
        return {}

    def handle_write(self, command, state):
        return "ok", state

    def handle_read(self, query, state):
        time.sleep(0.01)
        return "read"


def test_a_leader_with_many_slow_reads_leads_on(trio):
    """Planted: they are all answered in one batch, and no heartbeat leaves meanwhile."""
    names = trio(Slow, min_election_timeout=0.4, max_election_timeout=0.8)
    leader = eventually(lambda: Raft.leader(names[0]))
    term = Raft.status(leader)[1]["current_term"]
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(Raft.read(leader, "q", timeout=30)))
        for _ in range(200)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert answers == ["read"] * 200
    assert Raft.status(leader)[1]["current_term"] == term
