"""Value types: classes of users whose objects can be encoded, each under a name and a version.

The bytes of an object have the name, the version and the fields of its class. Reading them runs no
code of the class (no `__init__`, no `__post_init__`), and imports nothing: a class is found only if
this program has registered it. What was read therefore is as its writer sent it, also if
`__post_init__` would have refused it: a state machine checks its commands itself.

How a class may change over the versions of a program: docs/values.md.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from enum import Enum, Flag
from functools import partial, reduce
from operator import or_
from typing import Any, TypeVar

__all__ = ["TYPE_NAME_MAX", "UnknownValue", "ValueType", "fields_inside", "read_member",
           "read_object", "value_type", "value_type_of"]  # fmt: skip

C = TypeVar("C", bound=type)

TYPE_NAME_MAX = 200  # characters
VERSION_MAX = 1 << 32

BY_NAME: dict[str, "ValueType"] = {}
BY_CLASS: dict[type, "ValueType"] = {}


def value_type(name: str, *, version: int = 1, ignore_unknown: bool = False) -> Callable[[C], C]:
    """Register a dataclass, a NamedTuple or an Enum, so that its objects can be commands, replies,
    states, messages of actors, and parts of these.

    name            by which the class is known in the bytes, the same in every program and for all
                    time; one with the name of the package can't be mistaken: `"bank.Deposit"`
    version         of the class, from 1. Raise it when fields or members are added. Bytes of a
                    newer version than the reader's are refused
    ignore_unknown  whether a field that the class does not have (any more) is left out when bytes
                    are read. Otherwise such bytes are refused

    >>> from dataclasses import dataclass
    >>> from decimal import Decimal
    >>> from raft_actors import value_type
    >>> @value_type("bank.Deposit")
    ... @dataclass(frozen=True)
    ... class Deposit:
    ...     account: str
    ...     amount: Decimal

    A class of another package is registered by a call: `value_type("http.Status")(HTTPStatus)`.

    A field that is missing in the bytes gets its default. A `default_factory` must return the same
    on every replica.

    Raises TypeError for a class that can't be registered, and ValueError for a name that another
    class has.
    """
    if not isinstance(name, str):
        raise TypeError(f"value_type takes a name: @value_type('bank.Deposit'), not {name!r}")
    if not 0 < len(name) <= TYPE_NAME_MAX or not name.isprintable():
        raise ValueError(
            f"{name!r} can't name a value type: take up to {TYPE_NAME_MAX} printable characters"
        )
    if type(version) is not int or not 1 <= version < VERSION_MAX:
        raise ValueError(f"the version of a value type is an int from 1, not {version!r}")

    def register(cls: C) -> C:
        made = kind_for(cls)(cls, name, version, ignore_unknown=ignore_unknown)
        other = BY_NAME.get(name)
        if other is not None and place_of(other.cls) != place_of(cls):
            raise ValueError(
                f"{place_of(cls)} can't be registered as {name!r}: {place_of(other.cls)} has this "
                "name; each class needs a name of its own"
            )
        BY_CLASS[cls] = BY_NAME[name] = made
        return cls

    return register


def value_type_of(cls: type) -> "ValueType | None":
    """Return how objects of exactly this class are encoded."""
    return BY_CLASS.get(cls)


def fields_inside(value: Any) -> Sequence[Any] | None:
    """Return the values of the fields of an object; None for a value of another kind."""
    made = BY_CLASS.get(type(value))
    if made is not None:
        return made.values_of(value)
    return value.parts if type(value) is UnknownValue else None


class ValueType:
    """How objects of one class are encoded. `fields` are the names of its fields or members."""

    __slots__ = ("cls", "fields", "ignore_unknown", "name", "version")

    is_enum = False

    def __init__(self, cls: type, name: str, version: int, *, ignore_unknown: bool) -> None:
        self.cls: type = cls
        self.name: str = name
        self.version: int = version
        self.ignore_unknown: bool = ignore_unknown
        self.fields: Sequence[str] = self.fields_of(cls)

    def fields_of(self, cls: Any) -> Sequence[str]:
        raise NotImplementedError

    def parts_of(self, value: Any) -> list[Any]:
        """Return the fields as name, value, name, value ..., or the names of the members."""
        raise NotImplementedError

    def newer(self, version: int) -> str:
        """Tell, in words, of a newer version than this program's; else return nothing."""
        if version > self.version:
            return f"version {version} of {self.name!r}, of which it has version {self.version}"
        return ""

    def items_of(self, value: Any) -> list[tuple[str, Any]]:
        """Return the names and values of the fields."""
        raise NotImplementedError

    def values_of(self, value: Any) -> list[Any]:
        """Return the values of the fields."""
        return [part for _, part in self.items_of(value)]


class FieldsType(ValueType):
    """A class with fields."""

    __slots__ = ()

    def defaults(self) -> Mapping[str, Callable[[], Any]]:
        """For each field with a default, a function that returns it."""
        raise NotImplementedError

    def build(self, values: dict[str, Any]) -> Any:
        """Make an object with these fields, without running the code of its class."""
        raise NotImplementedError

    def parts_of(self, value: Any) -> list[Any]:
        return [part for item in self.items_of(value) for part in item]

    def read(self, values: dict[str, Any]) -> Any:
        """Return the object, or the reason for which this program can't make it."""
        unknown = values.keys() - set(self.fields)
        if unknown and not self.ignore_unknown:
            return f"the fields {sorted(unknown)} of {self.name!r}"
        kept = {field: values[field] for field in self.fields if field in values}
        if len(kept) < len(self.fields):
            defaults = self.defaults()
            for field in self.fields:
                if field not in kept:
                    if field not in defaults:
                        return f"a {self.name!r} without the field {field!r}, that has no default"
                    kept[field] = defaults[field]()
        return self.build(kept)


class DataclassType(FieldsType):
    __slots__ = ()

    def fields_of(self, cls: Any) -> Sequence[str]:
        if cls.__new__ is not object.__new__:
            raise TypeError(
                f"{place_of(cls)} can't be registered: it has a __new__, which would have to run "
                "when an object is read"
            )
        if cls.__eq__ is object.__eq__:
            raise TypeError(
                f"{place_of(cls)} can't be registered: its objects are equal only to themselves "
                "(eq=False), so no copy that was read would be equal to the first"
            )
        return tuple(field.name for field in dataclasses.fields(cls))

    def items_of(self, value: Any) -> list[tuple[str, Any]]:
        return [(field, getattr(value, field)) for field in self.fields]

    def defaults(self) -> Mapping[str, Callable[[], Any]]:
        found: dict[str, Callable[[], Any]] = {}
        for field in dataclasses.fields(self.cls):
            if field.default_factory is not dataclasses.MISSING:
                found[field.name] = field.default_factory
            elif field.default is not dataclasses.MISSING:
                found[field.name] = partial(same, field.default)
        return found

    def build(self, values: dict[str, Any]) -> Any:
        made: Any = object.__new__(self.cls)
        for name, value in values.items():
            object.__setattr__(made, name, value)
        return made


class NamedTupleType(FieldsType):
    __slots__ = ()

    def fields_of(self, cls: Any) -> Sequence[str]:
        return tuple(cls._fields)

    def items_of(self, value: Any) -> list[tuple[str, Any]]:
        return list(zip(self.fields, value, strict=True))

    def defaults(self) -> Mapping[str, Callable[[], Any]]:
        known: dict[str, Any] = self.cls._field_defaults  # type: ignore[attr-defined]
        return {name: partial(same, default) for name, default in known.items()}

    def build(self, values: dict[str, Any]) -> Any:
        return tuple.__new__(self.cls, [values[field] for field in self.fields])


class EnumType(ValueType):
    """An Enum: its members travel by their names. A Flag is the names of the members in it."""

    __slots__ = ()

    is_enum = True

    def __init__(self, cls: type, name: str, version: int, *, ignore_unknown: bool) -> None:
        if ignore_unknown:
            raise TypeError(f"{place_of(cls)} is an Enum: it has no fields to leave out")
        super().__init__(cls, name, version, ignore_unknown=False)

    def fields_of(self, cls: Any) -> Sequence[str]:
        return tuple(cls.__members__)

    def items_of(self, value: Any) -> list[tuple[str, Any]]:  # noqa: ARG002
        return []

    def parts_of(self, value: Any) -> list[Any]:
        if not isinstance(value, Flag):
            return [value.name]
        members = list(value)
        if reduce(or_, members, self.cls(0)) != value:
            raise TypeError(f"{value!r} has bits that no member of {self.name!r} has")
        return [member.name for member in members]

    def read(self, names: list[Any]) -> Any:
        """Return the member, or the reason for which this program can't make it."""
        known: Mapping[str, Any] = self.cls.__members__  # type: ignore[attr-defined]
        unknown = [name for name in names if name not in known]
        if unknown:
            return f"the members {unknown} of {self.name!r}"
        if issubclass(self.cls, Flag):
            return reduce(or_, map(known.__getitem__, names), self.cls(0))
        if len(names) != 1:
            return f"{len(names)} members at once of {self.name!r}"
        return known[names[0]]


class UnknownValue:
    """An object whose class this program has not registered, or knows in another form. It is
    encoded again as the same bytes.

    why  what this program does not know, for an error message
    """

    __slots__ = ("is_member", "name", "parts", "version", "why")

    def __init__(
        self, name: str, version: int, parts: list[Any], why: str, *, is_member: bool
    ) -> None:
        self.name: str = name
        self.version: int = version
        self.parts: tuple[Any, ...] = tuple(parts)
        self.why: str = why
        self.is_member: bool = is_member

    def __repr__(self) -> str:
        if self.is_member:
            return f"<{self.name}: {'|'.join(self.parts) or 0}>"
        pairs = zip(self.parts[::2], self.parts[1::2], strict=True)
        return f"<{self.name}: {', '.join(f'{name}={value!r}' for name, value in pairs)}>"

    def __eq__(self, other: object) -> bool:
        return (
            type(other) is UnknownValue
            and (self.name, self.version, self.is_member)
            == (other.name, other.version, other.is_member)
            and self.parts == other.parts
        )

    def __hash__(self) -> int:
        """Not of the parts: whether these can be hashed, only their class knows."""
        return hash((self.name, self.version))


def read_object(parts: list[Any]) -> Any:
    """Make the object of a name, a version, and names and values of fields in turn. Raises
    ValueError for parts that no writer writes.
    """
    name, version, rest = head_of(parts)
    names = rest[::2]
    if len(rest) % 2 or len(set(names)) != len(names) or set(map(type, names)) - {str}:
        raise ValueError("an object without names of its fields")
    made = BY_NAME.get(name)
    if made is None:
        why: Any = f"the type {name!r}"
    elif isinstance(made, FieldsType):
        why = made.newer(version) or made.read(dict(zip(names, rest[1::2], strict=True)))
        if type(why) is not str:
            return why
    else:
        why = f"a {name!r} with fields"
    return UnknownValue(name, version, rest, why, is_member=False)


def read_member(parts: list[Any]) -> Any:
    """Make the member of an Enum of a name, a version, and the names of members."""
    name, version, names = head_of(parts)
    if set(map(type, names)) - {str} or len(set(names)) != len(names):
        raise ValueError("a member without a name")
    made = BY_NAME.get(name)
    if made is None:
        why: Any = f"the type {name!r}"
    elif isinstance(made, EnumType):
        why = made.newer(version) or made.read(names)
        if type(why) is not str:
            return why
    else:
        why = f"a {name!r} without fields"
    return UnknownValue(name, version, names, why, is_member=True)


def head_of(parts: list[Any]) -> tuple[str, int, list[Any]]:
    name, version, *rest = parts
    if type(name) is not str or type(version) is not int or not 1 <= version < VERSION_MAX:
        raise ValueError("an object without the name and the version of its class")
    return name, version, rest


def kind_for(cls: Any) -> type[ValueType]:
    if not isinstance(cls, type):
        raise TypeError(f"value_type registers a class, not {cls!r}")
    if issubclass(cls, Enum):
        return EnumType
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return NamedTupleType
    if "__dataclass_fields__" in vars(cls):
        return DataclassType
    raise TypeError(
        f"{place_of(cls)} can't be registered: it is no dataclass, NamedTuple or Enum. "
        "@value_type stands above @dataclass"
    )


def same(value: Any) -> Any:
    return value


def place_of(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
