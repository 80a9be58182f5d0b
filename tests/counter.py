"""A machine that counts. Node processes import it, so it imports nothing of the tests."""

from raft_actors import StateMachine


class Counter(StateMachine):
    """Adds numbers up, so that a command that runs twice shows; replies with tuples as they are."""

    def init(self, name):
        return 0

    def handle_write(self, command, state):
        if command == "raise":
            raise ValueError("no")
        if type(command) is tuple:
            return command, state
        return state + command, state + command

    def handle_read(self, query, state):
        return (("error", "overloaded") if query == "odd" else state), state
