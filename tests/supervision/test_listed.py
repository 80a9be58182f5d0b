"""Listed processes are found by Pykka's ActorRegistry; adopted actors are as Pykka has them."""

import logging

import pykka
import pytest

from supervision import (
    ChildSpec,
    ChildSpecError,
    DynamicSupervisor,
    Process,
    Supervisor,
    as_process,
)
from tests.helpers import eventually

from .helpers import Worker


class Listed(Process, listed=True):
    def on_receive(self, message):
        return message


class Plain(pykka.ThreadingActor):
    use_daemon_thread = True

    def on_start(self):
        self.found = pykka.ActorRegistry.get_by_urn(self.actor_urn)

    def on_receive(self, message):
        raise message


class Named(Plain):
    def __str__(self):
        return "the named one"


def starts(cls):
    return ChildSpec(cls.__name__, cls.start_link, listed=True)


@pytest.mark.parametrize(
    "child",
    [Listed, as_process(Plain, listed=True), starts(Worker)],
    ids=["class", "adoption", "spec"],
)
def test_a_listed_child_is_found_by_its_class_and_its_urn(child):
    _, supervisor = Supervisor.start_link([child, (Supervisor, ([],))])
    ref = Supervisor.which_children(supervisor)[-1][1]
    assert pykka.ActorRegistry.get_by_class(ref.actor_class) == [ref]
    assert pykka.ActorRegistry.get_by_urn(ref.actor_urn) is ref
    assert pykka.ActorRegistry.get_all() == [ref, supervisor]
    Supervisor.stop(supervisor)
    assert pykka.ActorRegistry.get_all() == []


def test_a_spec_decides_against_the_class():
    hidden = ChildSpec("hidden", Listed.start_link, listed=False)
    _, supervisor = Supervisor.start_link([hidden])
    assert pykka.ActorRegistry.get_all() == [supervisor]
    with pytest.raises(ChildSpecError, match="listed"):
        ChildSpec("x", Worker.start_link, listed="yes")
    assert issubclass(as_process(Listed, listed=True), Listed)


def test_a_listed_actor_is_found_in_its_on_start():
    _, supervisor = Supervisor.start_link([as_process(Plain, listed=True)])
    ref = Supervisor.which_children(supervisor)[0][1]
    assert ref.proxy().found.get() == ref
    alone = as_process(Plain).start()
    assert alone.proxy().found.get() == alone


def test_stop_all_ends_a_tree_with_listed_children_from_the_top():
    """Planted: the root stays where it was, and restarts what was stopped before it."""
    _, inner = DynamicSupervisor.start_link()
    _, outer = Supervisor.start_link(
        [ChildSpec("in", DynamicSupervisor.start_link, type="supervisor")]
    )
    deep = Supervisor.which_children(outer)[0][1]
    first = DynamicSupervisor.start_child(deep, Listed)[1]
    second = DynamicSupervisor.start_child(inner, Listed)[1]
    assert pykka.ActorRegistry.get_all() == [first, outer, second, inner]
    first.tell("alive")
    pykka.ActorRegistry.broadcast("to all", target_class=Listed)
    assert pykka.ActorRegistry.stop_all() == [True, False, True, False]
    assert pykka.ActorRegistry.get_all() == []


def test_an_adopted_actor_has_pykkas_text_thread_and_records(caplog):
    caplog.set_level(logging.INFO)
    ref = as_process(Plain).start()
    assert str(ref.actor_class()).startswith("Plain (urn:uuid:")
    assert str(as_process(Named)()) == "the named one"
    assert as_process(Plain).use_daemon_thread
    assert not as_process(pykka.ThreadingActor).use_daemon_thread
    ref.tell(ValueError("told"))
    eventually(lambda: not ref.is_alive())
    (record,) = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert record.name == "pykka"
    assert record.getMessage().startswith("Unhandled exception in Plain (urn:uuid:")
    assert record.exc_info[0] is ValueError
