"""Effects of commands, as every replica notes them."""

import pytest

from raft_actors import OnDiskStateMachine, StateMachine, UndoDict, encoding
from raft_actors.core.entry import COMMAND, command_of, encode
from raft_actors.effects import CancelTimer, Notify, Outbox, Tell, Timer, TimerFired
from raft_actors.machine.duties import ACKED, DUTIES_MAX, FIRED
from raft_actors.machine.replicated_state import ReplicatedState
from raft_actors.machine.sessions import asked_of_sessions
from raft_actors.machine.state_digest import StateDigest
from raft_actors.machine.state_image import StateImage, opened
from raft_actors.replica.requests import WRITE, event_of

TOM = ("tom", "a@host")


class Asks(StateMachine):
    """Does what the class attribute says."""

    answer = None

    def init(self, name):
        return UndoDict(fired=())

    def handle_write(self, command, state):
        if isinstance(command, TimerFired):
            if command.name == "raise":
                state["fired"] = "half"
                raise ValueError("no")
            state["fired"] = (*state["fired"], (command.name, command.index))
            return "fired", state, [Tell(TOM, "it fired")]
        state["last"] = command
        return ("ok", state) if self.answer is None else ("ok", state, type(self).answer)


class AsksOnDisk(OnDiskStateMachine):
    handle_write = Asks.handle_write
    answer = None


class Applied(ReplicatedState):
    """A replica that is given entries, one batch each."""

    def add(self, *effects, request=(0, 0), payload="x", term=1):
        type(self.machine).answer = list(effects)
        entry = encode(term, COMMAND, encoding.dumps(payload), request, index=self.index + 1)
        self.begin_batch()
        self.entry = entry
        answer = self.write(*command_of(entry))
        self.index += 1
        self.end_batch()
        return encoding.loads(answer)

    def fire(self, name, index):
        return self.add(request=(FIRED, index), payload=("timer", name, index))

    def acknowledge(self, name, index):
        return self.add(request=(ACKED, index), payload=("acked", name, index))


@pytest.fixture
def applied():
    return Applied(Asks(), "peer")


def test_a_tell_is_noted_with_the_term_of_its_entry_and_for_its_batch_only(applied):
    applied.add(Tell(TOM, {"n": 1}), Tell("here", ["x"]), term=4)
    assert applied.tells == [
        (4, TOM, encoding.dumps({"n": 1})), (4, "here", encoding.dumps(["x"])),
    ]  # fmt: skip
    applied.add()
    assert applied.tells == []


def test_a_topic_is_published_at_every_replica_by_the_index_of_the_entry(applied):
    applied.add()
    applied.add(Notify("k/1"), Notify("k/2"))
    assert applied.topics.changed_after(1, ["k/1"], ("k/",)) == ["k/1", "k/2"]
    assert applied.topics.changed_after(2, ["k/1"], ()) == []


def test_a_timer_fires_once_and_its_command_may_have_effects(applied):
    """Planted: the second of two leaders that have written so fires it again."""
    applied.add(Timer("t", 5))
    assert applied.duties.timers == {"t": (5.0, 1)}
    assert applied.fire("t", 1) == "fired"
    assert applied.tells == [(1, TOM, encoding.dumps("it fired"))]
    assert applied.fire("t", 1) is None
    assert applied.state["fired"] == (("t", 1),)
    assert not applied.duties.timers


def test_a_timer_that_was_replaced_or_cancelled_does_not_fire(applied):
    applied.add(Timer("t", 5), Timer("u", 5), Timer("v", 5))
    applied.add(Timer("t", 7), CancelTimer("u"), CancelTimer("nothing"))
    assert applied.fire("t", 1) is None
    assert applied.fire("u", 1) is None
    assert applied.fire("v", 2) is None
    assert applied.state["fired"] == ()
    assert applied.fire("t", 2) == "fired"
    assert applied.duties.timers == {"v": (5.0, 1)}


def test_a_timer_whose_command_raises_has_fired(applied):
    applied.add(Timer("raise", 5))
    assert applied.fire("raise", 1) == ("error", ("exception", "ValueError", "no"))
    assert applied.state["fired"] == ()
    assert not applied.duties.timers


def test_a_message_stays_in_the_outbox_until_the_log_has_its_answer(applied):
    applied.add(Outbox(TOM, "hi", "m1"), Outbox("here", "ho", "m2"))
    applied.add(Outbox(TOM, "another", "m1"))
    assert applied.duties.outbox == {
        "m1": (TOM, encoding.dumps("hi"), 1), "m2": ("here", encoding.dumps("ho"), 1),
    }  # fmt: skip
    assert applied.acknowledge("m1", 2) is None
    assert "m1" in applied.duties.outbox
    applied.acknowledge("m1", 1)
    assert [*applied.duties.outbox] == ["m2"]
    applied.acknowledge("m1", 1)
    applied.add(Outbox(TOM, "again", "m1"))
    assert [*applied.duties.outbox] == ["m2", "m1"]


@pytest.mark.parametrize(
    ("effects", "complaint"),
    [
        ([5], "5 is no effect of raft_actors.effects"),
        (Timer("t", 1), "effects are a list"),
        ([Tell("no name!", 1)], "an actor's name must be"),
        ([Tell(("a", "no node"), 1)], "a node is named name@host"),
        ([Tell(5, 1)], "an actor is given by its name, or"),
        ([Tell("a", object())], "message: an object can't be encoded"),
        ([Outbox("a", object(), "1")], "message: an object can't be encoded"),
        ([Outbox("a", 1, 5)], "the id of a message is a text, not 5"),
        ([Outbox("a", 1, "")], "the id of a message has 1 to 256 bytes"),
        ([Timer("t", -1)], "a timer fires after some seconds, not after -1"),
        ([Timer("t", float("nan"))], "not after nan"),
        ([Timer("t", float("inf"))], "not after inf"),
        ([Timer("t", 10**400)], "not after 1000"),
        ([Timer("t", True)], "not after True"),
        ([Timer(7, 1)], "the name of a timer is a text"),
        ([Timer("t" * 257, 1)], "the name of a timer has 1 to 256 bytes"),
        ([Notify(5)], "a topic is a text"),
    ],
)
def test_what_is_no_effect_is_the_error_of_its_command_and_changes_nothing(
    applied, effects, complaint
):
    """Planted: the effects before the wrong one are noted all the same."""
    Asks.answer = effects if type(effects) is not list else [Timer("first", 1), *effects]
    applied.begin_batch()
    answer = encoding.loads(applied.run(encoding.dumps("x")))
    assert answer[0] == "error"
    assert complaint in answer[1][2]
    assert "last" not in applied.state
    assert not applied.duties.exist()


def test_a_command_that_asks_for_too_much_raises(applied, monkeypatch):
    monkeypatch.setattr("raft_actors.machine.duties.DUTIES_MAX", 3)
    applied.add(*(Timer(str(n), 1) for n in range(3)))
    assert "more than 3 timers" in applied.add(Outbox("a", 1, "m"))[1][2]
    assert DUTIES_MAX == 100_000


def test_a_snapshot_has_the_timers_and_the_outbox_and_the_state_behind_them(applied):
    applied.add(Timer("t", 5), Outbox(TOM, [1], "m"), Outbox("here", (2,), "n"))
    image = StateImage({"a": 1}, applied.sessions.stored(), applied.duties.stored())
    assert image.capture(float("inf"), lambda: 0.0)
    blocks = [
        (block[:1], encoding.loads_stored(memoryview(block)[1:])) for block in image.payloads()
    ]
    _sessions, duties, rest = opened(iter(blocks))
    assert duties.timers == applied.duties.timers
    assert duties.outbox == applied.duties.outbox
    assert len(list(rest)) == 1


def test_two_states_with_other_duties_have_other_digests(applied):
    def digest():
        making = StateDigest({}, applied.sessions, 1, applied.duties.stored())
        assert making.capture(float("inf"), lambda: 0.0)
        for _ in making.slices():
            pass
        return making.digest()

    empty = digest()
    applied.add(Timer("t", 5))
    with_timer = digest()
    applied.fire("t", 1)
    assert digest() == empty != with_timer


def test_no_client_can_end_a_duty():
    for session in (FIRED, ACKED):
        with pytest.raises(ValueError, match="only the leader itself gives"):
            event_of(WRITE, encoding.dumps(("timer", "t", 1)), (session, 1), None)


def test_the_tables_of_a_log_say_what_such_an_entry_does():
    assert asked_of_sessions(9, (FIRED, 4), b"x") == ("fire", 4)
    assert asked_of_sessions(9, (ACKED, 5), b"x") == ("acknowledge", 5)


def test_a_state_on_disk_has_tells_and_topics_but_no_duties(tmp_path):
    applied = Applied(AsksOnDisk(), "peer", tmp_path / "state")
    try:
        for effect in (Timer("t", 1), CancelTimer("t"), Outbox("a", 1, "m")):
            answer = applied.add(effect)
            assert "belong to a state in memory" in answer[1][2]
        assert applied.add(Tell("a", 1), Notify("k")) == "ok"
        assert len(applied.tells) == 1
    finally:
        applied.close()


def test_a_machine_that_returns_none_or_nothing_as_effects_has_none(applied):
    for nothing in (None, (), [], iter(())):
        Asks.answer = nothing
        applied.begin_batch()
        applied.run(encoding.dumps("x"))
    assert not applied.duties.exist()
