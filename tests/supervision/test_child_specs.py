"""Child specs: what is valid, what may stand for one, and the count of restarts."""

from dataclasses import replace

import pykka
import pytest

from supervision import ChildSpec, ChildSpecError, Process, RestartIntensity, Supervisor
from supervision.children import to_spec

from .helpers import Worker
from .otp import otp


def start():
    return ("ok", None)


@otp(
    "supervisor_SUITE.erl",
    "sup_start_map",
)
def test_the_defaults_are_those_of_otp():
    spec = ChildSpec("a", start)
    assert (spec.restart, spec.shutdown, spec.type) == ("permanent", 5.0, "worker")
    assert ChildSpec("a", start, type="supervisor").shutdown == "infinity"
    assert replace(spec, id="b", shutdown=1).shutdown == 1


@otp(
    "dynamic_supervisor_test.exs",
    "start_child/2: with invalid valid shutdown",
)
@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"id": None}, "missing_id"),
        ({"id": ["a"]}, ("invalid_id", ["a"])),
        ({"start": 3}, ("invalid_start", 3)),
        ({"restart": "often"}, ("invalid_restart_type", "often")),
        ({"shutdown": -1}, ("invalid_shutdown", -1)),
        ({"shutdown": "soon"}, ("invalid_shutdown", "soon")),
        ({"shutdown": True}, ("invalid_shutdown", True)),
        ({"type": "boss"}, ("invalid_child_type", "boss")),
    ],
)
def test_a_wrong_spec_says_what_is_wrong(wrong, reason):
    with pytest.raises(ChildSpecError) as caught:
        ChildSpec(**{"id": "a", "start": start, **wrong})
    assert caught.value.reason == reason
    assert len(str(caught.value)) > 20


@otp(
    "gen_server_test.exs",
    "generates child_spec/1",
)
def test_a_class_statement_gives_the_defaults_of_its_specs():
    class Cache(Process, id="cache", restart="transient", shutdown=1.5):
        pass

    class Warm(Cache, shutdown="brutal_kill"):
        pass

    spec = Cache.child_spec(1, size=2)
    assert (spec.id, spec.restart, spec.shutdown) == ("cache", "transient", 1.5)
    assert (spec.start.args, spec.start.keywords) == ((1,), {"size": 2})
    assert Warm.child_spec().shutdown == "brutal_kill"
    assert Warm.child_spec().restart == "transient"
    assert "Cache.start_link(1, size=2)" in repr(spec)
    with pytest.raises(ChildSpecError, match="Odd"):

        class Odd(Process, restart="sometimes"):
            pass

    with pytest.raises(TypeError, match="unknown class options: color"):

        class Odder(Process, color="red"):
            pass


@otp(
    "supervisor_test.exs",
    "generates child_spec/1",
    "child_spec/2",
)
@otp(
    "dynamic_supervisor_test.exs",
    "use/2: generates child_spec/1",
)
def test_a_supervisor_is_a_child_with_all_the_time_it_needs():
    spec = Supervisor.child_spec([], strategy="one_for_all")
    assert (spec.type, spec.shutdown, spec.modules) == ("supervisor", "infinity", (Supervisor,))


class Shop:
    @classmethod
    def child_spec(cls, *args, **kwargs):
        return ChildSpec(repr((args, tuple(kwargs.items()))), start)


@pytest.mark.parametrize(
    ("form", "args", "kwargs"),
    [
        (Shop, (), ()),
        ((Shop, {"name": "x"}), (), (("name", "x"),)),
        ((Shop, (1, 2)), (1, 2), ()),
        ((Shop, [1, 2]), ([1, 2],), ()),
        ((Shop, "x"), ("x",), ()),
        ((Shop, ({},)), ({},), ()),
        ((Shop, {}), (), ()),
    ],
)
def test_dicts_are_keywords_tuples_are_positions_and_all_else_is_one_argument(form, args, kwargs):
    assert to_spec(form).id == repr((args, kwargs))


@pytest.mark.parametrize("form", [3, "Shop", object, (Shop,), (Shop, 1, 2), None])
def test_what_is_no_child_is_refused(form):
    with pytest.raises(ChildSpecError) as caught:
        to_spec(form)
    assert caught.value.reason == ("invalid_child_spec", form)


def test_a_child_spec_method_must_return_a_spec():
    class Bad:
        @classmethod
        def child_spec(cls):
            return 3

    with pytest.raises(ChildSpecError, match="returned 3"):
        to_spec(Bad)


def test_a_plain_pykka_actor_gets_a_spec():
    class Plain(pykka.ThreadingActor):
        pass

    spec = to_spec((Plain, {"size": 2}))
    assert (spec.id, spec.start.keywords) == ("Plain", {"size": 2})
    assert to_spec(Worker).id == "Worker"


def test_intensity_counts_within_a_sliding_span():
    now = [0.0]
    intensity = RestartIntensity(3, 5.0, lambda: now[0])
    assert [intensity.allow() for _ in range(3)] == [True] * 3
    now[0] = 5.0  # both ends of the span count, as in OTP
    assert intensity.allow() is False
    now[0] = 10.1
    assert [intensity.allow() for _ in range(4)] == [True] * 3 + [False]


def test_with_no_restarts_allowed_the_first_is_too_many():
    assert RestartIntensity(0, 5.0).allow() is False
