"""The containers of a replicated object's state: they do what Python's do, and take all back."""

import copy
import heapq
import json
import pickle
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raft_actors import encoding, value_type
from raft_actors.machine.containers import StateDict, StateList, StateSet, plain
from raft_actors.machine.journal import StateIsFixed
from raft_actors.machine.object_state import FirstFields, ObjectState, put_into


class Thing:
    pass


def held(**fields):
    thing = Thing()
    vars(thing).update(fields)
    return ObjectState(thing, frozenset({"", "meta"}))


def exact(value):
    """What two values are alike in: types, contents and the order of dicts; sets have none."""
    return encoding.dumps_stored(plain(value))


ATOM = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from(["", "a", "b", "ü"]),
    st.sampled_from([1.5, b"x"]),
)  # fmt: skip
KEY = st.one_of(st.integers(0, 4), st.sampled_from("abc"), st.tuples(st.integers(0, 2)))
VALUE = st.recursive(
    ATOM,
    lambda part: st.one_of(
        st.lists(part, max_size=3), st.dictionaries(KEY, part, max_size=3),
        st.tuples(part), st.sets(KEY, max_size=3), st.frozensets(KEY, max_size=2),
    ),
    max_leaves=5,
)  # fmt: skip
PLACE = st.integers(-5, 5)
SLICE = st.builds(
    slice, st.none() | PLACE, st.none() | PLACE, st.none() | st.sampled_from([1, 2, -1])
)
CHANGES = {
    dict: [
        ("__setitem__", KEY, VALUE), ("__delitem__", KEY), ("pop", KEY), ("pop", KEY, VALUE),
        ("popitem",), ("clear",), ("setdefault", KEY, VALUE), ("setdefault", KEY),
        ("update", st.dictionaries(KEY, VALUE, max_size=3)),
        ("__ior__", st.dictionaries(KEY, VALUE, max_size=3)),
    ],
    list: [
        ("append", VALUE), ("extend", st.lists(VALUE, max_size=3)), ("insert", PLACE, VALUE),
        ("pop",), ("pop", PLACE), ("__setitem__", PLACE, VALUE), ("__delitem__", PLACE),
        ("__setitem__", SLICE, st.lists(VALUE, max_size=3)), ("__delitem__", SLICE), ("clear",),
        ("reverse",), ("__iadd__", st.lists(VALUE, max_size=2)), ("__imul__", st.integers(0, 2)),
        ("remove", VALUE), ("sort",),
    ],
    set: [
        ("add", KEY), ("discard", KEY), ("remove", KEY), ("clear",),
        ("update", st.sets(KEY)), ("difference_update", st.sets(KEY)),
        ("intersection_update", st.sets(KEY)), ("symmetric_difference_update", st.sets(KEY)),
        ("__ior__", st.sets(KEY)), ("__isub__", st.sets(KEY)), ("__iand__", st.sets(KEY)),
        ("__ixor__", st.sets(KEY)),
    ],
}  # fmt: skip


def step_inside(value, draw):
    """Return some container in `value`, which may be `value` itself; None if there is none."""
    kind = {StateDict: dict, StateList: list, StateSet: set}.get(type(value), type(value))
    inner = list(value.values()) if kind is dict else list(value) if kind in (list, tuple) else []
    places = [place for place, each in enumerate(inner) if exactly_a_container(each)]
    if places and (kind is tuple or draw(st.booleans())):
        return [draw(st.sampled_from(places))]
    return []


def exactly_a_container(value):
    return isinstance(value, (dict, list, set, StateList)) or (
        type(value) is tuple and any(map(exactly_a_container, value))
    )


def along(value, path):
    for place in path:
        value = (list(value.values()) if isinstance(value, dict) else list(value))[place]
    return value


def changed(value, name, arguments):
    """Change one container; return what came of it, in a form to compare."""
    try:
        result = getattr(value, name)(*arguments)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        return type(error)
    if name in ("__ior__", "__iand__", "__isub__", "__ixor__", "__iadd__", "__imul__"):
        return "itself" if result is value else "another"
    return exact(result)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_changes_do_what_they_do_to_pythons_own_and_are_taken_back_whole(data):
    """Planted: a nested list is not taken back; a popped item comes back at the end."""
    root = data.draw(
        st.one_of(st.lists(VALUE, max_size=4), st.dictionaries(KEY, VALUE, max_size=4))
    )
    state, model = held(root=root), {"root": copy.deepcopy(root)}
    for _update in range(data.draw(st.integers(1, 3))):
        before = copy.deepcopy(model)
        state.begin_update()
        for _change in range(data.draw(st.integers(1, 6))):
            path = []
            while more := step_inside(along(model["root"], path), data.draw):
                path += more
            target = along(model["root"], path)
            if type(target) not in CHANGES:
                continue
            name, *kinds = data.draw(st.sampled_from(CHANGES[type(target)]))
            arguments = [data.draw(kind) for kind in kinds]
            there = changed(along(state.fields["root"], path), name, copy.deepcopy(arguments))
            here = changed(target, name, copy.deepcopy(arguments))
            assert there == here, (name, arguments)
            assert exact(state.fields["root"]) == exact(model["root"])
        if data.draw(st.booleans()):
            state.settle()
            state.commit()
        else:
            if data.draw(st.booleans()):
                state.settle()
            state.rollback()
            model = before
        assert exact(state.fields["root"]) == exact(model["root"])
        assert exact(restored(state)) == exact(model)
        assert exact(restored(state, root=copy.deepcopy(root))) == exact(model)


def encoded(state, **first):
    """Return the pieces of a snapshot, as they are read back."""
    pieces = state.pieces(FirstFields(held(**first).fields))
    return [encoding.loads_stored(encoding.dumps_stored(piece)) for piece in pieces]


def restored(state, **first):
    fields = copy.deepcopy(first)
    put_into(fields, encoded(state, **first))
    return fields


def test_two_places_share_nothing_once_the_update_has_ended():
    """Else a replica that got the state from a snapshot would differ. Planted: keep the object."""
    state = held(a=[], b={})
    state.begin_update()
    shared = {"n": [1]}
    state.fields["a"].append(shared)
    state.fields["b"]["x"] = shared
    state.fields["c"] = shared
    shared["n"].append(2)  # as in Python, while the update runs
    state.settle()
    state.commit()
    shared["n"].append(3)
    state.begin_update()
    state.fields["a"][0]["n"].append(4)
    state.fields["d"] = state.fields["a"]
    state.settle()
    state.commit()
    state.begin_update()
    state.fields["d"].clear()
    state.commit()
    assert state.fields["a"] == [{"n": [1, 2, 4]}]
    assert state.fields["b"] == {"x": {"n": [1, 2]}}
    assert state.fields["c"] == {"n": [1, 2]}
    assert state.fields["d"] == []


def test_many_values_that_move_are_each_taken_once():
    state = held(a=[])
    state.begin_update()
    items = state.fields["a"]
    for number in range(200):
        items.insert(0, {"n": number})
    items.sort(key=lambda each: each["n"])
    del items[100:]
    state.settle()
    state.commit()
    assert [type(each) for each in items] == [StateDict] * 100
    assert items[:2] == [{"n": 0}, {"n": 1}]


def test_outside_of_an_update_nothing_changes():
    state = held(a=[1], b={"x": 1}, c={1})
    changes = [
        lambda: state.fields["a"].append(2), lambda: state.fields["a"].sort(),
        lambda: state.fields["b"].update(y=2), lambda: state.fields["b"].clear(),
        lambda: state.fields["b"].popitem(), lambda: state.fields["c"].add(2),
        lambda: state.fields["c"].pop(), lambda: state.fields["a"].pop(),
    ]  # fmt: skip
    for begin, complaint in ((state.begin_query, "a query runs on one"), (lambda: 0, "an update")):
        for change in changes:
            begin()
            with pytest.raises(StateIsFixed, match=complaint):
                change()
            state.rollback()
    assert dict(state) == {"a": [1], "b": {"x": 1}, "c": {1}}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda fields: fields.update(x=object()), r"Thing\.x: an object can't be encoded"),
        (lambda fields: fields["a"].append([{"k": open}]), r"at index 1\[0\]\['k'\]: a builtin"),
        (lambda fields: fields["b"].update(k=(1, b"", object)), r"at key 'k'\[2\]: a type can't"),
        (lambda fields: fields["b"].update({open: 1}), "a key in the state of Thing: a builtin"),
        (lambda fields: fields["c"].add(object), "a key in the state of Thing: a type"),
        (lambda fields: fields["b"].update(k="\ud800"), "lone surrogate"),
        (lambda fields: fields.update(x=bytearray()), "a bytearray can't be encoded"),
        (lambda fields: fields.update(meta=1), r"Thing\.meta was assigned, and raft_actors uses"),
        (lambda fields: fields["a"].append(endless()), "nested too deep, or contains itself"),
        (lambda fields: fields["a"].append(deep(150)), "nested too deep"),
    ],
)
def test_what_no_snapshot_could_hold_is_refused_by_name_and_nothing_is_changed(change, complaint):
    state = held(a=[0], b={}, c=set())
    state.begin_update()
    change(state.fields)
    with pytest.raises((TypeError, ValueError), match=complaint):
        state.settle()
    state.rollback()
    assert dict(state) == {"a": [0], "b": {}, "c": set()}


def endless():
    value = []
    value.append(value)
    return value


def deep(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


@value_type("tests.containers.Fixed")
@dataclass(frozen=True)
class Fixed:
    n: int
    inner: object = None


@value_type("tests.containers.Loose")
@dataclass
class Loose:
    n: int


@value_type("tests.containers.Color")
class Color(Enum):
    RED = 1


@value_type("tests.containers.Pair")
class Pair(NamedTuple):
    left: object
    right: object


@pytest.mark.parametrize(
    "value", [Fixed(1), Fixed(1, (Fixed(2),)), Color.RED, Pair(1, Color.RED), [Fixed(1)]]
)
def test_objects_that_do_not_change_are_kept_as_they_are(value):
    state = held(a=None)
    state.begin_update()
    state.fields["a"] = value
    state.settle()
    state.commit()
    assert state.fields["a"] == value
    assert restored(state) == {"a": value}


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (Loose(1), "a Loose in the state of Thing could be changed.* make it a frozen dataclass"),
        ([{"x": Loose(1)}], "a Loose in the state"),
        (Fixed(1, [1]), "a list in a Fixed in the state of Thing could be changed.* use a tuple"),
        (Fixed(1, Loose(1)), "a Loose in the state"),
        (Pair({}, 1), "a dict in a Pair"),
    ],
)
def test_an_object_that_can_change_is_refused(value, complaint):
    """A change of it would not be taken back when the update raises."""
    state = held(a=[0])
    state.begin_update()
    state.fields["a"].append(value)
    with pytest.raises(TypeError, match=complaint):
        state.settle()
    state.rollback()
    assert state.fields["a"] == [0]


def test_a_value_that_went_again_is_not_looked_at():
    state = held(a=[], b={})
    state.begin_update()
    state.fields["a"].append(object())
    state.fields["a"].pop()
    state.fields["b"][object] = object()
    state.fields["b"].clear()
    state.settle()
    state.commit()
    assert dict(state) == {"a": [], "b": {}}


def test_as_deep_as_a_snapshot_holds_it_and_no_deeper():
    state = held(a=[])
    for _ in range(4):
        state.begin_update()
        inner = state.fields["a"]
        while inner:
            inner = inner[0]
        inner.append(deep(30))
        state.settle()
        state.commit()
        encoded(state)
    state.begin_update()
    inner = state.fields["a"]
    while inner:
        inner = inner[0]
    inner.append(deep(30))
    with pytest.raises(ValueError, match="nested too deep"):
        state.settle()


def test_copies_are_pythons_own():
    state = held(a=[[1]], b={"x": {"y": 1}}, c={1})
    a, b, c = (state.fields[name] for name in "abc")
    for each, kind in ((a, list), (b, dict), (c, set)):
        copies = [
            copy.copy(each),
            copy.deepcopy(each),
            pickle.loads(pickle.dumps(each)),
            each.copy(),
        ]
        assert [type(one) for one in copies] == [kind] * 4
        assert all(one == each for one in copies)
    assert type(copy.deepcopy(b)["x"]) is dict
    none = []
    assert type(a[:]) is type(a + none) is type(none + a) is type(a * 2) is list
    assert type(b | {}) is dict
    assert type(c | {2}) is set
    assert type(b.fromkeys("x")) is dict
    assert json.loads(json.dumps(b)) == {"x": {"y": 1}}
    assert (repr(a), repr(b), repr(c)) == ("[[1]]", "{'x': {'y': 1}}", "{1}")


def test_a_list_of_a_state_compares_and_matches_like_a_list():
    a = held(a=[1, 2]).fields["a"]
    other = held(a=[1, 3]).fields["a"]
    assert a == [1, 2]
    assert a == [1, 2]
    assert a != other
    assert a < other < [2]
    assert a <= a >= [1, 2]
    assert a > [1, 1]
    assert 2 in a
    assert a.index(2) == a.count(1) == 1
    assert list(reversed(a)) == [2, 1]
    match a:
        case [first, *rest]:
            assert (first, rest) == (1, [2])
    with pytest.raises(TypeError):
        hash(a)


def test_functions_that_change_a_list_past_its_methods_are_refused_by_python():
    """What they change could not be taken back."""
    a = held(a=[3, 1, 2]).fields["a"]
    for change in (heapq.heapify, heapq.heappop, lambda each: heapq.heappush(each, 1)):
        with pytest.raises(TypeError, match=r"must be (a )?list"):
            change(a)


def test_a_long_dict_gets_a_removed_key_back_at_the_end():
    state = held(b={str(number): number for number in range(1_500)})
    state.begin_update()
    del state.fields["b"]["3"]
    state.fields["b"].pop("1499")
    state.rollback()
    assert state.fields["b"] == {str(number): number for number in range(1_500)}
    assert list(state.fields["b"])[-2:] == ["1499", "3"]


def test_a_snapshot_is_in_pieces_and_in_one_order():
    fields = {"z": list(range(2_500)), "b": {str(n): [n] for n in range(1_001)},
              "s": {*range(1_200)}, "a": 1, "c": {}}  # fmt: skip
    state = held(**fields)
    pieces = encoded(state)
    assert max(len(part) for piece in pieces for part in piece[2:]) == 1_000
    assert restored(state) == fields
    again = held(**dict(reversed(restored(state).items())))
    assert encoded(again) == pieces


def test_a_snapshot_has_only_what_differs_from_the_first_state():
    """So a program with a new attribute, which nobody has changed yet, and the program before it
    have equal states. Planted: 1 and True, [] and {} taken for equal.
    """
    first = {"n": 1, "on": True, "names": [], "by": {}, "old": 0}
    state = held(n=1, on=True, names=[], by={})
    assert encoded(state, n=1, on=True, names=[], by={}) == encoded(held())
    assert restored(state, **first) == {"n": 1, "on": True, "names": [], "by": {}}
    other = held(n=True, on=1, names={}, by=[], old=0.0)
    assert exact(restored(other, **first)) == exact(dict(other))
    state.begin_update()
    state.fields["names"].append("a")
    state.settle()
    state.commit()
    assert encoded(state, **first)[-2:] == [
        ("", "dict", ("names",), (["a"],)), ("", "gone", ("old",)),
    ]  # fmt: skip
