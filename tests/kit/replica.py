"""One replica of Batteries without a peer, for tests of its commands."""

from raft_actors import Meta, encoding
from raft_actors.effects import CancelTimer, Notify, Timer, TimerFired
from raft_actors.kit import Batteries


class Replica:
    """Runs commands one after the other, and keeps their timers and topics.

    timers  the index of the entry that set each, by name
    news    the topics that commands have published, in their order
    """

    def __init__(self):
        self.machine = Batteries()
        self.state = self.machine.init("peer")
        self.index = 0
        self.timers = {}
        self.news = []

    def write(self, *command):
        """Run a command. Returns its answer."""
        return self.run(encoding.loads(encoding.dumps(command)))

    def run(self, command):
        self.index += 1
        self.machine.meta = Meta(self.index, 1, 0)
        answer, state, effects = self.machine.handle_write(command, self.state)
        assert state is self.state
        if answer is not None and answer[0] == "refused":
            assert not effects
            assert not self.state.changed, "it was refused after its first change"
        state.commit()
        for effect in effects:
            match effect:
                case Timer(name, _after_s):
                    self.timers[name] = self.index
                case CancelTimer(name):
                    self.timers.pop(name, None)
                case Notify(topic):
                    self.news.append(topic)
        return None if answer is None else encoding.loads(encoding.dumps(answer))

    def ok(self, *command):
        """Run a command that is not refused. Returns its reply."""
        kind, reply = self.write(*command)
        assert kind == "ok", reply
        return reply

    def fire(self, name):
        """Have a timer fire."""
        self.run(TimerFired(name, self.timers.pop(name)))

    def read(self, *query):
        self.machine.meta = Meta(self.index, 1, 0)
        kind, reply = self.machine.handle_read(query, self.state)
        assert kind == "ok", reply
        return reply

    def restored(self):
        """Return a replica that has its state from a snapshot of this one."""
        other = Replica()
        pieces = [
            encoding.dumps_stored(piece) for piece in self.machine.snapshot(self.state).pieces
        ]
        other.state = other.machine.restore(map(encoding.loads_stored, pieces))
        other.index, other.timers = self.index, dict(self.timers)
        return other

    def items(self):
        """Everything that is in the state."""
        return {key: dict(table) for key, table in self.state.tables.items()}
