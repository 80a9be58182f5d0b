"""Terms come back equal and of the same type, or are refused by name; no bytes do harm."""

import enum
import io
import math
import os
import pickle
import subprocess
import sys
import threading
from collections import OrderedDict, namedtuple
from contextlib import suppress
from datetime import UTC, datetime, time, timedelta, timezone
from importlib.util import find_spec
from pathlib import Path
from time import thread_time
from zoneinfo import TZPATH, ZoneInfo

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raft_actors.encoding import (
    DEPTH_MAX,
    KEYS_UNCHECKED_MAX,
    STORED_DEPTH_MAX,
    UnknownZone,
    dumps,
    dumps_stored,
    loads,
    loads_stored,
    unknown_here,
)
from raft_actors.errors import HostError
from raft_actors.machine.sessions import REPLY

some = settings(max_examples=60)

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
    """One of every kind that may be a key; composite, so that Hypothesis never spells it out."""
    edges = [2**63 - 1, 2**63, -(2**63), 2**64 - 1]
    zones = st.sampled_from(ZONES)
    numbers = st.integers(-(2**63), 2**64 - 1) | st.sampled_from(edges) | st.floats()
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

    large = st.integers() | st.sampled_from([-(2**63) - 1, 2**64, 2**1000])
    return draw(st.recursive(hashables() | large, wrap, max_leaves=12))


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
def test_damaged_terms_raise_nothing_but_what_loads_may_raise(value, draw):
    """A HostError: the name of a time zone in a set may be damaged."""
    data = bytearray(dumps(value))
    position = draw.draw(st.integers(0, len(data) - 1))
    data[position] = draw.draw(st.integers(0, 255))
    with suppress(ValueError, HostError):
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
        ([Colour.RED], r"command\[0\]: a Colour can't .* value_type"),
        (Name("x"), "command: a Name can't .* as a plain str"),
        ([Point(1, 2)], "a Point can't .* value_type"),
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


@pytest.mark.parametrize("wrap", WRAPS)
def test_what_is_kept_nests_deeper_than_what_travels(wrap):
    """Else a machine that puts a command into its state could have no snapshot any more."""
    deep = nest(DEPTH_MAX + 1, wrap)
    with pytest.raises(ValueError, match=r"are no term.* deeper than 100"):
        loads(dumps_stored(deep))
    assert loads_stored(dumps_stored(deep)) == deep
    deepest = nest(STORED_DEPTH_MAX, wrap)
    assert loads_stored(dumps_stored(deepest)) == deepest
    with pytest.raises(ValueError, match=f"deeper than {STORED_DEPTH_MAX} levels"):
        dumps_stored(wrap(deepest))


def test_wide_values_with_text_of_any_language_are_not_taken_for_deep_ones():
    for value in ([[1]] * 1000, "\u00fc\u4e2d" * 1000, {"k": ("\u00fc" * 500, [b"\x91" * 500])}):
        assert loads(dumps(value)) == value


def test_too_little_stack_is_no_fault_of_the_value():
    """It may be enough on another machine, so it must not be an answer like any other."""
    limit = sys.getrecursionlimit()
    value = nest(90, WRAPS[1])

    def sink():
        try:
            return sink()
        except RecursionError:
            with pytest.raises(RecursionError):
                dumps(value)
            return None

    sink()
    assert sys.getrecursionlimit() == limit


LARGE = [2**64, -(2**63) - 1, 2**1000]
IN_A_KEY = [
    lambda key: {key: 1},
    lambda key: {(1, (key,)): 1},
    lambda key: [{"a": {key}}],
    lambda key: frozenset({frozenset({(key,)})}),
    lambda key: {key: 1, **dict.fromkeys(range(3 * KEYS_UNCHECKED_MAX))},
]


@pytest.mark.parametrize("wrap", IN_A_KEY)
@pytest.mark.parametrize("number", LARGE)
def test_an_int_beyond_64_bits_is_no_key_and_no_member_of_a_set(number, wrap):
    """Of these anybody finds thousands with one hash, and each is compared with all others."""
    value = wrap(number)
    with pytest.raises(ValueError, match="beyond 64 bits can't be a key"):
        dumps(value)
    with pytest.raises(ValueError, match=r"are no term.*beyond 64 bits"):
        loads(dumps_stored(value))
    assert loads_stored(dumps_stored(value)) == value
    assert loads(dumps([number, {1: number}])) == [number, {1: number}]


def of_one_hash(kind, count):
    """Return `count` different values of one kind that all have one hash."""
    modulus = sys.hash_info.modulus
    if kind == "int":
        return [5 + number * modulus for number in range(1, count + 1)]
    bits = [1 << bit for bit in range(14)]
    twins = [(one, one + modulus) for one in bits]  # two ints of one hash each
    return [
        tuple(pair[number >> place & 1] for place, pair in enumerate(twins))
        for number in range(count)
    ]


@pytest.mark.parametrize("kind", ["int", "tuple"])
@pytest.mark.parametrize("build", [dict.fromkeys, set, frozenset], ids=["dict", "set", "frozenset"])
def test_keys_of_one_hash_are_refused_before_they_are_compared(kind, build):
    keys = of_one_hash(kind, 3 * KEYS_UNCHECKED_MAX)
    assert len(set(map(hash, keys))) == 1
    data = dumps_stored(build(keys))
    begun = time_of(loads_stored, data)
    with pytest.raises(ValueError, match=r"are no term.*(equal hashes|beyond 64 bits)"):
        loads(data)
    refused = time_of(suppressed(loads), data)
    assert refused < begun / 3, "it was built to be refused"
    with pytest.raises(ValueError, match=r"equal hashes|beyond 64 bits"):
        dumps(build(keys))


def suppressed(function):
    def call(data):
        with suppress(ValueError):
            function(data)

    return call


def time_of(function, data):
    """Return the processor time of this thread for the quicker of two calls."""
    took = []
    for _ in range(2):
        begun = thread_time()
        function(data)
        took.append(thread_time() - begun)
    return min(took)


@pytest.mark.parametrize(
    "keys",
    [
        [2.0**power for power in range(-1000, 1000)],
        [(x, y) for x in range(-50, 50) for y in range(-50, 50)],
        [str(number) for number in range(5000)],
        [frozenset({number, number + 1}) for number in range(3000)],
        [number << 40 for number in range(5000)],
    ],
    ids=["powers", "a grid", "words", "pairs", "multiples"],
)
def test_keys_as_programs_have_them_come_back_however_many(keys):
    value = dict.fromkeys(keys)
    assert loads(dumps(value)) == value
    assert loads(dumps([set(keys)])) == [set(keys)]


def zone_bytes(key):
    return b"\xc1\x92\xc7\x00\x09" + msgpack.packb(key)


@pytest.mark.parametrize("key", ["Nope", "America", "Mars/Olympus_Mons", "Etc/GMT+99"])
def test_a_time_zone_that_is_not_known_here_is_kept_and_passed_on(key):
    """Elsewhere it may be known: replicas that read the same bytes otherwise would part."""
    data = zone_bytes(key)
    zone = loads(data)
    assert type(zone) is UnknownZone
    assert loads(data) is zone
    assert repr(zone) == f"UnknownZone({key!r})"
    assert dumps(zone) == data
    when = [datetime(2026, 1, 1, tzinfo=zone), time(12, tzinfo=zone)]
    again = loads(dumps(when))
    assert [each.tzinfo for each in again] == [zone, zone]
    assert again[0].replace(tzinfo=UTC) == datetime(2026, 1, 1, tzinfo=UTC)
    assert pickle.loads(pickle.dumps(zone)) is zone
    assert unknown_here(dumps(("set", when))) == [f"the time zone {key!r}"] * 2


def test_what_needs_the_offset_of_an_unknown_time_zone_is_told_what_is_missing():
    when = datetime(2026, 1, 1, tzinfo=UnknownZone.of("Nope"))
    for use in (str, hash, lambda when: when < datetime.now(UTC), lambda when: when.tzname()):
        with pytest.raises(HostError, match="'Nope' is not known on this machine: install"):
            use(when)
    with pytest.raises(HostError):
        loads(in_a_set(when))
    assert unknown_here(in_a_set(when)) == ["the time zone 'Nope'"]


def in_a_set(when):
    """Return the bytes of {when}, which can't be built where its zone is unknown."""
    inner = dumps(when)[1:]
    return b"\xc1\x92\xc7\x00\x02" + inner


def test_known_time_zones_are_not_called_unknown():
    assert unknown_here(dumps(("set", datetime(2026, 1, 1, tzinfo=ZoneInfo("Japan"))))) == []
    assert unknown_here(dumps("plain")) == []
    assert unknown_here(b"no term at all") == []


def test_a_zone_of_this_machine_alone_is_refused_by_name():
    with pytest.raises(TypeError, match="no zone that other machines have"):
        dumps(ZoneInfo.from_file(io.BytesIO(zone_file("Japan")), key="localtime"))


def zone_file(key):
    for place in (*map(Path, TZPATH), *package_zones()):
        if (place / key).is_file():
            return (place / key).read_bytes()
    raise AssertionError("this machine must know it")


def package_zones():
    spec = find_spec("tzdata")
    return [Path(spec.origin).parent / "zoneinfo"] if spec else []


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
        b"\xc1\x92\xc7\x00\x09\xa9../passwd",
        b"\xc1\x92\xc7\x00\x09\xa9localtime",  # another zone on each machine
        b"\xc1\x93\xc7\x00\x09\xa4Nope\xa4Nope",
        b"\xc1\x92\xc7\x00\x09\x07",
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
from raft_actors.encoding import loads
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
from raft_actors.encoding import dumps, loads
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
