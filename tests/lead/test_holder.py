"""The holder of grants and the switch of a LeaderSupervisor, step by step, by a clock of the test.

Each rule has a planted bug in tests/mutations.
"""

from math import inf

import pytest

from raft_actors import Config, encoding
from raft_actors.core.effects import LeadNews
from raft_actors.core.messages import GrantLead, ReturnLead
from raft_actors.errors import LeadLost
from raft_actors.lead import deadlines, holder, switch, term
from raft_actors.lead.coroutine_child import LoopThread
from raft_actors.lead.deadlines import Deadlines
from raft_actors.lead.holder import Holder
from raft_actors.lead.switch import LeadSwitch
from raft_actors.lead.term import LeadTerm

GRANT_S = 1.0
NOW = 100.0
PEER = ("shop", "a@one")


class Clock:
    """Seconds that go on when the test says so, and the alarms that were set."""

    def __init__(self, monkeypatch):
        self.now = NOW
        self.alarms = []
        for module in (holder, switch, term):
            monkeypatch.setattr(module, "since_boot", lambda: self.now)
        for module in (holder, switch):
            monkeypatch.setattr(module, "timer", self)

    def send_after(self, seconds, receiver, message):
        self.alarms.append((self.now + seconds, receiver, message))

    def go_on(self, seconds):
        """Let the time pass; then the alarms that are due ring."""
        self.now += seconds
        due = [each for each in self.alarms if each[0] <= self.now]
        self.alarms = [each for each in self.alarms if each[0] > self.now]
        for _at, receiver, message in due:
            receiver.tell(message)


class Ref:
    """Keeps what it is told."""

    def __init__(self):
        self.told = []

    def tell(self, message):
        self.told.append(message)

    def of(self, kind):
        return [each for each in self.told if type(each) is kind]


class Peer:
    """A peer that leads; the test grants what it is asked for."""

    def __init__(self):
        self.name, self.address, self.config = PEER[0], PEER, Config()
        self.actor_ref = Ref()

    @property
    def wishes(self):
        return self.actor_ref.of(GrantLead)

    @property
    def returned(self):
        return [(each.index, each.ended) for each in self.actor_ref.of(ReturnLead)]

    def answer(self, index, answer="ok"):
        """Answer the last wish: with "ok" the grant `index`."""
        wish = self.wishes[-1]
        wish.index = index
        wish.ticket.set(encoding.dumps((answer, None)))


class Owner:
    def __init__(self):
        self.begun, self.ended = [], []

    def begin_soon(self, term):
        self.begun.append(term)

    def end_soon(self, term):
        self.ended.append(term)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


@pytest.fixture
def owner():
    return Owner()


@pytest.fixture
def held(clock, owner):
    return Holder(owner, GRANT_S, 0.5)


@pytest.fixture
def peer():
    return Peer()


@pytest.fixture
def granted(held, peer, owner, clock):
    """The term of the grant 7, which has begun."""
    held.leads(peer)
    held.on_news(LeadNews(clock.now, recalled=False))
    peer.answer(7)
    [term] = owner.begun
    return term


def test_a_leader_is_asked_once(held, peer):
    """Planted: holder_asks_again."""
    held.leads(peer)
    held.leads(peer)
    assert [(each.grant_ms, each.hand_over_s) for each in peer.wishes] == [(1000, 0.5)]
    held.on_news(LeadNews(NOW, recalled=False))
    peer.answer(7)
    held.leads(peer)
    assert len(peer.wishes) == 1, "there is a grant"


def test_a_grant_begins_only_with_a_proof(held, peer, owner, clock):
    """Planted: holder_begins_without_a_proof."""
    held.leads(peer)
    peer.answer(7)
    assert owner.begun == []
    held.on_news(LeadNews(clock.now - 0.6, recalled=False))
    assert owner.begun == [], "half of the time is over"
    held.on_news(LeadNews(clock.now, recalled=False))
    assert [int(each) for each in owner.begun] == [7]


def test_a_grant_that_comes_after_the_lead_was_lost_is_returned(held, peer, owner, clock):
    """Planted: holder_keeps_a_late_grant."""
    held.leads(peer)
    held.on_news(LeadNews(clock.now, recalled=False))
    held.lost()
    peer.answer(7)
    assert (owner.begun, peer.returned, held.term) == ([], [(7, True)], None)


def test_a_grant_that_is_not_renewed_ends(granted, owner, clock):
    """Planted: holder_ignores_silence."""
    clock.go_on(0.49)
    assert owner.ended == []
    clock.go_on(0.02)
    assert owner.ended == [granted]
    with pytest.raises(LeadLost, match="no majority"):
        granted.check()


def test_a_grant_that_is_renewed_goes_on(granted, held, owner, clock):
    for _ in range(5):
        clock.go_on(0.4)
        held.on_news(LeadNews(clock.now, recalled=False))
    assert owner.ended == []
    assert granted.check() == 7


def test_a_grant_ends_when_the_peer_does_not_lead_any_more(granted, held, owner):
    """At once, and not when its time is over. Planted: holder_keeps_a_lost_lead."""
    held.lost()
    assert owner.ended == [granted]
    with pytest.raises(LeadLost, match="does not lead any more"):
        granted.check()


def test_the_child_is_told_before_the_owner(granted, held, owner):
    """Planted: holder_tells_the_owner_alone."""
    told = []
    owner.end_soon = lambda term: told.append(term.lost.is_set())
    held.lost()
    assert told == [True]


def test_a_recalled_grant_ends_within_the_time_to_hand_over(granted, held, owner, clock):
    """Planted: holder_ignores_a_recall."""
    held.on_news(LeadNews(clock.now, recalled=True))
    assert owner.ended == [granted]
    assert granted._deadlines.over_at == clock.now + 0.5


def test_a_later_leadership_does_not_renew_an_older_grant(granted, held, peer, clock):
    """Another leader may have been in between. Planted: holder_renews_an_older_grant."""
    over_at = granted._deadlines.over_at
    held.lost()
    held.leads(peer)
    clock.go_on(0.3)
    held.on_news(LeadNews(clock.now, recalled=False))
    assert granted._deadlines.over_at == over_at
    assert len(peer.wishes) == 1, "the older grant was not given back"


def test_a_grant_that_is_given_back_is_followed_by_a_wish(granted, held, peer):
    held.on_news(LeadNews(NOW, recalled=True))
    held.give_back(granted, ended=True)
    assert peer.returned == [(7, True)]
    assert len(peer.wishes) == 2


def test_only_the_present_grant_is_given_back(granted, held, peer, owner, clock):
    """Planted: holder_gives_back_whatever_there_is."""
    held.on_news(LeadNews(clock.now, recalled=True))
    held.give_back(granted, ended=True)
    held.on_news(LeadNews(clock.now, recalled=False))
    peer.answer(9)
    held.give_back(granted, ended=True)
    assert int(held.term) == 9
    assert peer.returned == [(7, True)]
    assert owner.ended == [granted]


def test_a_holder_whose_owner_ends_asks_no_more(granted, held, peer, owner):
    """Planted: holder_asks_for_an_owner_that_ends."""
    held.close()
    assert owner.ended == [granted]
    held.give_back(granted, ended=True)
    assert len(peer.wishes) == 1


# The switch.


class Supervisor:
    """Notes when it is switched; its children end in time, or not."""

    def __init__(self):
        self.actor_ref = Ref()
        self.turned, self.all_have = [], True

    def _switch_on(self):
        self.turned.append("on")

    def _switch_off(self, within_s):
        self.turned.append(within_s)
        return self.all_have


class Peers:
    def hold(self, _of, _holder):
        return lambda: None


@pytest.fixture
def supervisor():
    return Supervisor()


@pytest.fixture
def switched(monkeypatch, clock, supervisor):
    monkeypatch.setattr(switch, "peers_here", Peers)
    return LeadSwitch(
        supervisor, of="shop", hand_over_s=0.5, grant_s=GRANT_S, loops=LoopThread(None)
    )  # fmt: skip


@pytest.fixture
def lead(switched, peer, clock):
    """The grant 7, with which the supervisor was told to switch on."""
    switched.holder.leads(peer)
    switched.holder.on_news(LeadNews(clock.now, recalled=False))
    peer.answer(7)
    return switched.holder.term


def turn(supervisor):
    """Let the supervisor do what it was told."""
    told, supervisor.actor_ref.told = supervisor.actor_ref.told, []
    for each in told:
        each.do()


def test_a_grant_switches_on_and_its_end_off(switched, lead, supervisor, peer, clock):
    """Off within what is left of the time. Planted: switch_waits_for_ever."""
    turn(supervisor)
    assert (supervisor.turned, switched.token()) == (["on"], 7)
    clock.go_on(0.6)
    turn(supervisor)
    assert supervisor.turned[1:] == [pytest.approx(deadlines.OVER_SHARE - 0.6)]
    assert (switched.token(), peer.returned) == (None, [(7, True)])


def test_a_grant_that_was_lost_before_the_turn_does_not_begin(switched, lead, supervisor):
    """Planted: switch_begins_by_a_lost_grant."""
    switched.holder.lost()
    turn(supervisor)
    assert "on" not in supervisor.turned


def test_children_that_have_not_ended_are_said_to_run_on(
    switched, lead, supervisor, peer, clock
):  # fmt: skip
    """Planted: switch_says_that_all_have_ended."""
    turn(supervisor)
    supervisor.all_have = False
    switched.holder.on_news(LeadNews(clock.now, recalled=True))
    turn(supervisor)
    assert peer.returned == [(7, False)]


def test_a_child_is_not_restarted_by_a_grant_that_ends(switched, lead, supervisor):
    """Planted: switch_restarts_by_a_lost_grant."""
    turn(supervisor)
    assert switched.may_restart()
    switched.holder.lost()
    assert not switched.may_restart()


def test_a_term_that_was_never_confirmed_is_not_certain(clock):
    with pytest.raises(LeadLost):
        LeadTerm(7, PEER, Deadlines(GRANT_S, -inf)).check()
