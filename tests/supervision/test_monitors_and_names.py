"""Monitors tell one Down each; names are held by one live process each."""

import os
import signal
import sys
import threading
import time

import pykka
import pytest

from supervision import Down, Exited, Registry, demonitor, kill, monitor, names, stop
from tests.helpers import eventually

from .helpers import Collector, Worker, boom, seen


def test_each_monitor_gives_one_down():
    ref, collector = Worker.start(), Collector.start()
    first, second = monitor(ref, collector), monitor(ref, collector)
    stop(ref, "shutdown")
    assert seen(collector) == [Down(first.ref, ref, "shutdown"), Down(second.ref, ref, "shutdown")]


def test_the_calling_process_watches_if_no_one_is_named():
    ref, collector = Worker.start(), Collector.start()

    class Watching(Collector):
        def watch(self, target):
            return monitor(target)

    watching = Watching.start()
    made = watching.proxy().watch(ref).get()
    ref.tell(boom)
    (down,) = eventually(lambda: seen(watching))
    assert down == Down(made.ref, ref, ("exception", "ValueError", "boom"))
    assert seen(collector) == []


def test_a_dead_target_is_noproc_at_once():
    ref, collector = Worker.start(), Collector.start()
    stop(ref)
    made = monitor(ref, collector)
    nobody = monitor("nobody", collector)
    assert seen(collector) == [
        Down(made.ref, ref, "noproc"), Down(nobody.ref, "nobody", "noproc")
    ]  # fmt: skip


def test_a_cancelled_monitor_tells_nothing():
    ref, collector = Worker.start(), Collector.start()
    demonitor(monitor(ref, collector))
    kept = monitor(ref.proxy(), collector)
    kill(ref)
    assert seen(collector) == [Down(kept.ref, ref, "killed")]


def test_a_monitor_is_forgotten_at_both_ends_when_either_has_ended():
    """Planted: leave it with the target until that ends, and with the watcher until that does."""
    target, watcher = Worker.start(), Worker.start()
    before = len(target._lifeline._watchers), len(watcher._lifeline._watchers)

    def are_forgotten():
        return (len(target._lifeline._watchers), len(watcher._lifeline._watchers)) == before

    for _ in range(3):
        passing = Worker.start()
        monitor(target, passing)
        monitor(passing, watcher)
        stop(passing)
    eventually(are_forgotten)
    demonitor(monitor(target, watcher))
    assert are_forgotten()
    monitor(target, passing)
    assert are_forgotten(), "the watcher had ended before"
    stop(target)
    stop(watcher)


def test_anything_with_watch_and_an_address_can_be_monitored():
    class Remote:
        address = ("peer", "node")

        def tell(self, message):
            pass

        def watch(self, callback):
            callback("noconnection")
            return lambda: None

    collector = Collector.start()
    made = monitor(Remote(), collector)
    assert seen(collector) == [Down(made.ref, ("peer", "node"), "noconnection")]


def test_a_monitor_needs_a_watcher_and_something_to_watch():
    with pytest.raises(TypeError, match="watcher"):
        monitor(Worker.start())
    with pytest.raises(TypeError, match="as_process"):
        monitor(pykka.ThreadingActor.start(), Collector.start())


@pytest.mark.parametrize("fails", [lambda _: 1 / 0, sys.exit], ids=["raises", "exits"])
def test_a_watcher_that_fails_does_not_keep_others_from_hearing(caplog, fails):
    ref, heard = Worker.start(), []
    ref.watch(fails)
    ref.watch(heard.append)
    stop(ref)
    assert heard == ["normal"]
    assert "watcher" in caplog.text


def test_every_watcher_hears_exactly_once_however_the_end_races():
    for _ in range(50):
        ref, heard = Worker.start(), []
        racing = [
            threading.Thread(target=kill, args=(ref,)),
            threading.Thread(target=lambda ref=ref: ref.stop()),
            *(
                threading.Thread(target=lambda ref=ref, heard=heard: ref.watch(heard.append))
                for _ in range(4)
            ),
        ]
        for thread in racing:
            thread.start()
        for thread in racing:
            thread.join()
        assert len(heard) == 4
        assert set(heard) <= {"normal", "killed", "noproc"}


def test_many_watchers_hear_in_a_time_that_grows_with_their_number():
    """Planted: the oldest left looked for among all that are gone, which grows with its square."""

    def work_s(count):
        ref = Worker.start()
        for _ in range(count):
            ref.watch(id)
        before = time.thread_time()
        kill(ref)
        return time.thread_time() - before

    few = max(work_s(2_000) for _ in range(3))
    assert min(work_s(40_000) for _ in range(2)) < 20 * 5 * few


def test_a_name_belongs_to_one_process():
    registry = Registry()
    first, second = Worker.start(), Worker.start()
    assert registry.register("x", first) == ("ok", first)
    assert registry.register("x", second) == ("error", ("already_registered", first))
    assert registry.register("y", first) == ("ok", first)
    assert registry.whereis("x") is first
    assert registry.names() == ["x", "y"]
    assert repr(registry) == "Registry('x', 'y')"
    registry.unregister("x")
    registry.unregister("x")
    assert registry.register("x", second) == ("ok", second)
    stop(first)
    assert registry.names() == ["x"]


def test_a_name_given_to_the_dead_is_free():
    registry, ref = Registry(), Worker.start()
    stop(ref)
    registry.register("x", ref)
    assert registry.whereis("x") is None


def test_start_link_registers_where_it_is_told():
    registry = Registry()
    _, ref = Worker.start_link(name="here", registry=registry)
    assert (registry.whereis("here"), names.whereis("here")) == (ref, None)


def test_in_a_forked_child_no_process_of_its_parent_lives():
    """Whatever their threads held at that moment. Planted: names stay taken, or roots listed."""
    worker = Worker.start_link(name="forked")[1]
    pykka.ActorRegistry._actor_refs_lock.acquire()
    names._lock.acquire()
    child = os.fork()
    if child == 0:
        mine = threading.Thread(target=Worker.start_link, kwargs={"name": "forked"}, daemon=True)
        mine.start()
        mine.join(10)
        ref = names.whereis("forked")
        os._exit(0 if pykka.ActorRegistry.get_all() == [ref] and ref is not worker else 1)
    pykka.ActorRegistry._actor_refs_lock.release()
    names._lock.release()
    assert os.waitpid(child, 0)[1] == 0
    assert names.whereis("forked") is worker
    stop(worker)


def test_in_a_forked_child_a_registry_of_ones_own_is_empty_too():
    registry, worker = Registry(), Worker.start()
    registry.register("forked", worker)
    child = os.fork()
    if child == 0:
        os._exit(0 if registry.register("forked", Worker.start())[0] == "ok" else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert registry.whereis("forked") is worker
    stop(worker)


def test_a_name_that_was_given_later_is_free_when_the_end_is_told():
    """Whoever watched before it was given. Planted: watchers in the order in which they came."""
    worker, found = Worker.start(), []
    worker.watch(lambda _reason: found.append(names.whereis("late")))
    names.register("late", worker)
    stop(worker)
    assert found == [None]


def test_a_ref_may_have_a_name_only_once():
    worker = Worker.start()
    names.register("twice", worker)
    assert names.register("twice", worker) == ("error", ("already_registered", worker))
    stop(worker)
    assert names.whereis("twice") is None


def test_in_a_forked_child_a_process_of_its_parent_is_dead_to_those_who_hold_its_ref():
    """Planted: an ask there waits for ever for a thread that is not there."""
    worker = Worker.start()
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        dead = []
        for use in (lambda: worker.ask(1), lambda: worker.tell(1), lambda: stop(worker)):
            try:
                use()
            except (pykka.ActorDeadError, Exited):
                dead.append(use)
        os._exit(len(dead) if not worker.is_alive() else 0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    assert worker.ask(1) == 1
    stop(worker)


def test_who_hears_of_an_end_may_start_a_process():
    """Planted: it is the child of the dead, and ends with it."""
    worker = Worker.start()
    worker.watch(lambda _reason: Worker.start_link(name="born"))
    stop(worker)
    eventually(lambda: names.whereis("born"))
    assert names.whereis("born").ask(1) == 1
    stop("born")
