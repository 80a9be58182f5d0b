"""How a peer ends, is killed and starts again: nobody waits in vain, nothing is left behind."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import pykka
import pytest

import supervision
from raft_actors import Node, Raft, StateMachine, encoding
from raft_actors.core.log import READ_AT_ONCE
from raft_actors.kv_store import KVStore
from raft_actors.peer.peer import TICK
from raft_actors.peer.peers import peers_here, stop_trees
from raft_actors.replica.requests import CONFIGURE, STATUS, WRITE
from raft_actors.stores.memory import MemoryStore
from raft_actors.stores.rocksdb import RocksStore
from supervision import Process, timer
from tests.helpers import eventually
from tests.peer_fixtures import peer_of


def request(name, operation, payload=b""):
    """Ask a peer of this process, without waiting."""
    return peers_here().router.request(
        (name, peers_here().node.name), [operation, name, payload, 0, 1]
    )


def lone(make_peer, machine=KVStore, **options):
    """A peer that is a group of its own, and its ref."""
    name, _ = make_peer(machine, **options)
    assert Raft.set_configuration(name, [name])[0] == "ok"
    return name, peers_here().running[name]


@pytest.mark.parametrize("store", ["rocksdb", "lmdb", "memory"])
def test_a_peer_that_is_killed_at_work_is_started_again_from_its_store(make_peer, gated, store):
    """The thread of the killed still has the store. Planted: never close it, or don't wait."""
    name, ref = lone(make_peer, gated, log_store=store)
    assert Raft.write(name, ("set", "a", 1)) == ("ok", "a", 1)
    stuck = request(name, WRITE, encoding.dumps("wait"))
    assert gated.entered.wait(10)
    supervision.kill(ref)
    assert peers_here().running.get(name) is not ref
    assert not stuck.done()
    gated.gate.set()
    assert encoding.loads(stuck.get(10)) in {"waited", ("error", "outcome_unknown")}
    eventually(lambda: Raft.read(name, ("get", "a")) == ("ok", 1))


def test_a_killed_leader_leaves_no_request_unanswered(trio):
    """Planted: forget the tickets of who is killed. Their askers wait, on other nodes for ever."""
    name, *others = trio(log_store="memory", min_election_timeout=60.0, max_election_timeout=61.0)
    for other in others:
        assert Raft.stop(other) == "ok"
    last = Raft.status(name)[1]["last_index"]
    writing = request(name, WRITE, encoding.dumps(("set", "a", 1)))
    eventually(lambda: Raft.status(name)[1]["last_index"] == last + 1)
    supervision.kill(peers_here().running[name])
    assert encoding.loads(writing.get(10)) == ("error", "outcome_unknown")


def test_a_request_to_a_peer_that_is_just_ending_is_answered(make_peer, gated):
    """Planted: tell it, whether or not its inbox still takes anything."""
    name, ref = lone(make_peer, gated, log_store="memory")
    request(name, WRITE, encoding.dumps("wait"))
    assert gated.entered.wait(10)
    ref._close()
    assert name in peers_here().running
    assert encoding.loads(request(name, STATUS, encoding.dumps(())).get(1)) == (
        "error",
        "restarting",
    )
    gated.gate.set()


def test_what_a_crashing_batch_owes_is_still_answered(make_peer, monkeypatch):
    """Planted: answer only what waits in the core."""
    name, _ = lone(make_peer, log_store="memory")
    save = MemoryStore.save

    def broken(store, ballot, first, entries):
        if first and store.path.name == name:
            raise OSError("no disk")
        save(store, ballot, first, entries)

    monkeypatch.setattr(MemoryStore, "save", broken)
    futures = [
        request(name, WRITE, encoding.dumps(("set", 1, 1))),
        request(name, CONFIGURE, encoding.dumps(((), (), None, False))),
        request(name, STATUS, encoding.dumps(())),
    ]
    for future in futures:
        future.get(5)


def test_who_founds_a_group_is_answered_when_the_founder_ends(make_peer):
    """Planted: leave the founding's ticket alone."""
    name, _ = make_peer(log_store="memory")
    here = peers_here().node.name
    members = tuple((each, here) for each in (name, "nobody", "noone"))
    founding = request(name, CONFIGURE, encoding.dumps((members, (), None, False)))
    eventually(lambda: Raft.status(name)[1]["current_state"] == "pre_candidate")
    assert Raft.stop(name) == "ok"
    assert encoding.loads(founding.get(1)) == ("error", "peers_not_responding")


def test_a_second_start_of_a_name_does_not_hide_the_first(make_peer, tmp_path):
    """Planted: let each supervisor put itself in the place of the one that runs."""
    name, _ = lone(make_peer, log_store="memory")
    children = [(KVStore, {"name": name, "data_dir": tmp_path / "other"})]
    assert supervision.Supervisor.start_link(children)[0] == "error"
    assert Raft.stop(name) == "ok"
    assert Raft.status(name) == ("error", "no_peer")


def test_of_two_who_stop_a_peer_both_are_answered(make_peer, gated):
    """Planted: let the slower one's Exited escape."""
    name, _ = lone(make_peer, gated, log_store="memory")
    request(name, WRITE, encoding.dumps("wait"))
    assert gated.entered.wait(10)
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(Raft.stop(name))) for _ in range(4)]
    for thread in threads:
        thread.start()
    gated.gate.set()
    for thread in threads:
        thread.join()
    assert len(answers) == 4
    assert set(answers) <= {"ok", ("error", "no_peer")}


class Starter(Process):
    """An actor that starts a peer and ends."""

    def init(self, make):
        make()


def test_a_peer_does_not_end_with_the_actor_that_started_it(make_peer, monkeypatch):
    """Planted: link the node's supervisor to whoever asks first."""
    monkeypatch.setattr(peers_here(), "top", None)
    made = []
    starter = Starter.start(lambda: made.append(make_peer(log_store="memory")[0]))
    supervision.stop(starter, "shutdown")
    assert Raft.status(made[0])[0] == "ok"
    name, answer = make_peer(log_store="memory")
    assert answer[0] == "ok", name


def test_what_a_peer_does_not_understand_is_no_crash(make_peer, caplog):
    """It can be told things from other nodes, by its name. Planted: step whatever comes."""
    name, ref = lone(make_peer, log_store="memory")
    ref.tell({"not": "an event"})
    ref.tell(["neither", 7] * 100_000)
    assert Raft.write(name, ("set", "a", 1)) == ("ok", "a", 1)
    assert peers_here().running[name] is ref
    assert caplog.text.count("received an unknown message") == 2
    assert len(caplog.text) < 10_000


def test_alarms_that_ring_twice_do_not_multiply(trio):
    """Planted: forget the alarm that is set whenever any rings."""
    ref = peers_here().running[trio(log_store="memory")[0]]
    for _ in range(50):
        ref.tell(TICK)
        Raft.status(ref)

    def waiting():
        return sum(handle.waiting and handle.ref is ref for _, _, handle in list(timer._heap))

    assert max(waiting() for _ in range(20)) <= 1


class Curious(StateMachine):
    """Asks its own peer something in the first command, and looks for the answer in each."""

    answered: ClassVar[list[bool]] = []
    asked = None

    def init(self, name):
        type(self).answered, type(self).asked, self.name = [], None, name

    def handle_write(self, command, state):
        if type(self).asked is None:
            with ThreadPoolExecutor(1) as aside:  # on this thread it would be refused
                type(self).asked = aside.submit(
                    request, self.name, STATUS, encoding.dumps(())
                ).result()
        self.answered.append(self.asked.done())
        return command, state

    def handle_read(self, query, state):
        return None


def test_slow_commands_leave_time_for_the_rest(make_peer):
    """A backlog of them would cost a leader its office. Planted: apply all that is committed."""
    name, ref = lone(make_peer, Curious, log_store="memory", heartbeat_timeout=1e-9)
    peers = peers_here()
    requests = [[WRITE, name, encoding.dumps(n), 0, n] for n in range(30)]
    futures = [peers.router.request((name, peers.node.name), each) for each in requests]
    assert [encoding.loads(future.get(10)) for future in futures] == list(range(30))
    assert not Curious.answered[0]
    assert any(Curious.answered), "the peer looked around in between"
    assert ref.is_alive()


def test_a_peer_stopped_in_the_middle_of_a_backlog_has_not_crashed(make_peer, gated, caplog):
    """Planted: tell oneself to go on, although the inbox is closed."""
    name, ref = lone(make_peer, gated, log_store="memory", apply_max=1)
    request(name, WRITE, encoding.dumps("wait"))
    assert gated.entered.wait(10)
    for n in range(5):
        request(name, WRITE, encoding.dumps(("set", n, n)))
    ended = []
    ref.watch(ended.append)
    ref.stop(block=False)
    gated.gate.set()
    eventually(lambda: ended)
    assert ended == ["normal"]
    assert "crashed" not in caplog.text


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_a_command_that_asks_python_to_exit_is_an_exception_like_others(make_peer, error):
    """Planted: catch Exception only, and one such command ends every replica, for good."""

    class Exits(KVStore):
        def handle_write(self, command, state):
            if command == "exit":
                raise error
            return super().handle_write(command, state)

    name, ref = lone(make_peer, Exits, log_store="memory")
    assert Raft.write(name, "exit") == ("error", ("exception", error.__name__, ""))
    assert Raft.write(name, ("set", "a", 1)) == ("ok", "a", 1)
    assert peers_here().running[name] is ref


def test_a_forked_child_has_none_of_its_parents_peers(make_peer):
    """Nor their threads. Planted: it asks them, and waits for an answer that can't come."""
    name, _ref = lone(make_peer)
    child = os.fork()
    if child == 0:
        answer = Raft.write(name, ("set", "a", 1), 10.0)
        os._exit(0 if answer == ("error", "no_peer") else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert Raft.write(name, ("set", "a", 1)) == ("ok", "a", 1)


def test_the_end_of_a_forked_child_stops_its_own_trees_and_waits_for_none_of_its_parent():
    root = supervision.Supervisor.start([])
    child = os.fork()
    if child == 0:
        own = supervision.Supervisor.start([])
        roots = pykka.ActorRegistry.get_all()
        stop_trees()
        os._exit(0 if roots == [own] and supervision.exit_reason(own) == "shutdown" else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert supervision.exit_reason(root) is None
    supervision.stop(root)


def test_a_log_is_applied_a_little_at_a_time_after_a_restart(make_peer, tmp_path, monkeypatch):
    """Its entries may be large. Planted: as many are read as are applied, up to `apply_max`."""
    name, _ = make_peer(data_dir=tmp_path / "data")
    assert Raft.set_configuration(name, [name])[0] == "ok"
    for number in range(150):
        assert Raft.write(name, ("set", number, number))[0] == "ok"
    Raft.stop(name)
    read, entries = [], RocksStore.entries

    def watched(store, first, last):
        read.append(last - first + 1)
        return entries(store, first, last)

    monkeypatch.setattr(RocksStore, "entries", watched)
    make_peer(name=name, data_dir=tmp_path / "data")
    eventually(lambda: Raft.read(name, ("get", 149)) == ("ok", 149))
    assert max(read) <= READ_AT_ONCE


def test_changes_of_members_are_told_by_every_member(make_peer, caplog):
    """And after a restart only what is so now, though the log has all that was before."""
    caplog.set_level("INFO", "raft_actors.peer")
    a, b, c = (make_peer()[0] for _ in range(3))
    on = f"on {Node.self()}"

    def told(name, text):
        lines = [line for line in caplog.messages if line.startswith(f"{name}: since entry")]
        return [line for line in lines if text in line]

    assert Raft.set_configuration(a, [a, b])[0] == "ok"
    eventually(lambda: told(b, f"the members are {a} {on}, {b} {on}"))
    assert Raft.add_peer(a, c, learner=True)[0] == "ok"
    for name in (a, b, c):
        eventually(lambda name=name: told(name, f", the learners {c} {on}"))
    assert Raft.promote(a, c)[0] == "ok"
    eventually(lambda: told(b, f"; new: {c} {on}"))
    assert Raft.remove_peer(a, c)[0] == "ok"
    eventually(lambda: told(b, f"; no more: {c} {on}"))
    assert all(len(told(b, text)) == 1 for text in ("the learners", "; new", "; no more"))
    data_dir = peer_of(b).path
    Raft.stop(b)
    caplog.clear()
    make_peer(name=b, data_dir=data_dir)
    eventually(lambda: told(b, f"the members are {a} {on}, {b} {on}"))
    assert not told(b, "the learners")
