"""Where a command is in the log and when it was written, as its machine sees it."""

import pytest

from raft_actors import Cluster, Meta, OnDiskStateMachine, Raft, StateMachine, encoding
from raft_actors.core.entry import COMMAND, NOOP, command_of, encode, kind_of
from raft_actors.machine.replicated_state import ReplicatedState
from raft_actors.machine.sessions import NEW
from tests.helpers import eventually
from tests.peer_fixtures import peer_of

NOON_MS = 1_800_000_000_000
HOUR_MS = 3_600_000


def as_values(meta):
    return meta.index, meta.term, meta.time_ms, meta.request


class Journal(StateMachine):
    """Keeps what it was told beside each command."""

    def init(self, name):
        return []

    def handle_write(self, command, state):
        if command == "raise":
            raise ValueError(str(self.meta.index))
        return as_values(self.meta), [*state, (command, *as_values(self.meta))]

    def handle_read(self, query, state):
        return as_values(self.meta) if query == "now" else state


class JournalOnDisk(OnDiskStateMachine):
    def handle_write(self, command, state):
        state[str(self.meta.index)] = as_values(self.meta)
        return self.meta.time_ms, state

    def handle_read(self, query, state):
        return as_values(self.meta) if query == "now" else dict(state.items())


class Applied:
    """A replica that is given entries, as the applier and `recover replay` give them."""

    def __init__(self, machine=Journal, directory=None):
        self.state = ReplicatedState(machine(), "peer", *([directory] if directory else []))

    def add(self, command, time_ms=0, *, term=1, request=(0, 0), kind=COMMAND):
        state = self.state
        payload = b"" if request[0] == NEW or kind == NOOP else encoding.dumps(command)
        entry = encode(term, kind, payload, request, time_ms, index=state.index + 1)
        state.begin_batch()
        state.entry = entry
        answer = state.write(*command_of(entry)) if kind_of(entry) == COMMAND else b""
        state.index += 1
        state.end_batch()
        return encoding.loads(answer[10:] if answer[:2] == b"\xc1\xc1" else answer) if answer else 0

    def read(self, query):
        return encoding.loads(self.state.read(encoding.dumps(query)))


def test_a_command_sees_its_index_its_term_and_the_time_of_its_leader():
    applied = Applied()
    applied.add("", kind=NOOP)
    assert applied.add("a", NOON_MS, term=3) == (2, 3, NOON_MS, None)
    assert applied.add("b", NOON_MS + 1, term=4) == (3, 4, NOON_MS + 1, None)
    assert applied.add("raise", NOON_MS + 2) == ("error", ("exception", "ValueError", "4"))


@pytest.mark.parametrize("behind_ms", [1, HOUR_MS, NOON_MS])
def test_time_stands_still_while_the_clock_of_a_new_leader_is_behind(behind_ms):
    """Also if it shows a time before 1970, which an entry holds as 0."""
    applied = Applied()
    times = [NOON_MS, NOON_MS - behind_ms, NOON_MS, NOON_MS + 5]
    seen = [applied.add("x", time_ms, term=term)[2] for term, time_ms in enumerate(times, 1)]
    assert seen == [NOON_MS, NOON_MS, NOON_MS, NOON_MS + 5]


def test_commands_with_a_session_and_without_share_one_time():
    """Planted: only commands of sessions move it."""
    applied = Applied()
    _ok, session = applied.add("", NOON_MS, request=(NEW, 0))
    assert applied.add("lone", NOON_MS + 50)[2] == NOON_MS + 50
    assert applied.add("late", NOON_MS + 20, request=(session, 1))[2] == NOON_MS + 50
    assert applied.add("later", NOON_MS + 70, request=(session, 2))[2] == NOON_MS + 70
    assert applied.add("lone", NOON_MS)[2] == NOON_MS + 70


def test_a_command_that_is_sent_again_has_the_same_request():
    applied = Applied()
    _ok, session = applied.add("", NOON_MS, request=(NEW, 0))
    first = applied.add("x", NOON_MS, request=(session, 1))
    assert first[3] == (session, 1)
    assert applied.add("x", NOON_MS + 9, request=(session, 1)) == first, "it does not run again"
    assert applied.add("x", NOON_MS + 9, request=(session, 2))[3] == (session, 2)


def test_a_read_sees_the_last_entry_that_is_applied():
    applied = Applied()
    assert applied.read("now") == (0, 0, 0, None)
    applied.add("x", NOON_MS, term=2, request=(7, 7))
    assert applied.read("now") == (1, 2, NOON_MS, None)
    applied.add("", term=3, kind=NOOP)
    assert applied.read("now") == (2, 3, NOON_MS, None)


def test_a_machine_that_no_peer_runs_may_be_told_where_it_is():
    machine = Journal()
    assert machine.meta == Meta(0, 0, 0)
    machine.meta = Meta(5, 2, NOON_MS, (1, 1))
    assert machine.handle_write("x", [])[0] == (5, 2, NOON_MS, (1, 1))


def test_every_replica_sees_the_same_whatever_its_own_clock_says(trio, monkeypatch):
    names = trio(Journal)
    jumps = iter((0, -7_200, 2e9, -5e9, 0))
    base = NOON_MS / 1000

    def set_clocks():
        offset = next(jumps)
        for place, name in enumerate(names):
            wall = base + place * 100 + offset
            monkeypatch.setattr(peer_of(name), "wall_clock", lambda wall=wall: wall)

    with Cluster(names, timeout=30) as cluster:
        for number in range(4):
            set_clocks()
            leader = cluster.await_leader()
            cluster.write(("once", number))
            assert Raft.write(leader, ("lone", number))[1] > 0
            other = next(name for name in names if name != leader[0])
            assert Raft.transfer_leadership(leader, other)[0] == "ok"
        cluster.await_applied(cluster.barrier())
        seen = cluster.read("all")
        states = [cluster.read("all", consistency="stale", at=name) for name in names]
    assert states == [seen] * 3
    times = [time_ms for _command, _index, _term, time_ms, _request in seen]
    assert times == sorted(times)
    assert len({index for _command, index, *_ in seen}) == 8
    assert len({term for _command, _index, term, *_ in seen}) == 4
    requests = [request for command, *_, request in seen if command[0] == "once"]
    assert len(set(requests)) == 4


def test_a_restarted_peer_has_the_time_of_its_snapshot_and_of_the_log_behind_it(
    make_peer, monkeypatch
):
    name, _ = make_peer(Journal, snapshot_trailing=1)
    assert Raft.set_configuration(name, [name])[0] == "ok"
    monkeypatch.setattr(peer_of(name), "wall_clock", lambda: NOON_MS / 1000)
    Raft.write(name, "before")
    assert Raft.snapshot(name)[0] == "ok"
    seen = Raft.read(name, "now")
    Raft.stop(name)
    make_peer(Journal, name=name, snapshot_trailing=1)
    monkeypatch.setattr(peer_of(name), "wall_clock", lambda: 1.0)
    eventually(lambda: Raft.leader(name))
    assert Raft.read(name, "now")[2] == seen[2] == NOON_MS
    assert Raft.write(name, "after")[2] == NOON_MS


def test_a_state_on_disk_keeps_the_time_of_commands_that_it_does_not_run_again(
    make_peer, monkeypatch
):
    """Planted: entries that were applied before the restart are passed over without their time."""
    name, _ = make_peer(JournalOnDisk)
    assert Raft.set_configuration(name, [name])[0] == "ok"
    monkeypatch.setattr(peer_of(name), "wall_clock", lambda: NOON_MS / 1000)
    assert Raft.write(name, "x") == NOON_MS
    Raft.stop(name)
    make_peer(JournalOnDisk, name=name)
    monkeypatch.setattr(peer_of(name), "wall_clock", lambda: 1.0)
    assert eventually(lambda: Raft.write(name, "y")) == NOON_MS
