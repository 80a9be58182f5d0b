"""Who carries out the effects of commands, when, and how often."""

from itertools import pairwise
from types import SimpleNamespace

import pytest

from raft_actors import StateMachine, encoding
from raft_actors.core.entry import COMMAND, encode
from raft_actors.core.messages import Propose
from raft_actors.effects import CancelTimer, Outbox, Tell, Timer, TimerFired
from raft_actors.machine.duties import ACKED, FIRED
from raft_actors.machine.replicated_state import ReplicatedState
from raft_actors.replica.carrier import ASK_S, ASK_S_MAX, OUTSTANDING_MAX, SPARE, Carrier

RETRY_S = 1.0


class Asks(StateMachine):
    answer = ()

    def init(self, name):
        return 0

    def handle_write(self, command, state):
        return None, state, () if isinstance(command, TimerFired) else type(self).answer


class Leader:
    """A replica that leads, or does not, and the environment of its carrier."""

    def __init__(self):
        role = SimpleNamespace(leads=True)
        config = SimpleNamespace(max_election_timeout=RETRY_S)
        self.core = SimpleNamespace(term=1, role=role, now=100.0, config=config)
        self.applied = ReplicatedState(Asks(), "peer")
        self.carrier = Carrier(self.core, self)
        self.delivered, self.told, self.asked = [], [], []

    def deliver(self, event):
        self.delivered.append(event)

    def tell_actor(self, to, message):
        self.told.append((to, encoding.loads(message)))

    def ask_actor(self, to, name, message, when_answered):
        self.asked.append((to, name, encoding.loads(message), when_answered))

    def apply(self, *effects, request=(0, 0), term=None, payload=("x", "", 0)):
        Asks.answer = effects
        applied = self.applied
        entry = encode(
            term or self.core.term, COMMAND, encoding.dumps(payload), request,
            index=applied.index + 1,
        )  # fmt: skip
        applied.begin_batch()
        applied.entry = entry
        applied.write(encoding.dumps(payload), request)
        applied.index += 1
        applied.end_batch()
        self.carrier.tell(applied)
        self.look()

    def look(self, after_s=0.0):
        self.core.now += after_s
        self.carrier.look(self.applied)

    def lead(self, term, *, leads=True):
        self.core.term, self.core.role.leads = term, leads
        if leads:
            self.apply()
        self.look()

    def proposed(self):
        found, self.delivered = self.delivered, []
        assert all(type(event) is Propose for event in found)
        return [(event.request, encoding.loads(event.command)) for event in found]

    def do(self):
        """Apply what was proposed."""
        for request, payload in self.proposed():
            self.apply(request=request, payload=payload)

    def answer(self, place, *, answered):
        self.asked[place][3](answered)
        (event,) = self.delivered
        self.delivered = []
        self.carrier.delivered(event)
        self.look()


@pytest.fixture
def leader():
    made = Leader()
    made.apply()
    return made


# Tell.


def test_the_leader_of_the_entrys_own_term_tells_and_nobody_else(leader):
    """Planted: a new leader tells what a leader before it may have told already."""
    leader.apply(Tell("actor", "mine"))
    leader.lead(2)
    leader.apply(Tell("actor", "of the leader before"), term=1)
    leader.apply(Tell("actor", "mine again"))
    leader.core.role.leads = False
    leader.apply(Tell("actor", "of another"))
    assert leader.told == [("actor", "mine"), ("actor", "mine again")]


# Timers.


def test_a_timer_fires_after_its_time_and_not_before(leader):
    leader.apply(Timer("t", 5))
    leader.look(4.9)
    assert leader.proposed() == []
    assert leader.carrier.alarm == pytest.approx(105.0)
    leader.look(0.2)
    assert leader.proposed() == [((FIRED, 2), ("timer", "t", 2))]


def test_a_timer_is_proposed_again_until_its_entry_is_applied(leader):
    leader.apply(Timer("t", 5))
    leader.look(5)
    assert len(leader.proposed()) == 1
    leader.look(RETRY_S)
    assert len(leader.proposed()) == 1
    leader.apply(request=(FIRED, 2), payload=("timer", "t", 2))
    leader.look(10 * RETRY_S)
    assert leader.proposed() == []
    assert not leader.carrier.due


def test_a_new_leader_lets_the_whole_time_pass_again(leader):
    """Planted: it fires what the leader before it had counted."""
    leader.apply(Timer("t", 5))
    leader.look(4)
    leader.lead(2, leads=False)
    leader.look(4)
    assert leader.proposed() == []
    assert leader.carrier.due == []
    leader.lead(3)
    leader.look(4.9)
    assert leader.proposed() == []
    leader.look(0.2)
    assert len(leader.proposed()) == 1


def test_a_leader_that_leads_the_next_term_too_begins_anew(leader):
    leader.apply(Timer("t", 5))
    leader.look(4)
    leader.lead(2)
    leader.look(4)
    assert leader.proposed() == []


def test_a_follower_counts_nothing(leader):
    leader.lead(2, leads=False)
    leader.apply(Timer("t", 1), Outbox("actor", "hi", "m"))
    leader.look(100)
    assert leader.proposed() == []
    assert leader.asked == []
    assert leader.carrier.alarm == float("inf")
    assert leader.applied.duties.added == []


def test_a_timer_that_is_set_again_counts_from_then_and_one_that_is_cancelled_not_at_all(leader):
    leader.apply(Timer("t", 5), Timer("u", 5))
    leader.look(4)
    leader.apply(Timer("t", 5), CancelTimer("u"))
    leader.look(4)
    assert leader.proposed() == []
    leader.look(1)
    assert leader.proposed() == [((FIRED, 3), ("timer", "t", 3))]


def test_a_timer_that_is_set_again_and_again_leaves_nothing_behind(leader):
    for _ in range(1_000):
        leader.apply(Timer("t", 3_600))
    assert len(leader.carrier.due) <= SPARE + 3


# The outbox.


def test_a_message_is_sent_until_it_is_answered_and_the_log_has_noted_that(leader):
    leader.apply(Outbox("actor", "hi", "m"))
    assert [asked[:3] for asked in leader.asked] == [("actor", "m", "hi")]
    leader.answer(0, answered=True)
    assert leader.proposed() == [((ACKED, 2), ("acked", "m", 2))]
    leader.look(RETRY_S)
    assert len(leader.proposed()) == 1
    leader.apply(request=(ACKED, 2), payload=("acked", "m", 2))
    leader.look(100)
    assert leader.proposed() == []
    assert len(leader.asked) == 1
    assert not leader.carrier.answered


def test_a_message_that_does_not_arrive_is_sent_again_ever_more_seldom(leader):
    leader.apply(Outbox("actor", "hi", "m"))
    times = [leader.core.now]
    for place in range(8):
        leader.answer(place, answered=False)
        when = leader.carrier.alarm
        leader.look(when - leader.core.now)
        times.append(when)
    waits = [later - sooner for sooner, later in pairwise(times)]
    assert waits[:3] == pytest.approx([ASK_S, 2 * ASK_S, 4 * ASK_S])
    assert waits[-1] == pytest.approx(ASK_S_MAX)


def test_a_message_that_is_never_answered_is_sent_again_too(leader):
    leader.apply(Outbox("actor", "hi", "m"))
    leader.look(ASK_S)
    assert len(leader.asked) == 2
    leader.answer(0, answered=True)  # late, but an answer
    assert len(leader.proposed()) == 1


def test_a_new_leader_sends_all_that_nobody_has_noted_an_answer_of(leader):
    leader.apply(Outbox("actor", "hi", "m"), Outbox("actor", "ho", "n"))
    leader.answer(0, answered=True)
    leader.proposed()
    leader.lead(2, leads=False)
    leader.lead(3)
    assert [asked[1] for asked in leader.asked] == ["m", "n", "m", "n"]


def test_an_answer_to_a_leader_of_before_is_not_taken(leader):
    leader.apply(Outbox("actor", "hi", "m"))
    leader.lead(2, leads=False)
    leader.answer(0, answered=True)
    assert leader.proposed() == []


def test_only_so_many_messages_are_on_their_way_at_once(leader):
    leader.apply(*(Outbox("actor", n, str(n)) for n in range(OUTSTANDING_MAX + 5)))
    assert len(leader.asked) == OUTSTANDING_MAX
    for place in range(5):
        leader.answer(place, answered=True)
        leader.proposed()
    leader.look(ASK_S)
    assert len({asked[1] for asked in leader.asked}) == OUTSTANDING_MAX + 5
