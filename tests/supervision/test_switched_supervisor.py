"""A supervisor that is switched on and off: its children run only while it is on."""

import queue
import threading

import pytest

from supervision import ChildSpec, Supervisor, exit_reason, kill, stop
from supervision.switched_supervisor import SwitchedFlags, SwitchedSupervisor, Turn
from tests.helpers import eventually
from tests.supervision.helpers import Worker, boom


class Turned:
    """A switch that a test turns."""

    def __init__(self, supervisor):
        self.supervisor = supervisor
        self.ending = False
        self.ended = []

    def turn(self, on, within_s=0.3):
        """Switch the supervisor, and return the answer of its switch."""
        answers = queue.SimpleQueue()
        switch = self.supervisor._switch_on if on else lambda: self.supervisor._switch_off(within_s)
        self.supervisor.actor_ref.tell(Turn(lambda: answers.put(switch())))
        return answers.get(timeout=30)

    def prepared(self, spec):
        return spec

    def may_restart(self):
        return not self.ending

    def time_to_end_s(self):
        return 0.3

    def children_ended(self, *, all_have):
        self.ended.append(all_have)

    def killed(self):
        self.ended.append("killed")


def switched_flags(children, made, **options):
    flags = Supervisor.init(children, **options)

    def make(supervisor):
        made.append(Turned(supervisor))
        return made[-1]

    return SwitchedFlags(
        flags.children, flags.strategy, flags.max_restarts, flags.max_seconds, flags.backoff, make
    )


class Switched(SwitchedSupervisor):
    init = staticmethod(switched_flags)


@pytest.fixture
def switch(journal):
    """Start a supervisor, and return its switch."""
    started = []

    def start(*children, **options):
        made = []
        ok, ref = Switched.start_link(children or [(Worker, ("one", journal))], made, **options)
        assert ok == "ok"
        started.append(ref)
        return ref, made[0]

    yield start
    for ref in started:
        if exit_reason(ref) is None:
            stop(ref, "shutdown")


def shown(ref):
    return [
        (name, getattr(child, "is_alive", lambda child=child: child)())
        for name, child, *_ in Supervisor.which_children(ref)
    ]


def named(label, journal, **fields):
    return ChildSpec(label, lambda: Worker.start_link(label, journal), **fields)


def test_children_start_when_it_is_switched_on_and_stop_in_reverse(switch, journal):
    ref, it = switch(named("a", journal), named("b", journal))
    assert shown(ref) == [("b", "undefined"), ("a", "undefined")]
    it.turn(True)
    assert shown(ref) == [("b", True), ("a", True)]
    assert it.turn(False) is True
    assert journal[2:] == [("stop", "b", "shutdown"), ("stop", "a", "shutdown")]


def test_it_is_switched_as_often_as_wanted(switch, journal):
    _ref, it = switch()
    for _ in range(3):
        it.turn(True)
        it.turn(True)
        it.turn(False)
        it.turn(False)
    assert journal == [("start", "one"), ("stop", "one", "shutdown")] * 3


def test_a_child_that_crashes_is_restarted_while_it_is_on(switch, journal):
    ref, it = switch()
    it.turn(True)
    Supervisor.which_children(ref)[0][1].tell(boom)
    eventually(lambda: journal.count(("start", "one")) == 2)


def test_no_child_is_restarted_while_all_are_to_end(switch, journal):
    ref, it = switch()
    it.turn(True)
    it.ending = True
    stop(Supervisor.which_children(ref)[0][1])
    eventually(lambda: shown(ref) == [("Worker", "undefined")])
    assert it.turn(False) is True
    assert journal == [("start", "one"), ("stop", "one", "normal")]


def test_a_restart_that_waits_for_its_pause_ends_with_the_switch(switch):
    tries = []

    def fails():
        tries.append(1)
        return ("error", "no")

    ref, it = switch(ChildSpec("fails", fails), max_restarts=10_000, max_seconds=0.1)
    it.turn(True)
    it.turn(False)
    count = len(tries)
    assert shown(ref) == [("fails", "undefined")]
    assert len(tries) == count


def test_a_temporary_child_starts_again_at_the_next_switch(switch, journal):
    ref, it = switch(named("once", journal, restart="temporary"))
    for number in (1, 2):
        it.turn(True)
        stop(Supervisor.which_children(ref)[0][1])
        eventually(lambda: shown(ref) == [("once", "undefined")])
        assert journal.count(("start", "once")) == number
        it.turn(False)


def test_a_child_that_was_put_away_stays_away_until_it_is_asked_for(switch, journal):
    ref, it = switch()
    it.turn(True)
    assert Supervisor.terminate_child(ref, "Worker") == "ok"
    it.turn(False)
    it.turn(True)
    assert journal.count(("start", "one")) == 1
    assert Supervisor.restart_child(ref, "Worker")[0] == "ok"
    assert journal.count(("start", "one")) == 2


def test_children_that_are_added_while_it_is_off_start_at_the_switch(switch, journal):
    ref, it = switch(named("a", journal))
    assert Supervisor.start_child(ref, named("b", journal)) == ("ok", "undefined")
    assert Supervisor.start_child(ref, named("b", journal)) == ("error", "already_present")
    assert Supervisor.restart_child(ref, "a") == ("ok", "undefined")
    assert journal == []
    it.turn(True)
    assert journal == [("start", "a"), ("start", "b")]
    Supervisor.start_child(ref, named("c", journal))
    assert journal[-1] == ("start", "c")
    it.turn(False)
    assert Supervisor.delete_child(ref, "a") == "ok"
    assert [name for name, _ in shown(ref)] == ["c", "b"]


def test_a_child_that_does_not_end_in_time_is_killed_and_told_of(switch):
    gate = threading.Event()

    class Deaf(Worker):
        def terminate(self, _reason):
            gate.wait(30)

    _ref, it = switch(Deaf)
    it.turn(True)
    assert it.turn(False) is False
    gate.set()
    it.turn(True)
    assert it.turn(False) is True


def test_at_its_own_end_it_says_whether_all_have_ended(switch, journal):
    ref, it = switch()
    it.turn(True)
    stop(ref, "shutdown")
    assert journal[-1] == ("stop", "one", "shutdown")
    assert it.ended == [True]


def test_a_supervisor_that_is_killed_tells_its_switch(switch):
    ref, it = switch()
    it.turn(True)
    kill(ref)
    eventually(lambda: it.ended == ["killed"])
