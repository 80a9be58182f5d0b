"""A replica whose state differs from that of the others is found, says so and answers nobody."""

import random
from dataclasses import replace
from itertools import count
from types import SimpleNamespace

import pytest

from raft_actors import Config, encoding
from raft_actors.core.digests import Difference, comparison_in
from raft_actors.core.effects import Read
from raft_actors.core.entry import NOOP, kind_of
from raft_actors.core.log import Log
from raft_actors.core.messages import FOLLOWER, LINEARIZABLE, STALE, InstallSnapshot
from raft_actors.replica.problem_texts import problem_text
from raft_actors.replica.requests import Ask, TakeSnapshot
from raft_actors.testing.simulation.ticket import Ticket
from tests.replica.digest_world import (
    DEFAULTS,
    EVERY,
    DigestWorld,
    DiskRegisters,
    Registers,
    UndoRegisters,
)

MACHINES = [Registers, UndoRegisters, DiskRegisters]


def ask(world, name, event, *arguments):
    ticket = Ticket(world.clients, "ask")
    world.step(name, event(*arguments, ticket))
    world.settle()
    return ticket.result


@pytest.mark.parametrize("machine", MACHINES)
def test_a_state_that_was_changed_behind_its_replicas_back_is_found_within_one_period(machine):
    world = DigestWorld("abc", machine=machine)
    world.fill()
    assert {world.digest(name) for name in "abc"} == {world.digest("a")}
    assert not any(map(world.troubles, "abc"))
    equal_at, before = world.asked[-1], len(world.asked)
    victim = world.others(world.leading)[0]
    world.spoil(victim)
    world.fill()
    found_at = world.asked[before]
    assert world.troubles(victim) == {
        "diverged": f"after entry {equal_at} and not later than entry {found_at}"
    }
    for other in world.others(victim):
        assert world.troubles(other) == {"other_diverged": f"{victim} on {victim}@pretend"}
    world.close()


def test_what_it_says_tells_what_to_do():
    world, victim = spoilt()
    trouble = world.peer(victim).core.troubles["diverged"]
    assert f"Raft.reseed('{victim}')" in problem_text(trouble, world.address(victim))


def spoilt(machine=Registers):
    """A group, and the follower in it whose state was changed and found."""
    world = DigestWorld("abc", machine=machine)
    world.fill()
    victim = world.others(world.leading)[0]
    world.spoil(victim)
    world.fill()
    assert world.peer(victim).core.digests.is_wrong
    return world, victim


def test_it_answers_no_read_of_its_own_and_names_who_leads():
    world, victim = spoilt()
    for consistency in (STALE, FOLLOWER, LINEARIZABLE):
        ticket = world.read(victim, "spoilt", consistency)
        world.ring(1.0)
        assert ticket.result == ("error", ("redirect", world.address(world.leading)))
    ticket = world.read(victim, "spoilt", STALE, 10.0)
    assert ticket.result == ("error", "too_stale")


def test_it_takes_no_snapshot_and_gives_none_away():
    world, victim = spoilt()
    assert ask(world, victim, TakeSnapshot) == ("error", "diverged")
    assert ask(world, victim, Ask, "snapshot_part", (0, 0)) == ("error", "diverged")
    before = world.peer(victim).core.snapshot.index
    assert world.peer(world.leading).core.snapshot.index == before == 0


def test_a_leader_whose_state_is_wrong_hands_over_and_answers_nobody_from_it():
    world = DigestWorld("abc")
    world.fill()
    leader = world.leading
    world.spoil(leader, "key 1")
    for _ in range(EVERY):
        world.write(leader, ("set", "other key", 0))
        world.settle()
    asked = []
    for _ in range(100):  # while the leader finds out
        asked.append(world.write(leader, ("set", "other key", 1))[0])
        asked.append(world.read(leader, "key 1"))
        world.ring(0.05)
    assert world.leading != leader
    assert "diverged" in world.troubles(leader)
    found = next(
        at for at, ticket in enumerate(asked) if ticket.result not in ("ok", "behind the back")
    )
    assert all(ticket.result[0] == "error" for ticket in asked[found:])
    assert world.read(world.leading, "key 1").result is None
    world.ring(1.0)
    world.transfer(world.leading, leader)
    ticket = world.transfer(world.leading, leader)
    assert ticket.result == ("error", "diverged")
    world.fill()
    assert world.leading != leader


def test_a_leader_whose_state_is_wrong_sends_nobody_its_snapshot():
    """It leads on for as long as nobody else can. Planted: a_wrong_snapshot_is_sent."""
    world = DigestWorld("abc", replace(DEFAULTS, snapshot_entries=5, snapshot_trailing=1))
    leader = world.leading
    away, other = world.others(leader)
    world.crash(away, 1.0)
    world.ring(2.0)
    world.fill(5 * EVERY)
    behind = world.disks[away].last_index
    assert world.peer(leader).core.log.base > behind
    world.crash(other, 1.0)
    world.peer(leader).core.digests.differs = Difference(0, 1, decided=True)
    world.start(away)
    world.ring(10.0)
    assert world.leading == leader
    assert world.peer(away).applied.index <= behind
    world.start(other)
    world.ring(10.0)
    assert world.leading == other
    assert world.peer(away).applied.index > behind


def test_a_snapshot_of_a_wrong_leader_may_turn_the_verdict_and_replaces_nothing_that_is_right():
    """What docs/divergence.md warns of: so a person looks before he calls `Raft.reseed`."""
    world = DigestWorld("abc", replace(DEFAULTS, snapshot_entries=5, snapshot_trailing=1))
    leader = world.leading
    away, right = world.others(leader)
    world.crash(away, 1.0)
    world.ring(2.0)
    world.spoil(leader)
    world.fill(5 * EVERY)
    world.ring(20.0)
    assert "digests_differ" in world.troubles(right), "of three replicas two are known, and differ"
    world.start(away)
    world.ring(10.0)
    world.fill()
    assert world.peer(away).applied.state["spoilt"] == "behind the back"
    assert "diverged" in world.troubles(right)
    assert "spoilt" not in world.peer(right).applied.state
    assert not any(type(each) is InstallSnapshot and each.target[0] == right for each in world.wire)


def test_with_two_against_two_all_of_them_say_so_and_none_stops():
    world = DigestWorld("abcd")
    world.fill()
    equal_at = world.asked[-1]
    world.spoil("a")
    world.spoil("b")
    world.fill()
    for name in "abcd":
        detail = world.troubles(name)["digests_differ"]
        assert detail.startswith(f"after entry {equal_at} and not later than entry")
        assert "a on a@pretend, b on b@pretend: 02" in detail
        assert "c on c@pretend, d on d@pretend: 02" in detail
        ticket = world.read(name, "key 1", STALE)
        assert ticket.result == 1


def test_a_group_of_two_can_not_know_who_is_right():
    world = DigestWorld("ab")
    world.fill()
    world.spoil("a")
    world.fill()
    assert "digests_differ" in world.troubles("a")
    assert "digests_differ" in world.troubles("b")


def test_a_witness_has_no_state_to_compare_and_two_states_beside_it_are_no_majority():
    world = DigestWorld("abw", witnesses="w")
    world.fill()
    assert world.compared
    assert world.digest("w") == (0, b"")
    world.spoil("a")
    world.fill()
    assert "digests_differ" in world.troubles("a")
    assert not world.troubles("w")


class Draws(Registers):
    """Is not deterministic."""

    def handle_write(self, command, state):
        state[command[1]] = random.random()
        return "ok", state


def test_a_machine_that_draws_numbers_differs_on_all_replicas():
    world = DigestWorld("abc", machine=Draws)
    world.fill()
    for name in "abc":
        assert world.troubles(name)["digests_differ"].startswith("not later than entry")


def test_a_replica_that_was_away_is_compared_when_it_is_back():
    world = DigestWorld("abcde")
    world.fill()
    victim = world.others(world.leading)[0]
    world.spoil(victim)
    world.isolate(victim)
    world.fill()
    world.ring(10.0)
    assert "diverged" not in world.troubles(victim)
    assert len(world.compared) == 2, "the others wait for it, but not for ever"
    world.heal()
    world.ring(5.0)
    assert "diverged" in world.troubles(victim)
    assert len(world.compared) == 3, "what it reported late is written down, too"


def test_a_comparison_waits_for_a_replica_that_is_slow():
    """Else a pair that differs would be a dispute first. Planted:
    nobody_waits_for_the_digests_of_all.
    """
    world = DigestWorld("abc")
    slow = world.others(world.leading)[0]
    world.isolate(slow)
    world.write(world.leading, *[("set", "key", number) for number in range(EVERY)])
    world.ring(2.0)
    assert world.asked
    assert not world.compared
    world.heal()
    world.ring(2.0)
    (index,) = world.compared
    assert len(comparison_in(world.checker.committed[index - 1]).digests) == 3


def test_a_wrong_state_stays_wrong_while_nobody_can_tell():
    """Planted: a_wrong_state_is_disputed_when_another_replica_is_down."""
    world, victim = spoilt()
    before = world.troubles(victim)
    (other,) = world.others(world.leading, victim)
    world.crash(other, 1.0)
    world.fill()
    world.ring(10.0)
    assert world.compared[-1] > world.asked[-1], "two of three have differed once more"
    assert world.peer(victim).core.digests.is_wrong
    assert world.troubles(victim) == before, "with the range that was found first"


def test_it_knows_after_a_restart_and_is_right_again_if_it_started_from_a_sound_state():
    world, victim = spoilt()
    world.crash(victim, 1.0)
    world.start(victim)
    world.ring(3.0)
    assert world.peer(victim).applied.state.get("spoilt") is None, "it has applied its log again"
    assert not world.troubles(victim)
    assert not world.peer(victim).core.digests.is_wrong


def test_a_wrong_state_on_disk_is_known_after_a_restart():
    world, victim = spoilt(DiskRegisters)
    world.crash(victim, 1.0)
    world.start(victim)
    assert world.peer(victim).core.digests.is_wrong
    world.fill()
    assert "diverged" in world.troubles(victim)
    world.close()


def test_a_wrong_snapshot_is_known_after_a_restart():
    """The snapshot was taken before anybody knew."""
    world = DigestWorld("abc")
    world.fill()
    victim = world.others(world.leading)[0]
    world.spoil(victim)
    ask(world, victim, TakeSnapshot)
    world.fill()
    world.crash(victim, 1.0)
    world.start(victim)
    world.ring(3.0)
    assert world.peer(victim).applied.state["spoilt"]
    assert "diverged" in world.troubles(victim)


def test_a_difference_that_ends_is_forgotten():
    world, victim = spoilt()
    del world.peer(victim).applied.state["spoilt"]
    world.fill()
    assert not any(map(world.troubles, "abc"))
    ticket = world.read(victim, "key 1", STALE)
    assert ticket.result == 1


def test_only_the_leaders_setting_counts():
    world = DigestWorld("abc", others=(replace(DEFAULTS, digest_entries=None),) * 3)
    while world.peer(world.leading).config.digest_entries is None:
        world.transfer(world.leading)
        world.ring(2.0)
        leader = world.leading
        world.crash(leader, 1.0)
        world.start(leader)
        world.ring(2.0)
    world.fill()
    assert world.compared
    assert len({world.digest(name) for name in "abc"}) == 1


def test_without_the_setting_nobody_asks():
    world = DigestWorld("abc", Config(log_store="memory", digest_entries=None))
    world.fill(5 * EVERY)
    assert not world.asked
    assert DigestWorld("a").asked == []


def test_a_release_that_does_not_know_digests_sees_an_entry_without_a_command():
    world = DigestWorld("abc")
    world.fill()
    for index in (*world.asked, *world.compared):
        assert kind_of(world.checker.committed[index - 1]) == NOOP


def test_an_idle_group_asks_for_nothing():
    world = DigestWorld("abc", replace(DEFAULTS, digest_entries=1))
    world.fill(1)
    before = len(world.checker.committed)
    world.ring(30.0)
    assert len(world.checker.committed) == before


class Fails(Registers):
    def snapshot(self, state):
        if state:
            raise ValueError("can't be copied")
        return state


def test_a_state_that_can_not_be_copied_has_no_digest_and_that_is_logged_once(caplog):
    world = DigestWorld("abc", machine=Fails)
    world.fill()
    world.fill()
    assert world.asked
    assert not world.compared
    told = [line for line in caplog.messages if "no digest" in line]
    assert len(told) == 3
    assert "ValueError: can't be copied" in told[0]


def test_a_digest_that_costs_much_is_asked_for_rarely():
    """If it takes a second of a processor, the next one comes fifty seconds later."""
    world = DigestWorld("abc")
    for peer in world.peers.values():
        peer.replica.digester.environment.thread_clock = (n / 10 for n in count()).__next__
    world.fill()
    before = len(world.asked)
    assert before == 1
    world.fill(3 * EVERY)
    assert len(world.asked) == before
    world.ring(20.0)
    assert len(world.asked) == before + 1


# What it does not do at all, also where something else would keep it from that.


def wrong_leader():
    """A group whose leader knows that its state is wrong, and has not handed over yet."""
    world = DigestWorld("abc")
    world.fill()
    leader = world.leading
    world.peer(leader).core.digests.differs = Difference(0, 1, decided=True)
    return world, leader


def test_reads_that_wait_are_refused_when_it_learns_that_its_state_is_wrong():
    world, victim = spoilt()
    answers = []
    ticket = SimpleNamespace(set=lambda answer: answers.append(encoding.loads(answer)))
    world.peer(victim).replica.applier.answer_reads([Read(1, encoding.dumps("spoilt"), ticket)])
    assert answers == [("error", ("redirect", world.address(world.leading)))]


def test_commands_that_were_under_way_get_no_reply_of_a_wrong_state():
    world = DigestWorld("abc")
    world.fill()
    leader = world.leading
    (ticket,) = world.write(leader, ("set", "key", 1))
    assert ticket.result is None
    world.peer(leader).core.digests.differs = Difference(0, 1, decided=True)
    world.ring(1.0)
    assert ticket.result == ("error", "outcome_unknown")


def test_a_wrong_state_is_due_for_no_snapshot():
    world, victim = spoilt()
    for name in "abc":
        replica = world.peer(name).replica
        replica.core.wanted = replica.applier.applied.index
        due = replica.snapshotter.is_due(replica.applier.applied)
        assert due == (name != victim), name


def test_a_wrong_leader_sends_its_state_to_nobody_who_asks_for_one():
    world, leader = wrong_leader()
    core = world.peer(leader).core
    core.digests.differs = None
    assert ask(world, leader, TakeSnapshot)[0] == "ok"
    member = world.address(world.others(leader)[0])
    progress = core.role.progress[member]
    for is_wrong in (True, False):
        core.digests.differs = Difference(0, 1, decided=True) if is_wrong else None
        progress.needs_state = 1
        core.role.send_state(member, progress)
        sent = [each for each in core.effects.before_save if type(each) is InstallSnapshot]
        assert bool(sent) != is_wrong


def test_a_wrong_replica_is_no_candidate_for_the_leadership():
    world, victim = spoilt()
    (other,) = world.others(world.leading, victim)
    role = world.peer(world.leading).core.role
    assert role.transfer_candidates() == [world.address(other)]


def test_nothing_is_applied_while_a_state_is_noted():
    world = DigestWorld("abc")
    world.fill()
    replica = world.peer(world.leading).replica
    assert replica.is_free()
    replica.digester.begin(replica.applier.applied)
    assert not replica.is_free()
    replica.digester.slice_s = 1.0
    assert not replica.digester.go_on()
    assert replica.is_free()


# A new state.


def renew(world, name):
    ticket = world.clients.renew(name)
    world.ring(10.0)
    return ticket.result


@pytest.mark.parametrize("machine", MACHINES)
def test_a_replica_that_gets_the_leaders_state_is_one_of_them_again(machine):
    world, victim = spoilt(machine)
    before = world.peer(victim).core.ballot
    what, index = renew(world, victim)
    assert what == "ok"
    assert not any(map(world.troubles, "abc"))
    assert len({world.digest(name) for name in "abc"}) == 1
    assert world.digest(victim)[0] > index, "the leader has had it compared at once"
    assert world.peer(victim).core.ballot.term == before.term
    assert world.read(victim, "spoilt", STALE).result is None
    assert world.read(victim, "key 1", STALE).result == 1
    world.crash(victim, 0.0)
    world.start(victim)
    world.ring(3.0)
    assert world.read(victim, "spoilt", STALE).result is None
    assert not world.troubles(victim)
    world.close()


def test_only_the_state_is_replaced_and_the_log_and_the_votes_stay(monkeypatch):
    """What it has acknowledged is counted elsewhere. Planted: a_new_state_drops_the_log."""
    world, victim = spoilt()
    core = world.peer(victim).core
    begun_anew = []
    restart = Log.restart
    monkeypatch.setattr(
        Log, "restart", lambda log, *place: (begun_anew.append(place), restart(log, *place))
    )
    world.isolate(world.others(world.leading, victim)[0])
    logs = []
    ticket = world.clients.renew(victim)
    while ticket.result is None:
        world.write(world.leading, ("set", "late", len(logs)))
        logs.append(world.disks[victim].last_index)
        world.ring(0.05)
    assert logs == sorted(logs)
    assert core.log.last_index == world.disks[victim].last_index >= logs[-1]
    assert begun_anew == []
    world.ring(3.0)
    assert world.read(victim, "late", STALE).result == len(logs) - 1


def test_a_digest_that_is_under_way_is_given_up_with_its_state():
    world, victim = spoilt()
    work = SimpleNamespace(given_up=False)
    world.peer(victim).replica.digester.hashing = work
    assert renew(world, victim)[0] == "ok"
    assert work.given_up


def test_writes_go_on_while_it_gets_its_state_even_if_they_need_it():
    world, victim = spoilt()
    leader = world.leading
    (other,) = world.others(leader, victim)
    world.crash(other, 1.0)
    world.peer(leader).config = world.config
    world.clients.renew(victim)
    tickets = []
    while world.peer(victim).core.reseeding is not None:
        tickets += world.write(leader, ("set", "meanwhile", 1))
        world.pass_time(0.01)
        for _ in range(3):
            if world.wire:
                world.deliver([world.wire.pop(0)])
    world.ring(1.0)
    assert tickets
    assert all(ticket.result == "ok" for ticket in tickets)


def test_a_leader_hands_over_before_it_gets_another_state():
    world = DigestWorld("ab")
    world.fill()
    leader = world.leading
    world.spoil(leader)
    world.fill()
    assert "digests_differ" in world.troubles(leader)
    assert renew(world, leader)[0] == "ok"
    assert world.leading != leader
    assert not any(map(world.troubles, "ab"))
    assert world.read(leader, "spoilt", STALE).result is None


def test_a_leader_that_nobody_can_follow_keeps_its_state():
    world = DigestWorld("ab")
    leader = world.leading
    (other,) = world.others(leader)
    world.isolate(other)
    ticket = world.clients.renew(leader)
    world.ring(0.2)
    world.clients.renew(leader)
    assert ticket.result is None or ticket.result[0] == "error"
    lone = DigestWorld("a")
    assert renew(lone, "a") == ("error", ("peers_not_responding", []))


def test_who_waits_for_a_state_and_has_no_leader_gives_it_up():
    world = DigestWorld("abc")
    world.fill()
    leader = world.leading
    one, two = world.others(leader)
    world.crash(leader, 1.0)
    tickets = [world.clients.renew(one), world.clients.renew(two)]
    world.ring(60.0)
    assert {ticket.result[0] for ticket in tickets} <= {"ok", "error"}
    ticket = world.read(world.leading, "key 1")
    world.ring(1.0)
    assert ticket.result == 1


def test_a_witness_gets_no_state():
    world = DigestWorld("abw", witnesses="w")
    assert renew(world, "w") == ("error", "keeps_no_state")


def test_a_peer_that_ends_answers_those_who_wait_for_its_new_state():
    world, victim = spoilt()
    world.isolate(victim)
    ticket = world.clients.renew(victim)
    world.busy = world.peer(victim)
    world.peer(victim).replica.end()
    assert ticket.result == ("error", "no_peer")


@pytest.mark.parametrize("machine", [Registers, DiskRegisters])
def test_a_crash_on_the_way_to_another_state_leaves_no_wrong_one(machine):
    """Wherever the process ends. Planted: a_wrong_state_on_disk_outlives_its_replacement."""
    for boundary in (1, 2, 3, 4, 8, 11):
        world, victim = spoilt(machine)
        world.random.random = lambda: 1.0  # the disk keeps everything
        world.clients.renew(victim)
        for number in range(200):
            peer = world.peers.get(victim)
            if peer is None or peer.core.reseeding is None:
                break
            if not world.wire:
                world.write(world.leading, ("set", "meanwhile", number))
                world.pass_time(0.01)
                continue
            message = world.wire.pop(0)
            if type(message) is InstallSnapshot:
                world.write(world.leading, ("set", "newer than the snapshot", number))
                world.ring(0.1)
                world.fuse = boundary
            world.deliver([message])
            world.fuse = 0
        if victim not in world.peers:
            world.start(victim)
        spoilt_now = world.peer(victim).applied.state.get("spoilt") is not None
        assert spoilt_now == world.peer(victim).core.digests.is_wrong, f"boundary {boundary}"
        world.close()
