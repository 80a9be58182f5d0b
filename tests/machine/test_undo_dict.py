"""UndoDict is a dict, and rollback brings back what the last commit saw."""

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raft_actors.machine.undo_dict import UndoDict

keys = st.integers(0, 8)
values = st.integers()
pairs = st.dictionaries(keys, values, max_size=4)
changes = st.lists(
    st.tuples(st.just("set"), keys, values)
    | st.tuples(st.sampled_from(["delete", "pop", "pop or none"]), keys)
    | st.tuples(st.sampled_from(["popitem", "clear"]))
    | st.tuples(st.just("setdefault"), keys, values)
    | st.tuples(st.sampled_from(["update", "update pairs", "or"]), pairs),
    max_size=8,
)


def apply(change, target):
    """Do one change; return what it gave, or the type of what it raised."""
    try:
        match change:
            case ("set", key, value):
                target[key] = value
            case ("delete", key):
                del target[key]
            case ("pop", key):
                return target.pop(key)
            case ("pop or none", key):
                return target.pop(key, None)
            case ("popitem",):
                return target.popitem()
            case ("clear",):
                target.clear()
            case ("setdefault", key, value):
                return target.setdefault(key, value)
            case ("update", other):
                target.update(other)
            case ("update pairs", other):
                target.update(list(other.items()), extra=1)
            case ("or", other):
                target |= other
    except KeyError as error:
        return type(error)


@given(pairs, changes)
def test_it_changes_as_a_dict_does(start, steps):
    plain, undo = dict(start), UndoDict(start)
    for change in steps:
        assert apply(change, undo) == apply(change, plain)
        assert list(undo.items()) == list(plain.items())


@given(pairs, st.lists(st.tuples(changes, st.booleans()), max_size=4))
def test_rollback_brings_back_what_the_last_commit_saw(start, rounds):
    """Planted once, each to see it go red: no record in pop, setdefault, clear, |=."""
    undo = UndoDict(start)
    committed = dict(start)
    for steps, good in rounds:
        for change in steps:
            apply(change, undo)
        if good:
            undo.commit()
            committed = dict(undo)
        else:
            undo.rollback()
        assert undo == committed


@given(pairs, st.lists(st.sampled_from([("popitem",), ("clear",), ("set", 3, 0), ("set", 99, 0)])))
def test_rollback_restores_the_order_unless_a_key_in_the_middle_was_deleted(start, steps):
    undo = UndoDict(start)
    for change in steps:
        if change in (("popitem",), ("clear",)) or change[1] in start or change[1] == 99:
            apply(change, undo)
            if change[0] != "set":
                break  # a key set again after its removal would stand at the end
    undo.rollback()
    assert list(undo.items()) == list(start.items())


def test_an_unhashable_key_changes_nothing():
    undo = UndoDict(a=1)
    for change in (lambda: undo.__setitem__([], 1), lambda: undo.update([([], 1)])):
        with pytest.raises(TypeError):
            change()
    undo.rollback()
    assert undo == {"a": 1}


@pytest.mark.parametrize(
    "clone", [copy.copy, copy.deepcopy, lambda d: pickle.loads(pickle.dumps(d))]
)
def test_a_copy_has_nothing_to_take_back(clone):
    undo = UndoDict(a=1)
    undo["b"] = 2
    other = clone(undo)
    other.rollback()
    assert type(other) is UndoDict
    assert other == {"a": 1, "b": 2}
    undo.rollback()
    assert undo == {"a": 1}
