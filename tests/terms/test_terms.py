"""Terms come back equal and of the same type, or are refused by name; no bytes do harm."""

import enum
import math
import os
import subprocess
import sys
import threading
from collections import OrderedDict, namedtuple
from contextlib import suppress
from datetime import UTC, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raft_actors.sessions import REPLY
from raft_actors.terms import DEPTH_MAX, dumps, loads

some = settings(max_examples=60, deadline=None)

ZONES = [
    None,
    UTC,
    timezone(timedelta(hours=-3, minutes=-30)),
    timezone(timedelta(seconds=3661, microseconds=5)),
    timezone(timedelta(hours=1), "CET"),
    ZoneInfo("Europe/Berlin"),
    ZoneInfo("America/New_York"),
]


def alike(one, other):
    """Whether two values are equal and of the same type in every part; nan equals nan."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        both_nan = math.isnan(one) and math.isnan(other)
        return both_nan or (one == other and math.copysign(1, one) == math.copysign(1, other))
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, dict):
        return alike(list(one.items()), list(other.items()))  # order counts
    if isinstance(one, (set, frozenset)):
        return len(one) == len(other) and all(
            any(alike(member, twin) for twin in other) for member in one
        )
    if isinstance(one, (datetime, time)):
        same_clock = one.replace(tzinfo=None) == other.replace(tzinfo=None)
        return same_clock and one.fold == other.fold and alike(one.tzinfo, other.tzinfo)
    if isinstance(one, ZoneInfo):
        return one.key == other.key
    if isinstance(one, timezone):
        return one == other and one.tzname(None) == other.tzname(None)
    return one == other


@st.composite
def atoms(draw):
    """One of every kind; composite, so that Hypothesis never spells all of it out."""
    edges = [2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64 - 1, 2**64, 2**1000]
    zones = st.sampled_from(ZONES)
    numbers = st.integers() | st.integers(-(2**70), 2**70) | st.sampled_from(edges) | st.floats()
    days = st.datetimes(timezones=zones) | st.dates() | st.timedeltas()
    clocks = st.times(timezones=zones) | zones
    words = st.text() | st.binary()
    return draw(st.none() | st.booleans() | numbers | words | days | clocks)


@st.composite
def hashables(draw):
    def wrap(parts):
        return st.lists(parts, max_size=4).map(tuple) | st.frozensets(parts, max_size=4)

    return draw(st.recursive(atoms(), wrap, max_leaves=8))


@st.composite
def terms(draw):
    def wrap(parts):
        lists = st.lists(parts, max_size=5)
        dicts = st.dictionaries(hashables(), parts, max_size=4)
        return lists | lists.map(tuple) | dicts | st.sets(hashables(), max_size=4)

    return draw(st.recursive(hashables(), wrap, max_leaves=12))


@some
@given(terms())
def test_every_term_comes_back_equal_and_of_the_same_type(value):
    assert alike(loads(dumps(value)), value)


@some
@given(terms())
def test_a_term_has_one_encoding(value):
    assert dumps(loads(dumps(value))) == dumps(value)


@some
@given(terms())
def test_no_term_begins_as_a_machines_reply_does(value):
    """The mark of a reply was 0xC1 once, as that of a term with a list in it."""
    assert not dumps(value).startswith(REPLY)


@some
@given(st.lists(hashables(), unique=True), st.randoms())
def test_equal_sets_give_equal_bytes_in_whatever_order_they_were_filled(members, luck):
    shuffled = list(members)
    luck.shuffle(shuffled)
    assert dumps(set(members)) == dumps(set(shuffled))


@some
@given(st.binary())
def test_arbitrary_bytes_raise_nothing_but_value_error(data):
    for head in (b"", b"\xc1"):
        with suppress(ValueError):
            loads(head + data)


@some
@given(terms(), st.data())
def test_damaged_terms_raise_nothing_but_value_error(value, draw):
    data = bytearray(dumps(value))
    position = draw.draw(st.integers(0, len(data) - 1))
    data[position] = draw.draw(st.integers(0, 255))
    with suppress(ValueError):
        loads(bytes(data))


@some
@given(terms())
def test_a_term_cut_short_or_with_more_behind_it_is_refused(value):
    data = dumps(value)
    for wrong in (data[:-1], data + b"\x00"):
        with pytest.raises(ValueError, match="are no term"):
            loads(wrong)


@pytest.mark.parametrize(
    "value",
    [
        True,
        1,
        [True, 1, 1.0],
        (),
        [],
        {},
        set(),
        frozenset(),
        {1: "a", "1": "b", (1, "x"): "c", frozenset({2}): "d", None: "e"},
        {"b": 1, "a": 2},
        {False, "", None, 0.5, b"", (), frozenset()},
        [[(), []], ({"k": [(1,)]},)],
        datetime(2024, 10, 27, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1),
        datetime(1, 1, 1, 0, 0, 0, 1),  # noqa: DTZ001
        datetime.max,  # noqa: DTZ901
        timedelta.min,
    ],
)
def test_types_that_python_calls_equal_are_kept_apart(value):
    assert alike(loads(dumps(value)), value)


def test_the_utc_zone_comes_back_as_the_one_there_is():
    assert loads(dumps(datetime(2024, 1, 1, tzinfo=UTC))).tzinfo is UTC


def test_long_lists_and_tuples_come_back():
    for value in (list(range(5000)), tuple(range(5000)), [tuple(range(2000))] * 3):
        assert loads(dumps(value)) == value


def test_a_memoryview_can_be_read_in_place():
    for value in (("set", "k"), ["set", "k"]):
        assert loads(memoryview(b"..." + dumps(value))[3:]) == value


class Colour(enum.IntEnum):
    RED = 1


class Name(str):
    __slots__ = ()


Point = namedtuple("Point", "x y")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (object(), "command: an object can't be encoded; use None, bool, int"),
        (("a", {"key": object()}), r"command\[1\]\['key'\]: an object can't"),
        ({("a", 3j): 1}, r"a key of command\[1\]: a complex can't"),
        ([1, {frozenset({3j})}], r"a member of a member of command\[1\]: a complex can't"),
        ([Colour.RED], r"command\[0\]: a Colour can't .* as a plain int"),
        (Name("x"), "command: a Name can't .* as a plain str"),
        ([Point(1, 2)], "a Point can't .* as a plain tuple"),
        ({"k": OrderedDict()}, r"command\['k'\]: an OrderedDict can't .* as a plain dict"),
        ({"{0}": 3j}, r"command\['\{0\}'\]: a complex"),
        ((bytearray(b"x"),), r"command\[0\]: a bytearray can't"),
        ([memoryview(b"x")], r"command\[0\]: a memoryview can't"),
        (msgpack.ExtType(1, b""), "command: an ExtType can't"),
        ([msgpack.Timestamp(1)], r"command\[0\]: a Timestamp can't"),
        (int, "command: a type can't"),
    ],
)
def test_what_would_lose_its_type_is_refused_by_name(value, message):
    with pytest.raises(TypeError, match=message):
        dumps(value)


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("\ud800", "query"),
        (("a", "\ud800"), r"query\[1\]"),
        ([{"\udfff": 1}], r"a key of query\[0\]"),
    ],
)
def test_a_lone_surrogate_is_refused_by_name(value, path):
    with pytest.raises(ValueError, match=f"^{path}: .* has a lone surrogate"):
        dumps(value, what="query")


def nest(levels, wrap):
    value = 1
    for _ in range(levels):
        value = wrap(value)
    return value


WRAPS = [
    lambda value: (value,),
    lambda value: [value],
    lambda value: {"k": value},
    lambda value: frozenset({value}),
]


@pytest.mark.parametrize("wrap", WRAPS)
def test_values_nest_up_to_a_bound(wrap):
    assert loads(dumps(nest(DEPTH_MAX, wrap))) == nest(DEPTH_MAX, wrap)
    with pytest.raises(ValueError, match="deeper than 100 levels"):
        dumps(nest(DEPTH_MAX + 1, wrap))


def test_a_value_that_contains_itself_is_refused():
    knot = ["a"]
    knot.append({"again": knot})
    with pytest.raises(ValueError, match="or contains itself"):
        dumps(knot)


def test_a_deep_value_is_refused_even_with_little_stack_left():
    def sink(depth):
        return sink(depth - 1) if depth else dumps(nest(90, WRAPS[1]))

    for depth in range(700, sys.getrecursionlimit(), 20):
        try:
            sink(depth)
        except ValueError:
            break
        except RecursionError:
            break  # the sinking itself had no room


@pytest.mark.parametrize("head", [b"", b"\xc1"])
@pytest.mark.parametrize(
    "opening", [b"\x91", b"\x81\x01", b"\x92\xc7\x00\x01", b"\x92\xc7\x00\x03"]
)
def test_deep_nesting_from_a_stranger_is_refused(head, opening):
    for levels in (1100, 100_000):
        with pytest.raises(ValueError, match="are no term"):
            loads(head + opening * levels + b"\x00")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\xc7\x00\x01",  # a mark without the leading byte
        b"\xc1\xc7\x00\x01",  # a mark alone
        b"\xc1\x92\x01\xc7\x00\x01",  # a mark that does not head its array
        b"\xc1\x81\xc7\x00\x01\x01",  # a mark as a key
        b"\xc1\x92\xc7\x00\x01\xc7\x00\x01",  # a list that holds a mark
        b"\xc1\x91\xc7\x00\x0a",  # no such mark
        b"\xc1\x91\xc7\x00\x04",  # a datetime of no parts
        b"\xc1\x92\xc7\x00\x09\xa4Nope",  # no such time zone
        b"\xc1\x92\xc7\x00\x09\xa9../passwd",
        b"\xc1\x92\xc7\x00\x09\xa7America",  # a directory of the zone database
        b"\xc1\x92\xc7\x00\x02\x92\xc7\x00\x01",  # a set of a list
        b"\x81\x80\x01",  # a dict as a key
        b"\xc1\x92\xc7\x00\x05\xc4\x04\x07\xe8\x01\x01",  # the state a pickled date would take
        b"\xd4\x07\x01",  # ext 7
    ],
)
def test_what_dumps_cannot_have_written_is_refused(data):
    with pytest.raises(ValueError, match="are no term"):
        loads(data)


CLAIMS = """
import sys
from pathlib import Path
from raft_actors.terms import loads
count = 1_000_000
data = (b"\\xdd" + count.to_bytes(4, "big")) * 1000 + bytes(count)
for head in (b"", b"\\xc1"):
    try:
        loads(head + data)
    except ValueError:
        continue
    sys.exit("read what is not there")
print(next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines()
           if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_claimed_lengths_take_no_memory():
    """A thousand arrays, one in another, each of a million items; a million are there.

    Without check_lengths, msgpack 1.0 takes 8 GB for it.
    """
    child = subprocess.run([sys.executable, "-c", CLAIMS], capture_output=True, text=True)
    assert child.returncode == 0, child.stderr
    assert int(child.stdout) < 100_000  # KiB


WITHOUT_C = """
from raft_actors.terms import dumps, loads
value = [(1, [2]), {"a": [{3}, ()]}, frozenset({(4,)})]
assert loads(dumps(value)) == value, loads(dumps(value))
"""


def test_without_the_c_extension_of_msgpack_values_come_back_the_same():
    """Found by fuzzing: lists came back as tuples, and a datetime with a zone not at all."""
    child = subprocess.run(
        [sys.executable, "-c", WITHOUT_C], capture_output=True, text=True,
        env={**os.environ, "MSGPACK_PUREPYTHON": "1"},
    )  # fmt: skip
    assert child.returncode == 0, child.stderr


def test_threads_can_encode_at_the_same_time():
    values = [("set", str(n), [n, {"k": (2**70 + n, n)}]) for n in range(4)]
    wrong = []

    def work(value):
        for _ in range(2000):
            came_back = loads(dumps(value))
            if not alike(came_back, value):
                wrong.append(came_back)

    threads = [threading.Thread(target=work, args=(value,)) for value in values]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
