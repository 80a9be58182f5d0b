"""A snapshot is the state at one entry, however many steps it takes to take the state in."""

from itertools import count

from raft_actors import StateMachine
from raft_actors.requests import TakeSnapshot
from raft_actors.simulation.peer import Ticket
from raft_actors.simulation.world import World

COLUMNS = 5


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
    snapshotting = world.peers["a"].snapshotting
    snapshotting.slice_s = 0  # one list in each step
    commands = count()
    world.write("a", *(next(commands) for _ in range(COLUMNS)))
    asked = Ticket(world, "snapshot")
    world.step("a", TakeSnapshot(asked))
    index = world.peers["a"].applied.index
    steps = 0
    while snapshotting.image is not None:
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
