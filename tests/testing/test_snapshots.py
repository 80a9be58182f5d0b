"""A snapshot is the state at one entry, however many steps it takes to take the state in."""

from itertools import count

from raft_actors import Config, StateMachine
from raft_actors.core.effects import Ballot
from raft_actors.core.messages import AppendEntries, InstallSnapshot
from raft_actors.replica.requests import TakeSnapshot
from raft_actors.testing.simulation.ticket import Ticket
from raft_actors.testing.simulation.world import World

COLUMNS = 5
PLACES_MAX = 50


class Columns(StateMachine):
    """Deals the commands into lists, and gives a snapshot one list at a time."""

    def init(self, name):
        return [[] for _ in range(COLUMNS)]

    def handle_write(self, command, state):
        state[command % COLUMNS].append(command)
        return command, state

    def handle_read(self, query, state):
        return [list(column) for column in state]

    def snapshot(self, state):
        return iter(state)

    def restore(self, data):
        return list(data)


def test_no_command_is_applied_while_a_state_is_taken_in() -> None:
    """A snapshot stands for the entries up to its index (§7): what is in it of a later one is
    applied twice after a restart. Planted: commands_applied_while_a_state_is_taken_in.
    """
    world = World("a", machine=Columns, picture=str)
    world.configure("a")
    snapshotter = world.peers["a"].replica.snapshotter
    snapshotter.slice_s = 0  # one list in each step
    commands = count()
    world.write("a", *(next(commands) for _ in range(COLUMNS)))
    asked = Ticket(world.clients, "snapshot")
    world.step("a", TakeSnapshot(asked))
    index = world.peers["a"].applied.index
    steps = 0
    while snapshotter.image is not None:
        world.write("a", next(commands))
        steps += 1
    world.settle()
    assert steps >= COLUMNS
    assert asked.result == ("ok", index)
    before = world.read("a", "all")
    world.crash("a", 1.0)
    world.start("a")
    world.ring(1.0)  # it elects itself
    assert world.read("a", "all").result == before.result
    assert sum(map(len, before.result)) == next(commands)


def behind():
    """Return a world where c lacks what a's snapshot stands for, and what is under way to it: the
    snapshot, and an older append that goes on beyond it, to a change of members.
    """
    config = Config(log_store="memory", snapshot_entries=5, snapshot_trailing=1_000)
    world = World("abcd", config=config)
    world.configure("a", "abc")
    world.settle()
    world.ring(0.5)
    world.isolate("c")
    for _ in range(5):
        world.write("a")
        world.settle()
    world.ring(0.2)
    world.configure("a", "abc", "d")
    world.settle()
    world.ring(0.2)
    world.heal()
    world.wire.clear()
    leader, away = world.peers["a"].core, world.peers["c"].core
    snapshot, log = leader.snapshot, leader.log
    assert leader.configuration.index > snapshot.index > away.log.last_index
    about = {
        "source": leader.peer, "target": away.peer, "source_incarnation": leader.incarnation,
        "target_incarnation": away.incarnation, "group": leader.group, "term": leader.term,
        "round": 0,
    }  # fmt: skip
    whole = InstallSnapshot(
        **about, index=snapshot.index, last_term=snapshot.term, size=snapshot.size,
        checksum=snapshot.checksum, offset=0, data=leader.snapshots.read(snapshot, 0, 1 << 20),
    )  # fmt: skip
    late = AppendEntries(
        **about, prev_index=1, prev_term=log.term_at(1), commit=1,
        entries=log.between(2, log.last_index),
    )  # fmt: skip
    return world, whole, late


def test_a_follower_starts_wherever_it_ended_as_its_log_began_anew() -> None:
    """Planted: the log's new beginning is saved before its entries; then the ballot names a
    configuration that is not there.
    """
    for place in range(1, PLACES_MAX):
        world, whole, late = behind()
        world.step("c", whole)
        world.fuse = place
        world.step("c", late)
        if "c" in world.peers:
            break
        disk = world.disks["c"]
        assert Ballot(*disk.load().ballot).configuration <= disk.last_index, place
        world.start("c")
        world.ring(2.0)
        assert "c" in world.peers, place
        assert world.agrees(), place
    assert 3 < place < PLACES_MAX - 1
