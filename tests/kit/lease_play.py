"""Plays of leases: holders with clocks of their own, late and lost messages, pauses, and leaders
that come and go. Time is simulated; the holders and the machine are those of the library.
"""

from heapq import heappop, heappush
from itertools import count
from random import Random
from types import SimpleNamespace

from raft_actors.errors import OutcomeUnknown, Unavailable
from raft_actors.kit import LockLost, claim, core, lease
from raft_actors.kit.claim import Claim, Claims
from raft_actors.kit.core import KitCore
from raft_actors.kit.script import News, Read, Settle, Write, outcome
from tests.kit.replica import Replica

TTL_S = 1.0
LOCK = Claim("lock", "the lock 'a'")
RATES = 0.99, 1.009
"""Of clocks, against true time. A holder allows 2 % between its clock and that of a leader."""


class Play:
    """One play. `acts` counts the moments at which a holder was sure that it holds the lock."""

    def __init__(self, seed, monkeypatch):
        self.random = Random(seed)
        self.now = 0.0
        self.events = []
        self.numbers = count()
        self.replica = Replica()
        self.started = {}  # timers: (index, when this leader has begun to count it)
        self.acts = self.losses = 0
        self.tokens = [0]
        self.running = None
        for module in (core, lease):
            monkeypatch.setattr(module, "since_boot", lambda: self.running.clock())
        monkeypatch.setattr(claim, "time", SimpleNamespace(monotonic=lambda: self.running.clock()))
        self.lead()
        self.holders = [Holder(self) for _ in range(3)]

    def after(self, wait_s, what):
        heappush(self.events, (self.now + wait_s, next(self.numbers), what))

    def delay(self):
        """Mostly short, sometimes nearly as long as a lease."""
        kind = self.random.random()
        return 0.0001 if kind < 0.8 else self.random.expovariate(20) if kind < 0.97 else kind

    def lead(self):
        """There is a new leader: it counts all timers anew, by its own clock."""
        self.rate = self.random.choice(RATES)
        self.started = {}
        self.count_timers()
        self.after(self.random.expovariate(0.2), self.lead)

    def count_timers(self):
        """Begin to count the timers that are new or were replaced."""
        for name, index in self.replica.timers.items():
            if self.started.get(name) != index:
                self.started[name] = index
                rate = self.rate
                self.after(TTL_S / rate, lambda n=name, i=index, r=rate: self.ring(n, i, r))

    def ring(self, name, index, rate):
        if rate == self.rate and self.replica.timers.get(name) == index:
            self.after(self.delay(), lambda: self.fire(name, index))

    def fire(self, name, index):
        """The entry of a timer does nothing if the timer was replaced before it."""
        if self.replica.timers.get(name) == index:
            self.replica.fire(name)
            self.count_timers()

    def run(self, until):
        while self.events[0][0] < until:
            self.now, _number, what = heappop(self.events)
            what()

    def acts_with(self, token):
        """A holder does something that it may do only while it holds the lock."""
        self.acts += 1
        _holder, present, _waiting = self.replica.read("lock", "info", "a")
        assert token == present, f"at {self.now} s {token} acts, but {present} holds the lock"
        assert token >= self.tokens[-1], "an older token after a newer one"
        if token > self.tokens[-1]:
            self.tokens.append(token)


class Holder:
    """A process with a kit: one script that works, and one that keeps the leases alive."""

    def __init__(self, play):
        self.play = play
        self.rate = play.random.choice(RATES)
        self.since = play.random.uniform(0, 1e6)
        self.paused_until = self.cut_until = 0.0
        play.running = self
        self.core = KitCore(lambda: None)
        self.go_on(self.work())
        self.go_on(self.keep())
        self.pause()
        self.cut()

    def clock(self):
        return self.since + self.play.now * self.rate

    def pause(self):
        self.paused_until = self.play.now + self.play.random.choice((0.0, 0.3, 1.0, 2.5))
        self.play.after(self.play.random.expovariate(0.3), self.pause)

    def cut(self):
        """For a while nothing reaches the group."""
        self.cut_until = self.play.now + self.play.random.choice((0.0, 0.5, 2.0))
        self.play.after(self.play.random.expovariate(0.3), self.cut)

    def work(self):
        claims = Claims(self.core, "a", TTL_S, LOCK)
        while True:
            try:
                yield from claims.acquiring(float("inf"), waits=True)
                for _ in range(self.play.random.randrange(500)):
                    self.play.acts_with(claims.check())
                    yield self.play.random.expovariate(200)
                yield from claims.releasing()
            except LockLost:
                self.play.losses += 1
            except (OutcomeUnknown, Unavailable):
                pass
            yield 0.01

    def keep(self):
        while True:
            yield from self.core.keep()
            yield min(self.core.next_s() + 0.02, 0.2)

    def go_on(self, script, result=None, error=None):
        """Run a script up to its next request; later if the process is paused."""
        play = self.play
        if play.now < self.paused_until:
            play.after(self.paused_until - play.now, lambda: self.go_on(script, result, error))
            return
        play.running = self
        request = script.send(result) if error is None else script.throw(error)
        match request:
            case Write(command) | Read(command):
                is_write = type(request) is Write
                play.after(play.delay(), lambda: self.serve(script, command, is_write))
            case News():  # one may wake for nothing
                play.after(0.05, lambda: self.go_on(script, play.replica.index))
            case Settle():
                play.after(play.delay(), lambda: self.go_on(script, True))
            case wait_s:
                play.after(wait_s, lambda: self.go_on(script))

    def serve(self, script, command, is_write):
        """The group runs a command. Its answer may come late, or be lost."""
        play = self.play
        if play.now < self.cut_until:
            lost = OutcomeUnknown("the command was lost", (1, 1))
            play.after(0.3, lambda: self.go_on(script, error=lost))
            return
        result = error = None
        try:
            answer = (
                play.replica.write(*command) if is_write
                else play.replica.machine.handle_read(command, play.replica.state)
            )  # fmt: skip
            play.count_timers()
            result = outcome(command, answer)
        except LookupError:
            raise
        except Exception as refused:
            error = refused
        if error is None and play.random.random() < 0.03:
            error = OutcomeUnknown("the answer was lost", (1, 1))
        play.after(play.delay(), lambda: self.go_on(script, result, error))
