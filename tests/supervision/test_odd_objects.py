"""Objects of user code whose methods raise: they end their own process at most, and hang nobody."""

import logging
import sys

import pytest
from pykka import ActorDeadError

from supervision import (
    ChildSpec,
    DynamicSupervisor,
    Exited,
    Ignore,
    Process,
    StartError,
    Stop,
    Supervisor,
    exit_reason,
    kill,
    monitor,
    names,
    stop,
    timer,
)
from supervision.errors import is_abnormal, reason_for
from supervision.foreign import text_of
from tests.helpers import eventually

from .helpers import Collector, Script, Worker, seen


def fails(*_arguments):
    raise ValueError("this one raises")


def endless(thing, *_arguments):
    return str(thing)


class Rude(type):
    """Classes that can't be hashed, and have no name."""

    __hash__ = None
    __eq__ = fails
    __name__ = property(fails)


ODD = {"__str__": fails, "__repr__": fails, "__eq__": fails, "__bool__": fails, "__len__": fails}
ODD |= {"__reduce__": fails, "__class__": property(fails), "__hash__": lambda _: 1}
Odd = type("Odd", (), ODD)
OddError = type("OddError", (Exception,), ODD)
Falsy = type("Falsy", (Exception,), {"__bool__": lambda _: False})
Closed = type("Closed", (Stop,), {"__getattribute__": fails})
Endless = type("Endless", (Exception,), {"__str__": endless, "__repr__": endless})
Leaving = type("Leaving", (Exception,), {"__str__": lambda _: sys.exit(1)})
NoText = type("NoText", (Exception,), {"__str__": lambda _: 404, "__repr__": lambda _: 404})

ERRORS = {
    "odd": lambda: OddError(),
    "endless": lambda: Endless(),
    "leaving": lambda: Leaving(),
    "no text": lambda: NoText(),
    "nameless": lambda: Rude("Nameless", (Exception,), {})(),
}


@pytest.fixture(params=ERRORS)
def error(request):
    return ERRORS[request.param]()


class Bad(Process):
    """Raises where it is told to."""

    def __init__(self, where="", error=None):
        super().__init__()
        self.where, self.error = where, error
        self.at("__init__")

    def at(self, where):
        if self.where == where:
            raise self.error

    def init(self, *_arguments):
        self.at("init")

    def on_start(self):
        self.at("on_start")

    def on_receive(self, message):
        if isinstance(message, BaseException):
            raise message
        return message

    def on_batch_end(self):
        self.at("on_batch_end")

    def terminate(self, _reason):
        self.at("terminate")

    def on_stop(self):
        self.at("on_stop")


def test_text_of_anything_is_plain_text(error):
    for convert in (str, repr):
        text = text_of(error, convert)
        assert type(text) is str
        text.encode()
    assert text_of("\ud800", str) == "\\ud800"
    assert text_of([Odd()]) == "<list whose repr() fails>"


def test_an_exception_that_cant_say_what_it_is_gives_a_reason_all_the_same(error):
    kind, name, text = reason_for(error)
    assert (kind, type(name), type(text)) == ("exception", str, str)


@pytest.mark.parametrize("where", ["__init__", "init", "on_start"])
def test_a_start_that_fails_oddly_is_answered(where, error):
    answer, reason = Bad.start_link(where, error, name="bad")
    assert (answer, reason[0]) == ("error", "exception")
    assert names.whereis("bad") is None
    answer, (kind, _) = Supervisor.start_link([(Bad, (where, error))])
    assert (answer, kind) == ("error", "shutdown")
    if where != "__init__":
        with pytest.raises(StartError) as caught:
            Bad.start(where, error)
        assert caught.value.__cause__ is error


@pytest.mark.parametrize("told", [True, False])
def test_a_crash_by_an_odd_exception_is_told_and_healed(error, told):
    _, supervisor = Supervisor.start_link([Bad])
    [(_, first, _, _)] = Supervisor.which_children(supervisor)
    if told:
        first.tell(error)
    else:
        with pytest.raises(type(error)):
            first.ask(error, timeout=10)
    eventually(lambda: exit_reason(first))
    eventually(lambda: Supervisor.which_children(supervisor)[0][1] not in (first, "restarting"))
    assert Supervisor.stop(supervisor, timeout=10) == "ok"


@pytest.mark.parametrize("where", ["on_batch_end", "terminate", "on_stop"])
def test_a_hook_that_fails_oddly_ends_with_a_reason(where, error):
    bad = Bad.start(where, error)
    if where == "on_batch_end":
        bad.tell(1)
    with pytest.raises(Exited):
        stop(bad, timeout=10)
    assert exit_reason(bad)[0] == "exception"


@pytest.mark.parametrize("kind", [Falsy, OddError])
def test_the_log_shows_where_an_odd_exception_was_raised(kind, caplog):
    """Planted: no line at all, for its truth was asked."""
    worker = Worker.start()
    worker.tell(kind())
    eventually(lambda: exit_reason(worker))
    [crash] = [record for record in caplog.records if "crashed" in record.message]
    assert crash.exc_info[0] is kind


def test_an_order_that_has_no_attributes_to_be_had_is_a_reason_all_the_same():
    script = Script(None, Closed())
    _, supervisor = Supervisor.start_link([script.spec()])
    [(_, first, _, _)] = Supervisor.which_children(supervisor)
    kill(first)
    eventually(lambda: script.starts == 3)
    assert Supervisor.stop(supervisor, timeout=10) == "ok"
    assert Bad.start_link("init", Closed()) == ("error", "normal")


class Equal:
    """Equal to all: what compares unequal to nothing is no word of ours."""

    def __eq__(self, _other):
        return True

    __hash__ = None


REASONS = {
    "alone": lambda: Odd(),
    "first": lambda: (Odd(), 1),
    "detail": lambda: ("shutdown", Odd()),
    "equal": lambda: Equal(),
    "equal first": lambda: (Equal(), 1),
    "tuple": lambda: type("T", (tuple,), ODD)((1, 2)),
}


@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize("restart", ["permanent", "transient", "temporary"])
def test_an_odd_exit_reason_ends_only_the_child(reason, restart):
    reason = REASONS[reason]()
    spec = ChildSpec("w", Worker.start_link, restart=restart)
    _, supervisor = Supervisor.start_link([spec])
    _, dynamic = DynamicSupervisor.start_link()
    DynamicSupervisor.start_child(dynamic, spec)
    for each in (supervisor, dynamic):
        [(_, worker, _, _)] = Supervisor.which_children(each)
        worker.tell(lambda process: process.exit(reason))
        eventually(lambda worker=worker: exit_reason(worker) is reason)
        again = restart == "permanent" or (restart == "transient" and is_abnormal(reason))
        eventually(lambda each=each: Supervisor.count_children(each)["active"] == again)
        assert Supervisor.stop(each, timeout=10) == "ok"


def test_what_equals_everything_is_not_normal():
    assert is_abnormal(Equal())
    assert is_abnormal((Equal(), 1))
    assert not is_abnormal(("shutdown", Equal()))


def test_who_stops_with_an_odd_reason_is_answered():
    reason = Odd()
    assert stop(Worker.start(), reason, timeout=10) == "ok"
    worker = Worker.start()
    worker.tell(lambda process: process.exit(Odd()))
    with pytest.raises(Exited):
        stop(worker, reason, timeout=10)


def test_a_parent_ends_by_the_odd_reason_of_its_child():
    class Parent(Process):
        def init(self):
            self.child = Worker.start_link()[1]

    parent, reason = Parent.start(), Odd()
    parent.proxy().child.get().tell(lambda process: process.exit(reason))
    eventually(lambda: exit_reason(parent) is reason)


def test_an_odd_message_arrives():
    for message in (Odd(), Rude("Thing", (), {})()):
        collector = Collector.start()
        collector.tell(message)
        assert seen(collector)[0] is message
        timer.send_after(0.0, collector, message)
        eventually(lambda collector=collector: len(seen(collector)) == 2)
        stop(collector)


def test_an_odd_message_that_nobody_handles_is_reported_and_ends_nothing(caplog):
    class Silent(Process):
        pass

    _, supervisor = Supervisor.start_link([Silent])
    [(_, child, _, _)] = Supervisor.which_children(supervisor)
    for message in (Odd(), OddError(), Rude("Thing", (), {})()):
        child.tell(message)
        supervisor.tell(message)
        assert child.ask(message, timeout=10) is None
        assert supervisor.ask(message, timeout=10) is None
        stop_with_unread(message)
    assert "1 unread" in caplog.text
    assert Supervisor.which_children(supervisor)[0][1] is child
    Supervisor.stop(supervisor)


def stop_with_unread(message):
    worker = Worker.start()
    worker.tell(lambda process: (process.actor_ref.tell(message), process.exit()))
    eventually(lambda: exit_reason(worker) == "normal")


def test_an_undelivered_that_exits_does_not_keep_its_process_from_ending():
    class Leaver(Worker):
        @staticmethod
        def undelivered(_message):
            sys.exit(1)

    leaver = Leaver.start()
    leaver.tell(lambda process: (process.actor_ref.tell("unread"), process.exit()))
    eventually(lambda: exit_reason(leaver) == "normal")


class Name:
    def __init__(self, number):
        self.number = number

    def __hash__(self):
        return self.number

    __eq__ = __repr__ = __str__ = fails


def test_odd_names_are_held_freed_and_in_nobodys_way():
    """All have one hash, so that each is compared with all others."""
    odd = [Name(1), Name(1), Name(1)]
    refs = [Worker.start_link(name=name)[1] for name in odd]
    _, one = Worker.start_link(name=1)
    assert [names.whereis(name) for name in odd] == refs
    assert names.whereis(1) is one
    assert str(refs[0]).startswith("Worker <Name whose repr() fails> ")
    for ref in (*refs, one):
        stop(ref)
    assert names.names() == []


def test_a_name_that_has_another_hash_later_is_freed_all_the_same():
    name = Name(1)
    _, ref = Worker.start_link(name=name)
    name.number = 2
    stop(ref)
    assert names.names() == []


def test_a_name_that_cant_be_hashed_is_refused_and_nothing_runs(process_threads):
    with pytest.raises(TypeError):
        Worker.start_link(name=[])
    eventually(lambda: not process_threads())


def test_odd_ids_find_themselves_and_are_in_nobodys_way():
    odd = Name(1)
    specs = [ChildSpec(id_, Worker.start_link) for id_ in (odd, Name(1), 1)]
    _, supervisor = Supervisor.start_link(specs)
    for id_ in ([], Odd(), Name(1)):
        assert Supervisor.terminate_child(supervisor, id_) == ("error", "not_found")
    assert Supervisor.get_childspec(supervisor, odd) == ("ok", specs[0])
    assert Supervisor.terminate_child(supervisor, odd) == "ok"
    assert Supervisor.restart_child(supervisor, odd)[0] == "ok"
    kill(Supervisor.which_children(supervisor)[-1][1])
    eventually(lambda: Supervisor.count_children(supervisor)["active"] == 3)
    Supervisor.stop(supervisor)


def test_an_id_that_leaves_when_compared_leaves_the_supervisor_alone():
    class Leaves:
        def __eq__(self, _other):
            sys.exit(1)

        def __hash__(self):
            return hash("worker")

    _, worker = Worker.start_link(name="worker")
    _, supervisor = Supervisor.start_link([Worker])
    assert Supervisor.terminate_child(supervisor, Leaves()) == ("error", "not_found")
    assert names.whereis(Leaves()) is None
    assert Supervisor.count_children(supervisor)["active"] == 1
    Supervisor.stop(supervisor)
    stop(worker)


def test_what_is_no_child_is_no_child_of_a_dynamic_supervisor_either():
    """Planted: looked up on its thread, where it can't be hashed."""

    class Teller:
        __hash__ = None

        def tell(self, _message):
            pass

    _, dynamic = DynamicSupervisor.start_link()
    with pytest.raises(TypeError):
        DynamicSupervisor.terminate_child(dynamic, Teller())
    assert DynamicSupervisor.count_children(dynamic)["specs"] == 0
    stop(dynamic)


class Word(str):
    """A string that can be compared with none."""

    __slots__ = ()
    __eq__ = fails
    __hash__ = str.__hash__


def test_options_that_cant_be_compared_are_the_words_that_they_say():
    """Planted: the supervisor ends with the first child that does."""
    for restart in ("permanent", "transient", "temporary"):
        spec = ChildSpec("a", Worker.start_link, Word(restart), Word("infinity"), Word("worker"))
        _, supervisor = Supervisor.start_link([spec], strategy=Word("rest_for_one"))
        [(_, worker, _, _)] = Supervisor.which_children(supervisor)
        kill(worker)
        assert Supervisor.count_children(supervisor)["active"] == (restart != "temporary")
        Supervisor.stop(supervisor)
    _, dynamic = DynamicSupervisor.start_link(max_children=Word("infinity"))
    assert DynamicSupervisor.start_child(dynamic, Worker)[0] == "ok"
    stop(dynamic)


ANSWERS = {
    "alone": lambda: Odd(),
    "first": lambda: (Odd(), 1),
    "ok": lambda: ("ok", Odd()),
    "error": lambda: ("error", Odd()),
    "equal": lambda: Equal(),
    "equal first": lambda: (Equal(), 1),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_start_function_that_answers_oddly_is_a_failed_start(answer):
    _, supervisor = Supervisor.start_link()
    assert Supervisor.start_child(supervisor, Script(ANSWERS[answer]()).spec())[0] == "error"
    assert Supervisor.count_children(supervisor)["specs"] == 0
    Supervisor.stop(supervisor)


def test_odd_options_are_refused_in_words():
    for option in ("strategy", "max_restarts", "max_seconds", "backoff", "children"):
        answer, reason = Supervisor.start_link(**{option: Odd()})
        assert answer == "error"
        assert reason[0] in ("supervisor_data", "start_spec")
    for field in ("id", "start", "restart", "shutdown", "type"):
        fields = {"id": "a", "start": Worker.start_link, field: Odd()}
        if field == "id":
            fields["id"] = type("Hashless", (), {"__hash__": fails})()
        with pytest.raises(ValueError, match="not "):
            ChildSpec(**fields)


def test_a_stop_of_ones_own_may_forget_its_reason():
    class MyStop(Stop):
        def __init__(self):
            pass

    worker = Worker.start()
    worker.tell(MyStop())
    eventually(lambda: exit_reason(worker) == ("exception", "MyStop", ""))


def test_a_monitor_hears_an_odd_reason():
    collector, worker, reason = Collector.start(), Worker.start(), Odd()
    monitor(worker, collector)
    stop(worker, reason)
    [down] = seen(collector)
    assert down.reason is reason


@pytest.mark.parametrize("leave", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_who_exits_ends_alone_and_its_asker_can_handle_it(leave):
    class Asker(Process):
        def on_receive(self, other):
            return other.ask(leave())

    worker = Worker.start()
    with pytest.raises(ActorDeadError, match=leave.__name__) as caught:
        worker.ask(leave(), timeout=10)
    assert type(caught.value.__cause__) is leave
    eventually(lambda: exit_reason(worker)[:2] == ("exception", leave.__name__))
    asker = Asker.start()
    with pytest.raises(ActorDeadError):
        asker.ask(Worker.start(), timeout=10)


def test_a_stop_ends_also_one_whose_exceptions_are_the_askers():
    class Tolerant(Worker):
        reply_errors = (Exception,)

    tolerant = Tolerant.start()
    with pytest.raises(ActorDeadError, match="Stop"):
        tolerant.ask(Stop("shutdown"))
    eventually(lambda: exit_reason(tolerant) == "shutdown")


class Asker(Process):
    """Asks another, and expects nothing bad of it."""

    def init(self, worker=None, question=None):
        if worker:
            worker.ask(question)

    def on_receive(self, message):
        return message[0].ask(message[1])


@pytest.mark.parametrize("order", [Stop, Ignore])
def test_who_ends_itself_does_not_end_its_asker_as_quietly(order):
    """Planted: raised where it was asked, it was the asker's own order to end."""
    asker = Asker.start()
    asker.tell((Worker.start(), order()))
    eventually(lambda: exit_reason(asker))
    assert is_abnormal(exit_reason(asker))


def test_who_is_asked_in_a_start_does_not_have_the_start_ignored():
    answer, reason = Asker.start_link(Worker.start(), Ignore())
    assert (answer, reason[1]) == ("error", "ActorDeadError")


def test_a_start_that_failed_for_a_normal_reason_is_a_crash_where_it_was_not_expected():
    class Starter(Process):
        def init(self, now):
            if now:
                self.on_receive()

        def on_receive(self, _message=None):
            Stopping.start()

    class Stopping(Process):
        def init(self):
            raise Stop("normal")

    starter = Starter.start(False)
    starter.tell("start")
    eventually(lambda: exit_reason(starter))
    assert exit_reason(starter)[:2] == ("exception", "StartError")
    assert Starter.start_link(True) == ("error", "normal")


def test_handlers_of_the_log_that_raise_end_nothing():
    class Raising(logging.Handler):
        def emit(self, _record):
            raise SystemExit

    handler = Raising()
    logging.getLogger("supervision").addHandler(handler)
    try:
        _, supervisor = Supervisor.start_link([Worker])
        [(_, worker, _, _)] = Supervisor.which_children(supervisor)
        worker.tell(ValueError("boom"))
        eventually(
            lambda: Supervisor.which_children(supervisor)[0][1] not in (worker, "restarting")
        )
        assert Supervisor.stop(supervisor, timeout=10) == "ok"
    finally:
        logging.getLogger("supervision").removeHandler(handler)


def test_an_ignored_start_may_be_as_odd_as_it_likes():
    class Ignoring(Process):
        def init(self):
            raise type("OddIgnore", (Ignore,), ODD)

    assert Ignoring.start_link() == "ignore"


def test_a_future_that_raises_its_error_again_shows_where_it_came_from_and_no_more():
    worker = Worker.start()
    future = worker.ask(ValueError("boom"), block=False)
    lengths = set()
    for _ in range(5):
        with pytest.raises(ValueError, match="boom") as caught:
            future.get(timeout=10)
        lengths.add(len(caught.traceback))
    assert len(lengths) == 1
