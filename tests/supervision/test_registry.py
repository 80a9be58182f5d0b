"""Registries with unique and with duplicate keys, values, listeners, and locks."""

import threading

import pytest

from supervision import (
    OptionError,
    Process,
    Registered,
    Registry,
    Unregistered,
    kill,
    stop,
)
from tests.helpers import eventually

from .helpers import Collector, Gate, Worker, boom, seen
from .otp import otp

UNIQUE, DUPLICATE = "registry/unique_test.exs", "registry/duplicate_test.exs"


@pytest.fixture(params=["unique", "duplicate"])
def book(request):
    return Registry(keys=request.param)


def is_text(_ref, value):
    return isinstance(value, str)


@otp(UNIQUE, "counts 0 keys in an empty registry", "counts the number of keys in a registry",
     "supports reserved keys", "empty list for empty registry", "select all")  # fmt: skip
@otp(DUPLICATE, "counts 0 keys in an empty registry", "counts the number of keys in a registry",
     "supports reserved keys", "empty list for empty registry", "select all",
     "select with reserved-atom keys", "count_select with reserved-atom keys")  # fmt: skip
def test_entries_are_counted_and_shown(book):
    assert (book.count(), book.select(), book.lookup("a")) == (0, [], [])
    ref = Worker.start()
    for key in ("a", None, ("all", 1), "_"):
        assert book.register(key, ref, f"of {key}") == ("ok", ref)
    assert book.count() == 4
    assert book.select()[:2] == [("a", ref, "of a"), (None, ref, "of None")]
    assert book.keys(ref) == ["a", None, ("all", 1), "_"] == book.names()
    assert book.count_select(lambda key, ref, value: key is None) == 1
    assert book.values("_", ref) == ["of _"]


@otp(UNIQUE, "has unique registrations", "has unique registrations across processes",
     "has unique registrations even if partition is delayed", "updates current process value",
     "doesn't grow ets on already_registered",
     "doesn't grow ets on already_registered across processes")  # fmt: skip
def test_a_unique_key_has_one_ref_and_a_value_that_may_change():
    book, first, second = Registry(), Worker.start(), Worker.start()
    book.register("a", first, 1)
    for ref in (first, second):
        assert book.register("a", ref, 2) == ("error", ("already_registered", first))
    assert (book.lookup("a"), book.count()) == ([(first, 1)], 1)
    assert book.update_value("a", first, lambda value: value + 1) == (2, 1)
    assert book.update_value("a", second, lambda value: value + 1) == "error"
    assert book.update_value("b", first, lambda value: value + 1) == "error"
    assert book.values("a", first) == [2]
    assert book.values("a", second) == []


@otp(DUPLICATE, "has duplicate registrations", "has duplicate registrations across processes",
     "update_value is not supported", "raises if attempt to be used on via",
     "rejects invalid tuple syntax")  # fmt: skip
def test_a_duplicate_key_has_an_entry_for_each_registration():
    book, first, second = Registry(keys="duplicate"), Worker.start(), Worker.start()
    for ref, value in ((first, 1), (first, 1), (second, 2)):
        assert book.register("a", ref, value) == ("ok", ref)
    assert book.lookup("a") == [(first, 1), (first, 1), (second, 2)]
    assert (book.keys(first), book.values("a", first)) == (["a", "a"], [1, 1])
    for wrong in (
        lambda: book.update_value("a", first, id), lambda: book.whereis("a"),
        lambda: Worker.start_link(name="a", registry=book),
    ):  # fmt: skip
        with pytest.raises(TypeError, match="unique"):
            wrong()
    with pytest.raises(OptionError, match="keys"):
        Registry(keys=("duplicate", "pid"))


@otp(UNIQUE, "dispatches to a single key")
@otp(DUPLICATE, "dispatches to multiple keys in serial",
     "dispatches to multiple keys in parallel")  # fmt: skip
def test_a_dispatch_goes_to_all_who_are_registered(book):
    refs = [Collector.start(), Collector.start()]
    for ref in refs[: 1 if book.is_unique else 2]:
        book.register("news", ref, "value")
    assert (
        book.dispatch("news", lambda entries: [ref.tell(value) for ref, value in entries]) == "ok"
    )
    assert book.dispatch("weather", boom) == "ok", "it is not called for none"
    assert [seen(ref) for ref in refs] == [["value"], [] if book.is_unique else ["value"]]
    with pytest.raises(ValueError, match="boom"):
        book.dispatch("news", boom)


@otp(UNIQUE, "unregisters process by key", "unregisters with no entries")
@otp(DUPLICATE, "unregisters by key", "unregisters with no entries")
def test_a_ref_frees_its_own_entries(book):
    first, second = Worker.start(), Worker.start()
    for ref in (first, second):
        book.register("a", ref)
        book.register("b", ref)
    book.unregister("a", second if book.is_unique else first)
    book.unregister("c", first)
    assert book.lookup("a") == [(first if book.is_unique else second, None)]
    book.unregister("a", first if book.is_unique else second)
    assert book.lookup("a") == []
    book.unregister("b")
    assert (book.count(), book.keys(first)) == (0, [])


@otp(UNIQUE, "supports match patterns", "supports guard conditions",
     "count_match supports match patterns", "count_match supports guard conditions",
     "unregister_match supports patterns", "unregister_match supports guards",
     "select supports full match specs", "select supports guard conditions",
     "select allows multiple specs", "count_select supports match specs",
     "count_select supports guard conditions", "count_select allows multiple specs",
     "select raises on incorrect shape of match spec",
     "count_select raises on incorrect shape of match spec")  # fmt: skip
@otp(DUPLICATE, "supports match patterns", "supports guards", "compares using matches",
     "uses exact complex keys in lookup and match", "count_match supports match patterns",
     "count_match supports guard conditions", "unregister_match supports patterns",
     "unregister_match supports guards", "select supports full match specs",
     "select supports guard conditions", "select allows multiple specs",
     "count_select supports match specs", "count_select supports guard conditions",
     "count_select allows multiple specs")  # fmt: skip
def test_entries_are_matched_by_a_function(book):
    ref = Worker.start()
    book.register(("a", 1), ref, "text")
    book.register("b", ref, 2)
    if not book.is_unique:
        book.register(("a", 1), ref, 3)
    assert book.match(("a", 1), is_text) == [(ref, "text")]
    assert book.match(("a", 2), is_text) == book.match("b", is_text) == []
    assert book.count_match("b", lambda _, value: value > 1) == 1
    assert book.select(lambda key, _, value: key == "b" or value == "text") == [
        (("a", 1), ref, "text"), ("b", ref, 2)
    ]  # fmt: skip
    assert book.count_select(lambda key, _ref, value: value == 2) == 1
    for wrong in (book.select, book.count_select):
        with pytest.raises(TypeError):
            wrong(lambda only_one: True)
    book.unregister_match(("a", 1), is_text)
    assert book.lookup(("a", 1)) == ([] if book.is_unique else [(ref, 3)])


@otp(UNIQUE, "allows listeners")
@otp(DUPLICATE, "allows listeners")
@pytest.mark.parametrize("keys", ["unique", "duplicate"])
def test_listeners_are_sent_each_change(keys):
    listener, ref = Collector.start_link(name="listener")[1], Worker.start()
    dead = Collector.start()
    stop(dead)
    book = Registry(keys=keys, listeners=["listener", "nobody", dead])
    book.register("a", ref, 1)
    book.register("b", ref)
    book.unregister("b")
    stop(ref)
    assert seen(listener) == [
        Registered("a", ref, 1), Registered("b", ref, None),
        Unregistered("b", ref), Unregistered("a", ref),
    ]  # fmt: skip


@otp("registry_test.exs", "clean up registry on process crash")
@otp(UNIQUE, "links and unlinks on register/unregister")
@otp(DUPLICATE, "links and unlinks on register/unregister")
def test_a_registry_forgets_the_dead_and_leaves_no_watch(book):
    ref, other = Worker.start(), Worker.start()
    before = len(ref._lifeline._first)
    book.register("a", ref)
    book.unregister("a")
    assert len(ref._lifeline._first) == before
    book.register("a", ref)
    book.register("b", other)
    ref.tell(boom)
    eventually(lambda: book.names() == ["b"])
    kill(other)
    assert book.count() == 0


@otp(UNIQUE, "raises on unknown registry name", "via callbacks")
@otp(DUPLICATE, "raises on unknown registry name")
def test_what_is_no_registry_is_refused():
    with pytest.raises(AttributeError):
        Worker.start_link(name="a", registry="nobody")
    book = Registry()
    _, ref = Worker.start_link(name="a", registry=book)
    assert (book.whereis("a"), book.ref("a").ask(1)) == (ref, 1)


class Locking(Process):
    def hold(self, book, key, gate):
        with book.lock(key):
            return gate.hold() if isinstance(gate, Gate) else gate(self)


@otp("registry_test.exs", "does not lock when using different keys",
     "locks when using the same key", "locks when the one holding the lock raises",
     "locks when the one holding the lock terminates",
     "locks when the one waiting for the lock terminates")  # fmt: skip
@pytest.mark.parametrize("end", ["returns", "killed", "waiter killed"])
def test_one_block_at_a_time_runs_for_each_key(end):
    book, gate, waits = Registry(), Gate(), Gate()
    holder, waiter = Locking.start(), Locking.start()
    held = holder.proxy().hold(book, "key", gate)
    assert gate.reached.wait(10)
    with book.lock("other"):
        pass
    waiting = waiter.proxy().hold(book, "key", waits)
    eventually(lambda: len(book._locks._turns["key"]) == 2)
    assert not waits.reached.is_set()
    if end == "killed":
        kill(holder)
        assert waits.reached.wait(10)
    elif end == "waiter killed":
        kill(waiter)
        gate.opened.set()
        assert held.get(timeout=10) == "held"
    else:
        gate.opened.set()
        assert held.get(timeout=10) == "held"
        assert waits.reached.wait(10)
    waits.opened.set()
    gate.opened.set()
    if end != "waiter killed":
        assert waiting.get(timeout=10) == "held"
    with book.lock("key"):
        pass
    eventually(lambda: book._locks._turns == {})
    third = Locking.start()
    with pytest.raises(ValueError, match="boom"):
        third.proxy().hold(book, "key", boom).get(timeout=10)
    taken = threading.Event()

    def take():
        with book.lock("key"):
            taken.set()

    threading.Thread(target=take).start()
    assert taken.wait(10)
