"""Objects of registered classes come back equal, or are refused by name; reading runs none of their
code; and two versions of one program understand each other as the page of values says.
"""

import json
import subprocess
import sys
from collections import namedtuple
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum, Flag, IntEnum, StrEnum
from http import HTTPStatus
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raft_actors import value_type
from raft_actors.encoding import (
    DEPTH_MAX,
    KEYS_UNCHECKED_MAX,
    UnknownValue,
    dumps,
    dumps_stored,
    loads,
    loads_shown,
    loads_stored,
    unknown_here,
)
from raft_actors.encoding import value_types as registry
from raft_actors.errors import UnknownType


@value_type("test.Deposit")
@dataclass(frozen=True)
class Deposit:
    account: str
    amount: Decimal


@value_type("test.Basket")
@dataclass
class Basket:
    items: Any = field(default_factory=list)
    owner: Any = None


@value_type("test.Slotted")
@dataclass(slots=True, kw_only=True)
class Slotted:
    a: Any
    b: Any = field(init=False, default=7)


@value_type("test.Point")
class Point(NamedTuple):
    x: Any
    y: Any = 0


@value_type("test.Suit")
class Suit(Enum):
    HEARTS = object()
    SPADES = "s"
    BLACK = "s"  # noqa: PIE796


@value_type("test.Level")
class Level(IntEnum):
    LOW = 1
    HIGH = 2


@value_type("test.Word")
class Word(StrEnum):
    YES = "yes"


@value_type("test.Rights")
class Rights(Flag):
    READ = 1
    WRITE = 2
    ALL = 3


LEAVES = st.one_of(
    st.integers(), st.text(max_size=5), st.none(), st.booleans(),
    st.decimals(), st.uuids(), st.sampled_from([*Suit, *Level, *Word, Rights(0), *Rights]),
    st.builds(PurePosixPath, st.text(st.characters(codec="utf-8"), max_size=5)),
    st.builds(PureWindowsPath, st.text(st.characters(codec="utf-8"), max_size=5)),
)  # fmt: skip
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.tuples(inner), st.builds(Point, inner, inner),
        st.builds(Basket, st.lists(inner, max_size=3), inner), st.builds(Slotted, a=inner),
        st.dictionaries(st.text(max_size=3), inner, max_size=3),
    ),
    max_leaves=8,
)  # fmt: skip


def text(value):
    """The value with the types of all its parts: nan equals nan here, and 1 is not True."""
    return f"{type(value).__name__}:{value!r}"


@settings(max_examples=60, deadline=None)
@given(VALUES)
def test_what_comes_back_is_equal_and_of_the_same_type(value):
    for write, read in ((dumps, loads), (dumps_stored, loads_stored)):
        data = write(value)
        assert text(read(data)) == text(value)
        assert write(read(data)) == data
        assert unknown_here(data) == []


def test_objects_are_keys_and_members_of_sets():
    keys = [Deposit("a", Decimal("1.50")), Point(1, 2), Suit.SPADES, Rights.READ, Decimal(2)]
    assert loads(dumps(dict.fromkeys(keys, 1))) == dict.fromkeys(keys, 1)
    assert loads(dumps(set(keys))) == set(keys)
    assert dumps(set(keys)) == dumps({*keys[::-1]}), "equal sets have equal bytes"


def test_a_class_is_found_by_its_name_alone_and_none_of_its_code_runs():
    ran = []

    @value_type("test.Loud")
    @dataclass(frozen=True)
    class Loud:
        a: int

        def __post_init__(self):
            ran.append(self.a)

    data = dumps(Loud(1))
    ran.clear()
    assert loads(data) == Loud(1)
    assert ran == [1], "only the one that this test has made"
    assert b"Loud" in data
    assert b"test_value_types" not in data, "no place to import from"


class Colour(Enum):
    RED = 1


@dataclass
class Bare:
    a: int = 1


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Colour.RED, r"command: a Colour can't be encoded.*value_type\('a\.name\.for\.it'\)"),
        (Bare(), r"command: a Bare can't be encoded.*value_type\("),
        (namedtuple("Pair", "a b")(1, 2), r"a Pair can't be encoded.*value_type\("),
        (HTTPStatus.OK, r"a HTTPStatus can't be encoded.*value_type\("),
        (Path("a"), r"a PosixPath can't be encoded.*PurePosixPath or PureWindowsPath"),
        (Deposit("a", 3j), r"command\.amount: a complex can't be encoded"),
        ([Basket(["a", {1: 3j}])], r"command\[0\]\.items\[1\]\[1\]: a complex can't"),
        (Point(3j, 1), r"command\.x: a complex can't"),
        (Decimal("1E999999999"), "exponent beyond 400,000,000"),
    ],
)
def test_what_is_not_registered_is_refused_by_its_place_and_with_advice(value, message):
    with pytest.raises((TypeError, ValueError), match=message):
        dumps(value)


def test_an_object_that_lacks_a_field_is_refused():
    value = Slotted(a=1)
    del value.b
    with pytest.raises(TypeError, match=r"a 'test\.Slotted' without one of its fields: .*b"):
        dumps(value)


class Plain:
    pass


@dataclass(eq=False)
class Identical:
    a: int


@dataclass
class Broken(Exception):
    a: int


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (Plain, "Plain can't be registered: it is no dataclass, NamedTuple or Enum"),
        (type("Sub", (Bare,), {}), "Sub can't be registered: it is no dataclass"),
        (Identical, "equal only to themselves"),
        (Broken, "it has a __new__"),
        (7, "value_type registers a class, not 7"),
    ],
)
def test_what_can_not_be_registered_is_told_why(cls, message):
    with pytest.raises(TypeError, match=message):
        value_type("test.refused")(cls)
    assert "test.refused" not in registry.BY_NAME


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 201])
def test_a_name_that_can_not_name_a_type_is_refused(name):
    with pytest.raises(ValueError, match="can't name a value type"):
        value_type(name)


def test_what_is_no_name_or_version_is_refused():
    with pytest.raises(TypeError, match=r"value_type takes a name: @value_type\('bank.Deposit'\)"):
        value_type(Bare)
    for version in (0, True, "1", None, 1 << 32):
        with pytest.raises(ValueError, match="an int from 1"):
            value_type("test.x", version=version)
    with pytest.raises(TypeError, match="it has no fields to leave out"):
        value_type("test.x", ignore_unknown=True)(Colour)


def test_two_classes_can_not_have_one_name_but_a_class_may_be_defined_again():
    with pytest.raises(ValueError, match=r"Deposit has this name; each class needs a name of its"):
        value_type("test.Deposit")(Bare)

    def define(version):
        @value_type("test.Again", version=version)
        @dataclass
        class Again:
            a: int

        return Again

    first, second = define(1), define(2)
    data = dumps(first(1))
    assert type(loads(data)) is second, "as after a cell of a notebook was run again"
    assert loads(dumps(second(1))) == second(1)


def test_objects_have_the_bounds_of_other_values():
    deep: Any = None
    for _ in range(DEPTH_MAX):
        deep = Basket(None, deep)
    assert loads(dumps(deep)) == deep
    with pytest.raises(ValueError, match=r"deeper than 100 levels"):
        dumps(Basket(None, deep))
    too_deep = dumps_stored(Basket(None, deep))
    with pytest.raises(ValueError, match=r"deeper than 100 levels"):
        loads(too_deep)
    with pytest.raises(ValueError, match="beyond 64 bits"):
        dumps({Point(1 << 70): 1})
    with pytest.raises(ValueError, match="beyond 64 bits"):
        loads(dumps_stored({Point(1 << 70): 1}))
    assert loads(dumps(Point(1 << 70))) == Point(1 << 70)
    alike = {Point(number * ((1 << 61) - 1)) for number in range(-4, 5)}
    assert loads(dumps(alike)) == alike
    many = [Decimal(number * ((1 << 61) - 1)) for number in range(2 * KEYS_UNCHECKED_MAX)]
    with pytest.raises(ValueError, match="equal hashes"):
        dumps(dict.fromkeys(many))


def forget(monkeypatch, name):
    monkeypatch.delitem(registry.BY_NAME, name)


@pytest.mark.parametrize("value", [Deposit("a", Decimal(1)), Suit.SPADES, Rights.ALL, Point(1, [])])
def test_an_unknown_type_is_named_and_what_only_shows_it_keeps_it(monkeypatch, value):
    name = registry.value_type_of(type(value)).name
    data = dumps(("put", value))
    forget(monkeypatch, name)
    for read in (loads, loads_stored):
        with pytest.raises(UnknownType, match=f"does not know the type '{name}': import the mod"):
            read(data)
    assert unknown_here(data) == [f"the type '{name}'"]
    shown = loads_shown(data)[1]
    assert type(shown) is UnknownValue
    assert name in repr(shown)
    assert dumps(("put", shown)) == data


def test_what_is_invalid_only_where_its_class_is_known_is_not_called_invalid_elsewhere(monkeypatch):
    """Two replicas must not differ: the one that does not know the class stops."""
    data = dumps_stored([Deposit("a", Decimal(1))]).replace(b"\x01", b"\x02")
    held = b"\xc1\x92\xc7\x00\x02" + dumps(Deposit([], Decimal(1)))[1:]  # a set of what has no hash
    with pytest.raises(ValueError, match="unhashable"):
        loads(held)
    forget(monkeypatch, "test.Deposit")
    for bad in (held, data):
        with pytest.raises(UnknownType):
            loads(bad)


@pytest.mark.parametrize(
    "value",
    [Deposit("a", Decimal("1.5")), Suit.SPADES, Rights.ALL, UUID(int=5), PurePosixPath("a/b")],
)
def test_changed_bytes_are_no_term_or_another_term(value):
    data = dumps([value])
    for place in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[place] ^= 1 << bit
            try:
                read = loads(bytes(changed))
            except (ValueError, UnknownType):
                continue
            assert loads(dumps(read)) == read


OLD = """
@value_type("bank.Deposit")
@dataclass
class Deposit:
    account: str
    note: str = "none"

@value_type("bank.Plain", ignore_unknown=True)
@dataclass
class Plain:
    a: int

@value_type("bank.Colour")
class Colour(Enum):
    RED = 1

VALUES = {"deposit": Deposit("a"), "plain": Plain(1), "colour": Colour.RED}
"""
NEW = """
@value_type("bank.Deposit", version=2)
@dataclass
class Deposit:
    account: str
    currency: str = "EUR"

@value_type("bank.Plain", ignore_unknown=True)
@dataclass
class Plain:
    a: int
    b: int

@value_type("bank.Colour")
class Colour(Enum):
    RED = 5
    BLUE = 1

@value_type("bank.New")
@dataclass
class New:
    a: int = 1

VALUES = {"deposit": Deposit("a", "USD"), "plain": Plain(1, 2), "colour": Colour.RED,
          "blue": Colour.BLUE, "new": New()}
"""
FRAME = """
import json, sys
from dataclasses import dataclass
from enum import Enum
from raft_actors import value_type
from raft_actors.encoding import dumps, loads
{classes}
print(json.dumps({{name: dumps(value).hex() for name, value in VALUES.items()}}), flush=True)
found = {{}}
for name, data in json.loads(sys.stdin.readline()).items():
    try:
        found[name] = repr(loads(bytes.fromhex(data)))
    except Exception as error:
        found[name] = type(error).__name__ + ": " + str(error)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def side_by_side():
    """Two versions of one program run side by side and read what the other has written. Return
    what the old one read of the new one's, and what the new one read of the old one's.
    """
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", FRAME.format(classes=classes)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for classes in (OLD, NEW)
    ]  # fmt: skip
    written = [program.stdout.readline() for program in programs]
    read = [
        json.loads(program.communicate(other, timeout=60)[0])
        for program, other in zip(programs, reversed(written), strict=True)
    ]
    assert [program.returncode for program in programs] == [0, 0]
    return read


def test_a_missing_field_with_a_default_gets_it_and_one_without_is_refused(side_by_side):
    _, new = side_by_side
    assert "without the field 'b', that has no default" in new["plain"]


def test_a_field_that_is_gone_is_refused_unless_the_class_ignores_it(side_by_side):
    old, new = side_by_side
    assert new["deposit"].startswith("UnknownType: this program does not know the fields ['note']")
    assert old["plain"] == "Plain(a=1)"


def test_a_newer_version_of_a_class_is_refused_by_an_older_program(side_by_side):
    old, _ = side_by_side
    assert "version 2 of 'bank.Deposit', of which it has version 1" in old["deposit"]


def test_a_member_goes_by_its_name_and_an_unknown_one_is_refused(side_by_side):
    old, new = side_by_side
    assert new["colour"] == "<Colour.RED: 5>"
    assert old["colour"] == "<Colour.RED: 1>"
    assert "the members ['BLUE'] of 'bank.Colour'" in old["blue"]


def test_an_unknown_name_is_refused(side_by_side):
    old, _ = side_by_side
    assert old["new"].startswith("UnknownType: this program does not know the type 'bank.New'")
