"""Machines that are wrong in one way each, and one that is right."""

import math
import random
import threading
import time
from datetime import date

from raft_actors import OnDiskStateMachine, StateMachine, UndoDict
from raft_actors.machine.state_image import Frozen


class Right(StateMachine):
    """Accounts: `("deposit", who, amount)`, `("move", source, target, amount)`."""

    def init(self, name):
        return UndoDict()

    def handle_write(self, command, state):
        match command:
            case ("deposit", who, amount):
                state[who] = state.get(who, 0) + amount
            case ("move", source, target, amount):
                state[target] = state.get(target, 0) + amount
                if state.get(source, 0) < amount:
                    raise ValueError("not enough")
                state[source] -= amount
        return dict(state), state

    def handle_read(self, query, state):
        return state.get(query, 0)


class Draws(StateMachine):
    """Draws a number, on each replica another."""

    def init(self, name):
        return ()

    def handle_write(self, command, state):
        if command == "draw":
            return "drawn", ("winner", random.random())
        return "entered", (*state, command)

    def handle_read(self, query, state):
        return state


class Dates(StateMachine):
    """Writes the time into the state."""

    def init(self, name):
        return {}

    def handle_write(self, command, state):
        return "ok", {**state, command: time.perf_counter_ns()}

    def handle_read(self, query, state):
        return state.get(query)


class Remembers(StateMachine):
    """Counts outside the state: a restarted replica counts from 0 again, and replays all."""

    seen = 0

    def init(self, name):
        return 0

    def handle_write(self, command, state):
        type(self).seen += 1
        return self.seen, state + 1

    def handle_read(self, query, state):
        return state


class HalfDone(StateMachine):
    """Takes the money before it looks whether there is enough."""

    def init(self, name):
        return {"a": 10, "b": 0}

    def handle_write(self, command, state):
        state["b"] += command
        if state["a"] < command:
            raise ValueError("not enough")
        state["a"] -= command
        return "moved", state

    def handle_read(self, query, state):
        return state


class Unencodable(StateMachine):
    def init(self, name):
        return 0

    def handle_write(self, command, state):
        return {"when": object()}, state + 1

    def handle_read(self, query, state):
        return state


class ReadsAndWrites(StateMachine):
    """Notes who asked."""

    def init(self, name):
        return []

    def handle_write(self, command, state):
        return len(state), [*state, command]

    def handle_read(self, query, state):
        state.append(query)
        return len(state)


class NeverWorks(StateMachine):
    def init(self, name):
        return 0

    def handle_write(self, command, state):
        raise KeyError(command)

    def handle_read(self, query, state):
        return state


class LosesItsState(StateMachine):
    """Returns what a method of a dict returns."""

    def init(self, name):
        return {}

    def handle_write(self, command, state):
        return "ok", state.update({command: 1})

    def handle_read(self, query, state):
        return state and state.get(query)


class TurnsIntoAReply(LosesItsState):
    def handle_write(self, command, state):
        return {**state, command: 1}, "ok"


class Dated(StateMachine):
    """Notes the day of a command: all replicas of a test see the same one."""

    def init(self, name):
        return ()

    def handle_write(self, command, state):
        return "noted", (*state, (command, str(date.today())))  # noqa: DTZ011

    def handle_read(self, query, state):
        return state


class Stamped(Dated):
    def handle_write(self, command, state):
        return int(time.time()), state


class FirstOfASet(StateMachine):
    """Takes whichever member a set names first."""

    def init(self, name):
        return set()

    def handle_write(self, command, state):
        state.add(command)
        return next(iter(state)), state

    def handle_read(self, query, state):
        return len(state)


class Counts(StateMachine):
    """Numbers commands in an attribute, which no snapshot holds."""

    def init(self, name):
        self.count = 0
        return {}

    def handle_write(self, command, state):
        self.count += 1
        return self.count, {**state, command: self.count}

    def handle_read(self, query, state):
        return state.get(query)


class Lags(StateMachine):
    """Answers reads from what it noted beside the state."""

    def init(self, name):
        self.before = 0
        return 0

    def handle_write(self, command, state):
        self.before = state
        return state + 1, state + 1

    def handle_read(self, query, state):
        return self.before


class Guesses(Lags):
    def handle_read(self, query, state):
        return random.random()


class Cached(Lags):
    """Right: what it keeps beside the state is made anew by `restore`."""

    def handle_write(self, command, state):
        self.before = state + 1
        return state + 1, state + 1

    def restore(self, data):
        self.before = data
        return data


class Boards(StateMachine):
    """Right, with a state of its own and a snapshot of it."""

    def init(self, name):
        return Plain()

    def handle_write(self, command, state):
        state.values.append(command)
        return len(state.values), state

    def handle_read(self, query, state):
        return len(state.values)

    def snapshot(self, state):
        return list(state.values)

    def restore(self, data):
        board = Plain()
        board.values += data
        return board


class Twig:
    """Leads back to where it grew, and holds what can't be copied."""

    def __init__(self, below=None):
        self.below = below
        self.lock = threading.Lock()
        self.twigs = []

    def __eq__(self, other):
        return isinstance(other, Twig) and len(self.twigs) == len(other.twigs)

    __hash__ = None


class Tree(StateMachine):
    """Right, with a state that leads back to itself."""

    def init(self, name):
        return Twig()

    def handle_write(self, command, state):
        state.twigs.append(Twig(state))
        return len(state.twigs), state

    def handle_read(self, query, state):
        return len(state.twigs)


class NotANumber(StateMachine):
    """Right, though nothing that it keeps is equal to itself."""

    def init(self, name):
        return {}

    def handle_write(self, command, state):
        return math.nan, {**state, command: math.nan}

    def handle_read(self, query, state):
        return state.get(query)


class Holder(StateMachine):
    """Right: None says that nobody holds it, as in the beginning."""

    def init(self, name):
        return None

    def handle_write(self, command, state):
        return "ok", command if state is None else None

    def handle_read(self, query, state):
        return state


class RestoresLess(Boards):
    def restore(self, data):
        return super().restore(data[1:])


class RestoresNothing(Boards):
    def restore(self, data):
        raise LookupError("where is it")


class SnapshotsTheLiving(Boards):
    """Says `Frozen` of what goes on changing: a snapshot gets later notes as well."""

    def snapshot(self, state):
        return Frozen(iter(state.values))


class SnapshotsAndClears(Boards):
    def snapshot(self, state):
        values, state.values = state.values, []
        return values


class Stores(StateMachine):
    """Comes to hold what no snapshot can."""

    def init(self, name):
        return {}

    def handle_write(self, command, state):
        return "ok", {**state, command: Plain()}

    def handle_read(self, query, state):
        return query in state


class Second(StateMachine):
    """Right: version 2 keeps a list where version 1 kept a number."""

    version = 2

    def init(self, name):
        return 0

    def handle_write(self, command, state):
        if self.current_version < 2:
            return state + 1, state + 1
        return len(state), [*state, command]

    def handle_read(self, query, state):
        return state

    def upgrade(self, state, from_version):
        return [None] * state


class SecondDraws(Second):
    def handle_write(self, command, state):
        if self.current_version < 2:
            return state + 1, state + 1
        return random.random(), state


class UpgradesByChance(Second):
    def upgrade(self, state, from_version):
        return [random.random()]


class UpgradesToNothing(Second):
    def upgrade(self, state, from_version):
        return None


class UpgradeRaises(Second):
    def upgrade(self, state, from_version):
        raise LookupError("no such version")


class SecondNeverWorks(Second):
    def handle_write(self, command, state):
        if self.current_version < 2:
            return state + 1, state + 1
        return len(state), state + 1


class DroppedTheFirst(Second):
    """Runs as version 2 only."""

    def init(self, name):
        return []

    def handle_write(self, command, state):
        state.append(command)
        if self.current_version < 2:
            raise LookupError("that was long ago")
        return len(state), state

    def upgrade(self, state, from_version):
        return state


class NoUpgrade(StateMachine):
    version = 2


class NoInit(StateMachine):
    def init(self, name):
        raise LookupError("nothing to begin with")


class Words(OnDiskStateMachine):
    """Right, with its state on disk."""

    def handle_write(self, command, state):
        state[command] = state.get(command, 0) + 1
        return state[command], state

    def handle_read(self, query, state):
        return state.get(query)


class WordsByChance(Words):
    def handle_write(self, command, state):
        state[command] = random.random()
        return "ok", state


class WordsBeside(Words):
    """Counts beside its disk, from 0 again after a restart."""

    count = 0

    def handle_write(self, command, state):
        self.count += 1
        state[command] = self.count
        return self.count, state


class NoPair(StateMachine):
    def init(self, name):
        return 0

    def handle_write(self, command, state):
        return state + 1

    def handle_read(self, query, state):
        return state


class Plain:
    """A state that is no term and does not compare."""

    def __init__(self):
        self.values = []


class KeepsAnObject(StateMachine):
    """Right, with a state of a class of its own."""

    def init(self, name):
        return Plain()

    def handle_write(self, command, state):
        state.values.append(command)
        return len(state.values), state

    def handle_read(self, query, state):
        return len(state.values)


class KeepsADrawnObject(KeepsAnObject):
    def handle_write(self, command, state):
        state.values.append(random.random())
        return len(state.values), state
