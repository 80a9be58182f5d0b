"""Orphans: a process whose parent was killed or has crashed keeps its name for a moment.

Planted once to see each go red: a start that does not wait for an orphan; a child that is marked
after a supervisor of its parent was told.
"""

import queue
import threading
from functools import partial

import pytest

from supervision import ChildSpec, DynamicSupervisor, Process, Supervisor, kill, names, stop
from supervision.orphans import has_ended
from tests.helpers import eventually

from .helpers import Gate, Worker, boom


class Slow(Process):
    """Takes its time to end."""

    def init(self, gate):
        self.gate = gate

    def terminate(self, _reason):
        self.gate.reached.set()
        self.gate.opened.wait(30)


class Owner(Process):
    """Starts a process with a name, and is no supervisor."""

    def init(self, gate):
        Slow.start_link(gate, name="slow")

    def on_receive(self, message):
        message(self)


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.opened.set()


def slow(gate):
    return ChildSpec("slow", partial(Slow.start_link, gate, name="slow"))


def parents(gate):
    """Each kind of parent, as a spec that starts it with the child `slow`, and how it ends."""
    static = partial(Supervisor.start_link, [slow(gate)], name="parent")
    owner = partial(Owner.start_link, gate, name="parent")
    return {
        "a supervisor, killed": (static, kill),
        "a process, killed": (owner, kill),
        "a process, crashed": (owner, lambda ref: ref.tell(boom)),
    }


@pytest.mark.parametrize("how", parents(None))
def test_the_successor_of_a_parent_waits_for_the_orphan_and_starts_its_own(how, gate):
    start, end = parents(gate)[how]
    top = Supervisor.start_link([ChildSpec("parent", start)], max_restarts=1)[1]
    orphan = names.whereis("slow")
    end(names.whereis("parent"))
    gate.reached.wait(30)
    gate.opened.set()
    assert eventually(lambda: names.whereis("slow") not in (None, orphan))
    assert top.is_alive()
    assert Supervisor.count_children(top)["active"] == 1


def test_a_child_that_was_started_late_is_an_orphan_before_the_end_of_its_parent_is_told(gate):
    """A supervisor above, or whoever else watches the parent, has watched it for longer."""
    parent = Supervisor.start_link([])[1]
    told = queue.SimpleQueue()
    parent.watch(lambda _reason: told.put(child.orphaned))
    child = Supervisor.start_child(parent, slow(gate))[1]
    kill(parent)
    assert told.get(timeout=30) is True


def test_a_process_whose_parent_lives_is_not_waited_for():
    answer, ref = Worker.start_link(name="taken")
    assert answer == "ok"
    assert Worker.start_link(name="taken") == ("error", ("already_started", ref))


def test_an_orphan_that_does_not_end_has_its_name_after_the_timeout(gate):
    owner = Owner.start_link(gate)[1]
    orphan = names.whereis("slow")
    kill(owner)
    gate.reached.wait(30)
    answer = Worker.start_link(name="slow", timeout=0.05)
    assert answer == ("error", ("already_started", orphan))
    kill(orphan)
    assert Worker.start_link(name="slow")[0] == "ok"


class Asking(Process):
    """Asks the supervisor at the top while it ends."""

    def init(self, answers):
        self.answers = answers

    def terminate(self, _reason):
        try:
            self.answers.put(Supervisor.which_children("top"))
        except Exception as error:
            self.answers.put(error)


def test_an_orphan_that_asks_a_supervisor_above_does_not_wait_for_itself():
    """The top waits for the start of the new parent, and this one for the end of the orphan."""
    answers = queue.SimpleQueue()
    asking = ChildSpec("asking", partial(Asking.start_link, answers, name="asking"))
    parent = Supervisor.child_spec([asking], name="parent")
    Supervisor.start_link([parent], name="top", max_restarts=1)
    orphan = names.whereis("asking")
    kill("parent")
    answers.get(timeout=30)
    assert eventually(lambda: names.whereis("asking") not in (None, orphan))
    stop("top")


def test_a_start_by_the_orphan_itself_is_answered(gate):
    """It would wait for its own end."""
    answers = queue.SimpleQueue()

    class Renewing(Process):
        def terminate(self, _reason):
            answers.put(Worker.start_link(name="renewing"))

    class Parent(Process):
        def init(self):
            Renewing.start_link(name="renewing")

    parent = Parent.start_link()[1]
    orphan = names.whereis("renewing")
    kill(parent)
    assert answers.get(timeout=30) == ("error", ("already_started", orphan))


def test_a_dynamic_supervisor_that_was_killed_leaves_its_names_to_its_successor(gate):
    supervisor = DynamicSupervisor.start_link(name="dynamic")[1]
    orphan = DynamicSupervisor.start_child(supervisor, slow(gate))[1]
    kill(supervisor)
    answers = queue.SimpleQueue()
    successor = DynamicSupervisor.start_link(name="dynamic")[1]
    starting = threading.Thread(
        target=lambda: answers.put(DynamicSupervisor.start_child(successor, slow(gate)))
    )
    starting.start()
    gate.reached.wait(30)
    gate.opened.set()
    answer, ref = answers.get(timeout=30)
    assert (answer, ref is orphan) == ("ok", False)
    starting.join()


def test_has_ended_leaves_no_watcher_behind(gate):
    orphan = Slow.start_link(gate)[1]
    assert not has_ended(orphan, 0.0)
    assert not orphan._lifeline._watchers
