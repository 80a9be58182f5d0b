"""Refs by name, by (registry, name) and by a child's id survive the restarts of a process."""

import pickle

import pykka
import pytest

from supervision import (
    ChildSpec,
    Down,
    NamedRef,
    Registry,
    Supervisor,
    exit_reason,
    kill,
    monitor,
    names,
    stop,
)
from tests.helpers import eventually

from .helpers import Collector, Worker, seen
from .otp import otp


def test_a_ref_of_a_name_finds_each_successor():
    ref = names.ref("w")
    assert (ref.whereis(), ref.is_alive(), ref.stop()) == (None, False, False)
    _, supervisor = Supervisor.start_link([(Worker, {"label": "here", "name": "w"})])
    proxy, first = ref.proxy(), names.whereis("w")
    assert (ref.ask(1), proxy.label.get()) == (1, "here")
    stop(ref)
    eventually(lambda: ref.whereis() not in (None, first))
    assert ref.ask(2, timeout=10) == 2
    proxy.label = "there"
    assert proxy.label.get() == "there"
    assert "label" in dir(proxy)
    assert exit_reason(first) == "normal"
    Supervisor.stop(supervisor)


def test_a_ref_of_a_free_name_says_so():
    ref = names.ref("nobody")
    for use in (lambda: ref.tell(1), lambda: ref.ask(1), lambda: ref.proxy().label):
        with pytest.raises(pykka.ActorDeadError, match="nobody"):
            use()
    with pytest.raises(pykka.ActorDeadError, match="nobody"):
        ref.ask(1, block=False).get()
    assert ref.stop(block=False).get() is False
    heard = []
    ref.watch(heard.append)
    assert heard == ["noproc"]
    assert repr(ref) == "<NamedRef 'nobody'>"
    assert repr(ref.proxy()) == "<NamedProxy of <NamedRef 'nobody'>>"


def test_refs_of_one_name_are_equal():
    other = Registry()
    assert names.ref("x") == names.ref("x") == NamedRef(names, "x")
    assert len({names.ref("x"), names.ref("x"), other.ref("x"), names.ref("y")}) == 3


@otp("supervisor_test.exs", "start_link/2 with via")
@otp("gen_server_test.exs", "start_link/3 with via")
@otp("gen_server_SUITE.erl", "stop7")
def test_a_pair_of_registry_and_name_is_taken_wherever_a_name_is():
    book = Registry()
    _, supervisor = Supervisor.start_link([Worker], name="s", registry=book)
    assert Supervisor.count_children((book, "s"))["active"] == 1
    assert Supervisor.which_children(book.ref("s")) == Supervisor.which_children(supervisor)
    collector = Collector.start_link(name="c", registry=book)[1]
    seen_end = monitor(book.ref("s"), (book, "c"))
    assert stop((book, "s")) == "ok"
    assert seen(collector) == [Down(seen_end.ref, supervisor, "normal")]
    assert monitor((book, "s"), collector).actor == (book, "s")
    kill((book, "c"))
    assert exit_reason((book, "c")) == "noproc"


def test_a_book_may_be_anything_that_has_whereis():
    class Everyone:
        def whereis(self, name):
            return collector if name == ("c", "b@host") else None

    collector = Collector.start()
    NamedRef(Everyone(), ("c", "b@host")).tell("there")
    assert seen(collector) == ["there"]


@otp("supervisor_SUITE.erl", "which_children")
def test_the_ref_of_a_child_is_found_again_after_its_restart():
    _, supervisor = Supervisor.start_link([ChildSpec("a", lambda: Worker.start_link("a"))])
    ref = Supervisor.child(supervisor, "a")
    ok, shown = Supervisor.which_child(supervisor, "a")
    assert (ok, shown) == ("ok", ("a", ref.whereis(), "worker", ()))
    assert Supervisor.which_child(supervisor, "b") == ("error", "not_found")
    first = ref.whereis()
    kill(first)
    assert ref.ask("again", timeout=10) == "again"
    assert ref.whereis() is not first
    Supervisor.terminate_child(supervisor, "a")
    assert not ref.is_alive()
    assert not Supervisor.child(supervisor, "b").is_alive()


def test_a_ref_of_a_name_is_not_sent_elsewhere_by_accident():
    with pytest.raises((TypeError, AttributeError)):
        pickle.dumps(names.ref("x"))
