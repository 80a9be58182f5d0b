"""Equal states have equal digests, wherever and however they came about; any change shows."""

import os
import struct
import subprocess
import sys
from dataclasses import make_dataclass
from datetime import date
from itertools import count, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raft_actors import Frozen, UndoDict, encoding
from raft_actors.core.digests import FORM_DIGITS, differ
from raft_actors.machine.disk_dict import DiskTable
from raft_actors.machine.sessions import NEW, Sessions
from raft_actors.machine.state_digest import DIGEST_BYTES, FORMAT, StateDigest
from raft_actors.machine.state_image import StateImage, put_together
from tests.ground.test_encoding import hashables, terms

some = settings(max_examples=20)
FORM = FORM_DIGITS // 2
FOR_EVER = float("inf")
OTHER_NAN = struct.unpack(">d", b"\xff\xf8\0\0\0\0\0\1")[0]


def finished(making):
    for _ in making.slices():
        pass
    return making.digest()


def digest_of(data, *, sessions=None, version=1):
    making = StateDigest(data, sessions or Sessions(), version)
    assert making.capture(FOR_EVER, lambda: 0.0)
    return finished(making)


def restored(state):
    """What a replica has that got the state from a snapshot."""
    image = StateImage(state, ())
    assert image.capture(FOR_EVER, lambda: 0.0)
    pieces = (encoding.loads_stored(payload[1:]) for payload in image.payloads())
    return put_together(image.kind, pieces)


def reordered(value, luck):
    """An equal value whose dicts, at every depth, have another order."""
    match value:
        case dict():
            items = [(key, reordered(each, luck)) for key, each in value.items()]
            luck.shuffle(items)
            return type(value)(items)
        case list() | tuple():
            return type(value)(reordered(each, luck) for each in value)
    return value


states = st.one_of(
    terms(),
    st.dictionaries(hashables(), terms(), max_size=5),
    st.dictionaries(st.text(), st.floats() | st.text(), max_size=5).map(UndoDict),
    st.lists(terms(), max_size=4),
    st.sets(hashables(), max_size=5),
)


@some
@given(states, st.randoms())
def test_the_order_of_dicts_does_not_count_at_any_depth(state, luck):
    assert digest_of(state) == digest_of(reordered(state, luck))


@some
@given(states)
def test_a_replica_that_was_restored_from_a_snapshot_has_the_digest_of_the_others(state):
    assert digest_of(restored(state)) == digest_of(state)


@some
@given(st.dictionaries(hashables(), terms(), min_size=1, max_size=5), st.data(), terms())
def test_a_changed_value_shows(state, draw, other):
    key = draw.draw(st.sampled_from(list(state)))
    changed = {**state, key: (other, "changed")}
    assert digest_of(changed) != digest_of(state)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"a": 2, "b": 1}),
        ({"a": 1}, {"a": True}),
        ({"a": 1}, {"a": 1.0}),
        ({"a": (1, 2)}, {"a": [1, 2]}),
        ({"a": 1}, {"a": 1, "b": None}),
        ({}, {0: 0}),
        ([1, 2], [2, 1]),
        ([[1], [2]], [[1, 2]]),
        ([], ()),
        (None, 0),
        ({1, 2}, {1, 3}),
        ({1, 2}, [1, 2]),
    ],
)
def test_states_that_differ_have_different_digests(one, other):
    assert digest_of(one) != digest_of(other)


def test_the_values_of_two_keys_can_not_be_exchanged_unseen():
    keys = [f"key {number}" for number in range(200)]
    state = {key: f"value {number}" for number, key in enumerate(keys)}
    before = digest_of(state)
    for one, other in pairwise(keys):
        changed = {**state, one: state[other], other: state[one]}
        assert digest_of(changed) != before


def test_a_nan_of_another_processor_is_the_same():
    for make in (lambda each: {"a": each}, lambda each: [(each, {"b": each})], lambda each: each):
        assert digest_of(make(float("nan"))) == digest_of(make(OTHER_NAN))


def test_a_dict_and_an_undo_dict_of_equal_items_are_equal():
    items = {"a": 1, "b": [2]}
    assert digest_of(UndoDict(items)) == digest_of(items)


def slowly(making):
    """Take everything in the smallest slices."""
    while not making.capture(0.0, lambda: 1.0):
        pass
    return finished(making)


@pytest.mark.parametrize("value", [str, lambda number: [number], lambda _number: date(2024, 1, 1)])
def test_the_slices_do_not_count(value):
    state = {number: value(number) for number in range(3_500)}
    assert slowly(StateDigest(state, Sessions(), 1)) == digest_of(state)


@pytest.mark.parametrize("kind", [dict, UndoDict])
@pytest.mark.parametrize("value", [str, lambda number: [number, {"a": {number}}]])
def test_commands_after_the_state_was_taken_do_not_count(kind, value):
    state = kind({number: value(number) for number in range(2_500)})
    before = digest_of(state)
    making = StateDigest(state, Sessions(), 1)
    assert making.capture(FOR_EVER, lambda: 0.0)
    for number in range(2_500):
        if isinstance(state[number], list):
            state[number].append("later")
        else:
            state[number] = "later"
    assert finished(making) == before
    assert digest_of(state) != before


def test_pieces_count_in_their_order():
    assert digest_of(Frozen([1, {"a": 1, "b": 2}])) == digest_of(Frozen([1, {"b": 2, "a": 1}]))
    assert digest_of(Frozen([1, 2])) != digest_of(Frozen([2, 1]))
    assert digest_of(iter([1, 2])) == digest_of(Frozen([1, 2]))


def test_the_version_of_the_machine_counts():
    assert digest_of({}, version=1) != digest_of({}, version=2)


def test_a_state_that_can_not_be_encoded_has_none():
    with pytest.raises(TypeError):
        digest_of({"a": [object()]})


def test_replicas_with_two_versions_of_a_class_are_not_compared(monkeypatch):
    """Equal states may differ there: one has a field that the other does not know."""
    from raft_actors.encoding import value_types

    for table in ("BY_NAME", "BY_CLASS"):
        monkeypatch.setattr(value_types, table, {})

    def in_a_program(version):
        made = make_dataclass("Account", ["owner", *(["limit"] if version > 1 else [])])
        made = value_types.value_type("test.Account", version=version)(made)
        value_types.BY_NAME.clear()
        return made

    old, new = in_a_program(1), in_a_program(2)
    one, other = digest_of({"a": old("ada")}), digest_of({"a": new("ada", None)})
    assert not differ(one.hex(), other.hex())
    assert one != other
    assert differ(one.hex(), digest_of({"a": old("bob")}).hex())
    assert digest_of({"a": 1})[:FORM] == digest_of({})[:FORM] != one[:FORM]


# Sessions.


def some_sessions(*, forgetful=False):
    """Two clients' sessions, as on a replica that has run their commands or has read of them."""
    sessions = Sessions()
    numbers = []
    for index, salt in ((1, 5), (2, 6)):
        sessions.now_ms = 1_000 * index
        answer = encoding.loads(sessions.open(index, salt))
        numbers.append(answer[1])
    sessions.now_ms = 5_000
    for index, number in zip(count(3), numbers * 3, strict=False):
        request = number, index
        if forgetful:
            sessions.pass_over(request, b"command", index)
        else:
            sessions.once(request, lambda _command: b"reply", b"command", index)
    return sessions


def test_timers_and_messages_that_are_due_count():
    digests = set()
    for duties in ((), (("timer", "t", 5),), (("timer", "t", 6),)):
        making = StateDigest({}, Sessions(), 1, duties)
        assert making.capture(FOR_EVER, lambda: 0.0)
        digests.add(finished(making))
    assert len(digests) == 3


def test_sessions_count_and_the_replies_in_them_do_not():
    assert digest_of({}, sessions=some_sessions()) != digest_of({})
    assert digest_of({}, sessions=some_sessions()) == digest_of(
        {}, sessions=some_sessions(forgetful=True)
    )
    more = some_sessions()
    more.open(20, NEW)
    assert digest_of({}, sessions=more) != digest_of({}, sessions=some_sessions())
    limited = some_sessions()
    limited.limit(encoding.dumps((50_000, None)))
    assert digest_of({}, sessions=limited) != digest_of({}, sessions=some_sessions())


# States on disk.


def test_a_state_on_disk_is_compared_by_its_values(tmp_path):
    one, other = DiskTable(tmp_path / "one"), DiskTable(tmp_path / "other")
    try:
        one["a"], one["b"], one["c"] = {"x": 1, "y": 2}, float("nan"), ["z"]
        other["c"], other["b"], other["a"] = ["z"], OTHER_NAN, {"y": 2, "x": 1}
        for index, state in enumerate((one, other), 1):
            state.commit()
            state.flush(index)
        assert digest_of(one.frozen()) == digest_of(other.frozen())
        other["a"] = {"y": 2, "x": 3}
        other.commit()
        other.flush(3)
        assert digest_of(one.frozen()) != digest_of(other.frozen())
        other.refill(iter([((b"ka", b"kb", b"kc"), tuple(map(one.stored, (b"ka", b"kb", b"kc"))))]))
        assert digest_of(one.frozen()) == digest_of(other.frozen())
    finally:
        one.close()
        other.close()


# On other hosts, and in later releases.

GOLDEN = """
from raft_actors.machine.sessions import Sessions
from raft_actors.machine.state_digest import StateDigest
from dataclasses import make_dataclass
from datetime import date
words = {"one", "two", "three", "four", "five"}
for state in ({word: {word: {word}, "all": words} for word in words}, words, [words, date.max], 7):
    making = StateDigest(state, Sessions(), 1)
    while not making.capture(0.0, lambda: 1.0):
        pass
    for _ in making.slices():
        pass
    print(making.digest().hex())
"""
DIGESTS = [
    "0200000000023bb4c63d0632e48ea91e4848954384",
    "0200000000a1b1abbfe9eafbbd421244d7a5bf7c35",
    "02000000004b468edb6f56a46794c752917c956ff4",
    "02000000003e804f65354f138847a811bbd99af22c",
]
"""Change them only together with FORMAT."""


@pytest.mark.parametrize("seed", ["0", "1", "2"])
def test_every_process_of_every_release_makes_the_same_digests(seed):
    shown = subprocess.run(
        [sys.executable, "-c", GOLDEN], env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert shown.split() == DIGESTS


def test_a_digest_begins_with_its_format():
    digest = digest_of({})
    assert len(digest) == DIGEST_BYTES
    assert digest[0] == FORMAT
