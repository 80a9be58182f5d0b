"""Plain Pykka actors under supervision, and Pykka's own ways of stopping things."""

import pykka
import pytest

from supervision import Process, Supervisor, as_process, exit_reason, names, stop
from tests.helpers import eventually

from .helpers import Worker


class Plain(pykka.ThreadingActor):
    """Written for Pykka, by someone who never heard of supervisors."""

    def __init__(self, size=1, log=None):
        super().__init__()
        self.size, self.log = size, log
        self._me = self.actor_ref.proxy()

    def on_start(self):
        if self.size < 0:
            raise ValueError("negative")

    def on_receive(self, message):
        if isinstance(message, Exception):
            raise message
        return message

    def on_stop(self):
        if self.log is not None:
            self.log.append("on_stop")

    def on_failure(self, exception_type, exception_value, traceback):
        if self.log is not None:
            self.log.append(exception_type)


def children(supervisor):
    return {name: ref for name, ref, _, _ in Supervisor.which_children(supervisor)}


def test_a_plain_actor_is_started_supervised_and_restarted():
    log = []
    _, supervisor = Supervisor.start_link([(Plain, {"size": 2, "log": log})])
    ref = children(supervisor)["Plain"]
    assert ref.proxy().size.get() == 2
    with pytest.raises(ValueError, match="asked"):
        ref.ask(ValueError("asked"))
    assert ref.ask("alive") == "alive"
    ref.tell(ValueError("told"))
    again = eventually(lambda: children(supervisor)["Plain"] is not ref)
    again = children(supervisor)["Plain"]
    assert again.ask("alive") == "alive"
    assert log == [ValueError]
    Supervisor.stop(supervisor)
    assert log == [ValueError, "on_stop"]


def test_an_on_start_that_fails_is_a_failed_start():
    answer = Supervisor.start_link([(Plain, -1)])
    reason = ("exception", "ValueError", "negative")
    assert answer == ("error", ("shutdown", ("failed_to_start_child", "Plain", reason)))


def test_adoption_keeps_name_and_is_one_class():
    adopted = as_process(Plain)
    assert adopted is as_process(Plain)
    assert (adopted.__name__, adopted.__doc__) == ("Plain", Plain.__doc__)
    assert issubclass(adopted, Process)
    assert issubclass(adopted, Plain)
    assert as_process(Worker) is Worker
    assert isinstance(adopted.start(1).proxy().size.get(), int)


def test_an_actor_whose_methods_mean_something_else_is_refused():
    class Clashing(pykka.ThreadingActor):
        def exit(self):
            pass

        def terminate(self):
            pass

    with pytest.raises(TypeError, match="exit, terminate"):
        as_process(Clashing)


def test_a_start_function_that_returns_a_plain_ref_is_a_failed_start():
    from supervision import ChildSpec

    answer, reason = Supervisor.start_link([ChildSpec("p", lambda: Plain.start())])
    assert answer == "error"
    assert reason[1][:2] == ("failed_to_start_child", "p")
    eventually(lambda: pykka.ActorRegistry.get_all() == [])


def test_only_roots_are_in_pykkas_registry():
    plain = Plain.start()
    alone = Worker.start()
    _, supervisor = Supervisor.start_link([(Worker, {"name": "child"}), (Supervisor, ([],))])
    assert pykka.ActorRegistry.get_all() == [plain, alone, supervisor]


def test_a_mopidy_style_teardown_ends_a_tree_once_and_from_the_top(journal, caplog):
    """Stop by class, then stop_all until nothing is left; nothing may come back meanwhile.

    Planted once to see it go red: linked processes kept in ActorRegistry.
    """
    from supervision import ChildSpec

    starts = []

    def start(label):
        starts.append(label)
        return Worker.start_link(label, journal, name=label)

    labels = ["a", "b", "c", "d", "e", "f"]
    specs = [ChildSpec(label, lambda label=label: start(label)) for label in labels]
    inner = ChildSpec("inner", lambda: Supervisor.start_link(specs[3:]), type="supervisor")
    _, supervisor = Supervisor.start_link([*specs[:3], inner])
    plain = Plain.start()
    caplog.clear()

    for ref in pykka.ActorRegistry.get_by_class(Plain):
        ref.stop()
    rounds = 0
    while pykka.ActorRegistry.get_all():
        pykka.ActorRegistry.stop_all()
        rounds += 1

    assert rounds == 1
    assert starts == labels
    assert [entry[1] for entry in journal if entry[0] == "stop"] == labels[::-1]
    assert {entry[2] for entry in journal if entry[0] == "stop"} == {"shutdown"}
    assert exit_reason(supervisor) == "normal"
    assert not plain.is_alive()
    assert names.names() == []
    assert caplog.records == []


def test_a_child_stopped_by_its_ref_is_restarted_like_any_that_ended_normal():
    _, supervisor = Supervisor.start_link([Worker])
    ref = children(supervisor)["Worker"]
    assert ref.stop() is True
    eventually(lambda: children(supervisor)["Worker"] is not ref)


ATTRIBUTES = ("exit", "terminate", "init", "handle_inline", "on_idle", "fenced", "_run", "_special")


@pytest.mark.parametrize("attribute", ATTRIBUTES)
@pytest.mark.parametrize("where", ["__init__", "on_start", "on_receive"])
def test_an_attribute_that_means_something_else_is_refused_by_name(attribute, where):
    """Planted: it takes the place of ours, and `on_stop` does not run."""
    log = []

    class Own(pykka.ThreadingActor):
        def __init__(self):
            super().__init__()
            self.at("__init__")

        def at(self, place):
            if place == where:
                setattr(self, attribute, object())

        def on_start(self):
            self.at("on_start")

        def on_receive(self, _message):
            self.at("on_receive")

        def on_stop(self):
            log.append("on_stop")

    answer, outcome = as_process(Own).start_link()
    if where == "on_receive":
        with pytest.raises(TypeError, match=f"attribute {attribute}, "):
            outcome.ask("now")
        assert stop(outcome) == "ok"
        assert log == ["on_stop"]
    else:
        assert answer == "error"
        assert f"attribute {attribute}, " in str(outcome)


def test_an_actor_keeps_its_own_way_to_set_attributes():
    class Counting(pykka.ThreadingActor):
        sets = 0

        def __setattr__(self, name, value):
            type(self).sets += 1
            super().__setattr__(name, value)

    before = Counting.sets
    counting = as_process(Counting).start()
    counting.proxy().own = 1
    assert counting.proxy().own.get() == 1
    assert counting.actor_class.sets > before
    stop(counting)


def test_a_message_that_an_actor_does_not_handle_is_logged_and_ends_nothing(caplog):
    class Silent(pykka.ThreadingActor):
        pass

    class Mute:
        __str__ = __repr__ = None

    silent = as_process(Silent).start()
    assert silent.ask(Mute()) is None
    assert "Mute instance" in caplog.text
    stop(silent)
