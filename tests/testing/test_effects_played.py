"""Effects in simulated clusters: told at most once, fired once, sent until answered, whatever
happens.
"""

from collections import Counter

import pytest

from raft_actors import StateMachine
from raft_actors.effects import CancelTimer, Notify, Outbox, Tell, Timer, TimerFired
from raft_actors.machine.duties import Duties
from raft_actors.replica.carrier import Carrier
from raft_actors.testing.simulation.machine_simulation import MachineBroken, Simulation
from raft_actors.testing.simulation.plan import draw
from raft_actors.testing.simulation.runner import Failure, play
from raft_actors.testing.simulation.script import Script

SEEDS, STEPS = range(12), 400
PATIENCE_S = 900.0


class Duty(StateMachine):
    """Each command has an effect, by its number. The state is what has happened."""

    def init(self, name):
        return ()

    def handle_write(self, command, state):
        index = self.meta.index
        match command:
            case TimerFired(name, at):
                return None, (*state, ("fired", name, at)), [Tell("actor", ("fired", index))]
            case int() if command % 5 == 0:
                return None, state, [Timer(f"t{command % 3}", command % 7 / 4)]
            case int() if command % 5 == 1:
                return None, state, [Outbox("actor", index, f"m{index}")]
            case int() if command % 11 == 2:
                return None, state, [CancelTimer("t1"), Notify("k")]
        return None, state, [Tell("actor", ("told", index)), Tell("actor", ("too", index))]

    def handle_read(self, query, state):
        return state


DUTY = Script(machine=Duty, newest=1)


def played(seed):
    """Play a seed, and then let time pass, for what leaders still have to do."""
    world = play(draw(seed, STEPS), DUTY)
    assert not isinstance(world, Failure), world.violation
    leader = world.leader()
    if leader is not None and leader.applied.keeps_state:
        for _ in range(200):
            if not leader.applied.duties.exist():
                break
            world.ring(PATIENCE_S / 200)
            leader = world.leader() or leader
    return world, leader


@pytest.mark.seeds
def test_whatever_happens_each_effect_is_carried_out_as_often_as_is_said() -> None:
    told = asked = fired = 0
    for seed in SEEDS:
        world, leader = played(seed)
        assert all(count == 1 for count in Counter(world.actors_told).values()), f"seed {seed}"
        committed = world.checker.effects
        for _to, (_what, index) in world.actors_told:
            assert index in committed, f"seed {seed}: told of entry {index}, never committed"
        if leader is None or not leader.applied.keeps_state:
            continue
        state = leader.applied.state
        assert all(count == 1 for count in Counter(state).values()), f"seed {seed}"
        assert not leader.applied.duties.exist(), f"seed {seed}"
        arrived = {name for _to, name, _message in world.actors_asked}
        wanted = {
            effect.id for effects, _who in committed.values() for effect in effects
            if isinstance(effect, Outbox)
        }  # fmt: skip
        assert wanted <= arrived, f"seed {seed}"
        told, asked, fired = told + len(world.actors_told), asked + len(arrived), fired + len(state)
    assert min(told, asked, fired) > 20


# What would be wrong is seen: planted here.


def first_failure(script=DUTY):
    for seed in range(60):
        end = play(draw(seed, STEPS), script)
        if isinstance(end, Failure):
            return end.violation
    return ""


def test_a_timer_that_fires_twice_is_seen(monkeypatch) -> None:
    monkeypatch.setattr(Duties, "end", lambda self, duty, index: bool(self.timers.pop(duty[1], 1)))
    assert first_failure()


def test_timers_that_a_snapshot_forgets_are_seen(monkeypatch) -> None:
    monkeypatch.setattr(Duties, "restore", lambda self, stored: [*stored])
    assert "replicas differ in the timers and the outbox" in first_failure()


def test_a_leader_that_tells_what_the_leader_before_it_told_is_seen(monkeypatch) -> None:
    def tell_all(self, applied):
        for _term, to, message in applied.tells:
            if self.core.role.leads:
                self.environment.tell_actor(to, message)
        applied.tells.clear()

    monkeypatch.setattr(Carrier, "tell", tell_all)
    assert any(
        max(Counter(play(draw(seed, STEPS), DUTY).actors_told).values(), default=0) > 1
        for seed in range(60)
    )


class Draws(Duty):
    """Has other effects on each replica."""

    lives = 0

    def init(self, name):
        type(self).lives += 1
        self.life = self.lives
        return ()

    def handle_write(self, command, state):
        return None, state, [Tell("actor", self.life)]


def test_replicas_that_differ_in_their_effects_alone_are_seen() -> None:
    with pytest.raises(MachineBroken, match="replicas differ in the effects of entry"):
        Simulation().run(Draws, [1, 2], seeds=10)


def test_a_users_machine_with_effects_passes() -> None:
    report = Simulation().run(Duty, lambda draw: int(draw * 100), [None], seeds=8)
    assert report.acknowledged > 50
