"""Peers on different nodes: what travels between them, and what comes from strangers."""

import threading

import pytest

from raft_actors import Config, Raft, encoding
from raft_actors.core.messages import AppendEntries
from raft_actors.kv_store import KVStore
from raft_actors.peer.message_codec import pack
from raft_actors.peer.peers import peers_of
from raft_actors.peer.router import CLIENT, RAFT
from raft_actors.replica.requests import CONFIGURE, ENTRY, SNAPSHOT, STATUS, STOP, WRITE
from raft_actors.stores.memory import MemoryStore
from raft_actors.transport.limits import BridgeLimits
from raft_actors.transport.reactor import DRIVING
from raft_actors.wire.versions import newest
from supervision import kill
from tests.helpers import eventually
from tests.node_fixtures import (  # noqa: F401 - fixtures
    make_any_node,
    make_memory_node,
    make_node,
    network,
    own_directories,
)

KIB = 1024
SMALL = Config(
    log_store="memory", frame_bytes_max=128 * KIB, command_bytes_max=64 * KIB,
    append_bytes_max=64 * KIB,
)  # fmt: skip


SILENT = BridgeLimits(ping_after_s=600.0)
"""Nodes that send nothing of their own."""


def change_to(members):
    return encoding.dumps((tuple(members), (), None, False))


class Group:
    """One peer, `kv`, on each of three nodes of this process.

    configs  of the nodes and their peers, where it is not `config`, by their letters
    late     the letters of nodes that are members, and not started yet
    """

    def __init__(self, start_node, directory, config, configs=None, late=""):
        self.configs = dict.fromkeys("abc", config) | (configs or {})
        self.start_node, self.directory = start_node, directory
        self.nodes = [self.start_one(letter) for letter in "abc" if letter not in late]
        host = self.nodes[0].name.partition("@")[2]
        self.members = tuple(("kv", f"{letter}@{host}") for letter in "abc")
        for node in self.nodes:
            self.start(node)
        answer = self.ask(self.nodes[0], self.members[0], CONFIGURE, change_to(self.members))
        assert answer[0] == "ok", answer

    def start_one(self, letter):
        return self.start_node(letter, config=self.configs[letter], limits=SILENT)

    def start(self, node):
        config = Config.of(self.configs[node.name[0]], data_dir=self.directory / node.name)
        answer = peers_of(node).start(KVStore, "kv", config)
        assert answer[0] == "ok", answer

    def ask(self, node, address, operation, payload=None):
        payload = encoding.dumps(()) if payload is None else payload
        answer = (
            peers_of(node).router.request(address, [operation, address[0], payload, 0, 1]).get(10)
        )
        return encoding.loads(answer) if isinstance(answer, bytes) else answer

    def status(self, node):
        return self.ask(node, ("kv", node.name), STATUS)[1]

    def write(self, key, value):
        return self.ask(self.nodes[0], self.members[0], WRITE, encoding.dumps(("set", key, value)))

    def peer(self, node):
        return peers_of(node).running["kv"]

    def end(self):
        for node in self.nodes:
            peers_of(node).stop("kv")


@pytest.fixture
def group(make_any_node, tmp_path):  # noqa: F811
    group = Group(make_any_node, tmp_path, SMALL)
    yield group
    group.end()


def test_a_follower_far_behind_catches_up_in_frames_that_fit(group, caplog):
    """Planted: all messages for one target in one frame, FrameTooLarge ends the leader."""
    a, _b, c = group.nodes
    leader = group.peer(a)
    peers_of(c).stop("kv")
    for n in range(40):
        assert group.write(n, b"x" * 40 * KIB)[0] == "ok"
    group.start(c)
    last = group.status(a)["commit_index"]
    eventually(lambda: group.status(c)["last_applied"] >= last)
    assert group.peer(a) is leader
    assert group.status(a)["current_state"] == "leader", "and it has led all the time"
    assert "can't send" not in caplog.text


def test_a_command_that_fits_no_frame_is_refused_by_the_leader_too(group):
    """A client with larger bounds of its own may send it. Planted: take it into the log."""
    leader = group.peer(group.nodes[0])
    assert group.write("k", b"x" * 120 * KIB) == ("error", "command_too_large")
    assert group.write("k", 1) == ("ok", "k", 1)
    assert group.peer(group.nodes[0]) is leader


LARGE = Config(
    log_store="memory", snapshot_trailing=1, min_election_timeout=0.3, max_election_timeout=0.6
)
LATE = Config.of(SMALL, min_election_timeout=3.0, max_election_timeout=5.0)
"""A small node's peer that leaves it to others to lead."""


@pytest.fixture
def unequal(make_any_node, tmp_path):  # noqa: F811
    """Groups whose nodes take frames of different sizes, led by a, which takes the largest."""
    groups = []

    def make(**options):
        groups.append(Group(make_any_node, tmp_path, LARGE, **options))
        return groups[-1]

    yield make
    for group in groups:
        group.end()


def test_a_command_that_no_frame_to_a_member_holds_is_refused(unequal):
    """Planted: a leader asks its own bound alone. Then it sends the entry again and again."""
    group = unequal(configs={"b": LATE, "c": LATE})
    assert group.write("k", b"x" * 120 * KIB) == ("error", "command_too_large")
    assert group.write("k", b"x" * 60 * KIB)[0] == "ok"
    assert "troubles" not in group.status(group.nodes[0])


@pytest.mark.parametrize("compacted", [False, True])
def test_a_follower_with_small_frames_catches_up(unequal, compacted):
    """Planted: appends, and parts of snapshots, as large as the leader's own frames hold.

    Whichever of a and b leads: on a busy host the leadership may move from one to the other.
    """
    group = unequal(configs={"c": LATE})
    a, b, c = group.nodes
    peers_of(c).stop("kv")

    def is_written(key, value):
        command = encoding.dumps(("set", key, value))
        return any(group.ask(a, ("kv", node.name), WRITE, command)[0] == "ok" for node in (a, b))

    for n in range(40):
        eventually(lambda n=n: is_written(n, b"x" * 40 * KIB))

    def is_compacted():
        written = is_written("one more", 1)
        for node in (a, b):
            group.ask(node, ("kv", node.name), SNAPSHOT)
        return written and all(group.status(node)["first_index"] > 40 for node in (a, b))

    if compacted:
        eventually(is_compacted)  # once c is no longer taken for alive
    group.start(c)
    last = group.status(a)["commit_index"]
    eventually(lambda: group.status(c)["last_applied"] >= last)


def test_a_member_that_can_not_be_sent_an_entry_is_a_trouble_until_it_has_it(unequal):
    """c came when the entry was in the log: its bound could not be known. A snapshot helps."""
    group = unequal(configs={"c": LATE}, late="c")
    a = group.nodes[0]
    assert group.write("k", b"x" * 500 * KIB)[0] == "ok"
    c = group.start_one("c")
    group.start(c)
    eventually(lambda: "troubles" in group.status(a))
    [trouble] = group.status(a)["troubles"]
    assert "is too large to be sent to" in trouble
    assert f"frame_bytes_max on {c.name}" in trouble
    assert group.write("k", b"x" * 120 * KIB) == ("error", "command_too_large"), "it is known now"
    assert group.write("other", 1)[0] == "ok"
    assert group.ask(a, ("kv", a.name), SNAPSHOT)[0] == "ok"
    last = group.status(a)["commit_index"]
    eventually(lambda: group.status(c)["last_applied"] >= last)
    eventually(lambda: "troubles" not in group.status(a))


def test_a_member_on_a_node_whose_name_can_not_be_ends_nobody(group, caplog):
    """Planted: let cast raise BadName through the founder."""
    a = group.nodes[0]
    peers_of(a).start(KVStore, "other", Config(log_store="memory"))
    other = peers_of(a).running["other"]
    members = (("other", a.name), ("other", "no node"))
    answer = group.ask(a, members[0], CONFIGURE, change_to(members))
    assert answer[0] == "error"
    assert peers_of(a).running["other"] is other
    peers_of(a).stop("other")


def test_followers_have_the_entries_while_the_leader_writes_its_own(
    make_any_node,  # noqa: F811
    tmp_path,
    monkeypatch,
):
    """Thesis 10.2.1. Planted: hand frames to the kernel at the end of the batch only.

    Nobody stands for election meanwhile: a new leader's entry would look like the one awaited.
    """
    patient = Config.of(SMALL, min_election_timeout=20.0, max_election_timeout=30.0)
    group = Group(make_any_node, tmp_path, patient)
    a, b, _c = group.nodes
    leader = group.peer(a)
    before = group.status(b)["last_index"]
    release = threading.Event()
    save = MemoryStore.save

    def slow(store, ballot, first, entries):
        if entries and store.path.name == a.name:
            release.wait(90)  # longer than anybody waits below
        save(store, ballot, first, entries)

    monkeypatch.setattr(MemoryStore, "save", slow)
    future = peers_of(a).router.request(
        group.members[0], [WRITE, "kv", encoding.dumps(("set", "k", 1)), 0, 1]
    )
    try:
        eventually(lambda: group.status(b)["last_index"] == before + 1)
        assert not future.done()
    finally:
        release.set()
    assert encoding.loads(future.get(5)) == ("ok", "k", 1)
    assert group.peer(a) is leader
    group.end()


def test_a_request_that_wants_no_answer_harms_nobody(group):
    """Planted: answer it all the same, and the peer ends."""
    a, b, _c = group.nodes
    leader = group.peer(a)
    b.cast(a.name, CLIENT, [WRITE, "kv", encoding.dumps(("set", "k", 1)), 0, 1])
    b.cast(a.name, CLIENT, [STOP, "kv", b"", 1, 1])
    b.cast(a.name, CLIENT, [STOP, ["kv"], b"", 1, 1])
    assert group.ask(b, group.members[0], STATUS)[0] == "ok"
    assert group.write("k", 2) == ("ok", "k", 2)
    assert group.peer(a) is leader


def test_a_term_too_high_to_go_on_from_is_refused(group):
    """Planted: take any number. One such message, and nobody could ever stand again."""
    a, b, _c = group.nodes
    term = group.status(a)["current_term"]
    b.cast(a.name, RAFT, ["kv", "kv", "", [[2, 2**64 - 2, 9, 9, True]]])
    assert group.ask(b, group.members[0], STATUS)[0] == "ok"
    assert group.status(a)["current_term"] == term


def test_an_entry_that_is_no_term_can_be_looked_at(group):
    """Planted: decode it without a doubt, and the peer that is asked ends."""
    a = group.nodes[0]
    leader = group.peer(a)
    answer = group.ask(a, group.members[0], WRITE, b"\xc1")
    assert answer[1][0] == "exception"
    last = group.status(a)["last_index"]
    ok, entry = group.ask(a, group.members[0], ENTRY, encoding.dumps((last,)))
    assert (ok, entry["data"]) == ("ok", b"\xc1")
    assert group.peer(a) is leader


class Hanging(KVStore):
    """A machine whose commands wait for a test."""

    go_on = threading.Event()

    def handle_write(self, command, state):
        self.go_on.wait(10.0)
        return super().handle_write(command, state)


def test_a_node_hears_others_while_its_only_peer_hangs_in_a_command(make_any_node, tmp_path):  # noqa: F811
    """The peer's thread does the bridge's work when it has none of its own, and only then."""
    a, b = make_any_node("a", config=SMALL), make_any_node("b", config=SMALL)
    Hanging.go_on.clear()
    assert peers_of(a).start(Hanging, "kv", Config.of(SMALL, data_dir=tmp_path))[0] == "ok"
    address = ("kv", a.name)

    def ask(operation, payload):
        body = [operation, "kv", payload, 0, 1]
        return peers_of(b).router.request(address, body)

    try:
        assert encoding.loads(ask(CONFIGURE, change_to([address])).get(10))[0] == "ok"
        write = ask(WRITE, encoding.dumps(("set", "key", 1)))
        for _ in range(3):
            assert b.ping(a.name) == "pong"
        assert not write.done()
        Hanging.go_on.set()
        assert encoding.loads(write.get(10)) == ("ok", "key", 1)
        eventually(lambda: a._bridge.reactor._away_since == DRIVING)
        assert b.ping(a.name) == "pong"
    finally:
        Hanging.go_on.set()
        peers_of(a).stop("kv")


def test_a_second_peer_takes_the_bridge_s_work_from_the_first(make_any_node, tmp_path):  # noqa: F811
    a, b = make_any_node("a", config=SMALL), make_any_node("b", config=SMALL)
    peers = peers_of(a)
    reactor = a._bridge.reactor
    for name in ("one", "two"):
        assert peers.start(KVStore, name, Config.of(SMALL, data_dir=tmp_path / name))[0] == "ok"
        address = (name, a.name)
        founded = peers_of(b).router.request(address, [CONFIGURE, name, change_to([address]), 0, 1])
        assert encoding.loads(founded.get(10))[0] == "ok"
    assert b.ping(a.name) == "pong"
    eventually(lambda: reactor._away_since != DRIVING)
    peers.stop("two")
    assert b.ping(a.name) == "pong"
    peers.stop("one")
    assert b.ping(a.name) == "pong"


@pytest.mark.parametrize("size", [1 << 20, 64 << 20], ids=["1 MiB", "64 MiB"])
def test_a_large_value_reaches_every_member_where_the_bounds_are_set_for_it(
    make_node, tmp_path, size  # noqa: F811
):  # fmt: skip
    config = Config(
        log_store="memory", command_bytes_max=65 << 20, frame_bytes_max=66 << 20,
        link_queue_bytes=256 << 20, min_election_timeout=3.0, max_election_timeout=6.0,
    )  # fmt: skip
    group = Group(make_node, tmp_path, config)
    try:
        value = b"x" * size
        # On a busy machine the leader may have lost its followers before they had the whole of it.
        eventually(lambda: group.write("key", value) == ("ok", "key", value))
        goal = group.status(group.nodes[0])["commit_index"]
        for node in group.nodes:
            eventually(lambda node=node: group.status(node)["last_applied"] >= goal)
    finally:
        group.end()


def test_a_value_of_64_mib_is_refused_at_the_caller_with_the_bound_to_raise(group):
    with pytest.raises(ValueError, match="more than Config"):
        Raft.write(group.members[0], ("set", "key", b"x" * (64 << 20)))


def test_who_waits_for_a_peer_that_is_killed_hears_of_it_although_nobody_sends(
    make_any_node,  # noqa: F811
    gated,
    tmp_path,
):
    """Planted: the refusals stay queued on the killer's thread, until a ping takes them along."""
    a, b = make_any_node("a", limits=SILENT), make_any_node("b", limits=SILENT)
    here, there = peers_of(a), peers_of(b)
    config = Config(log_store="memory", data_dir=tmp_path)
    assert there.start(gated, "kv", config)[0] == "ok"
    address = ("kv", b.name)

    def ask(operation, payload, number):
        return here.router.request(address, [operation, "kv", encoding.dumps(payload), 0, number])

    assert encoding.loads(ask(CONFIGURE, ((address,), (), None, False, ()), 1).get(10))[0] == "ok"
    ask(WRITE, "wait", 2)
    assert gated.entered.wait(10)
    waits = ask(WRITE, ("set", "b", 2), 3)
    eventually(lambda: there.hosted[there.running["kv"]].admission.count_in == 3)
    kill(there.supervisors["kv"])
    kill(there.running["kv"])
    assert encoding.loads(waits.get(10)) == ("error", "no_peer")


def test_a_claim_of_a_node_that_is_no_member_is_ignored_and_told_of_once(group, caplog):
    """Though it has the cookie, and knows the group's id."""
    outsider, follower = group.start_node("x", config=SMALL, limits=SILENT), group.nodes[1]
    before = group.status(follower)
    claim = AppendEntries(
        source=("kv", outsider.name), target=("kv", follower.name), group=before["group"],
        term=before["current_term"] + 9, prev_index=0, prev_term=0, commit=0, round=0,
    )  # fmt: skip
    packed = pack(claim, newest())
    for _ in range(5):
        outsider.cast(follower.name, RAFT, ["kv", "kv", before["group"], 0, 0, [packed]])
        outsider.flush()
    told = "claims to lead the group"
    eventually(lambda: told in caplog.text)
    assert group.write("k", 1) == ("ok", "k", 1)
    after = group.status(follower)
    for what in ("current_term", "leader", "current_state"):
        assert after[what] == before[what]
    assert sum(told in line for line in caplog.messages) == 1
