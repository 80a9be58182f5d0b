"""Machines that are wrong in one way each, and one that is right."""

import random
import time

from raft_actors import StateMachine, UndoDict


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
