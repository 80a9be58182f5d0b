"""ObjectState: the attributes of a replicated object, as the state of a state machine."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from raft_actors import encoding
from raft_actors.machine.containers import StateDict, StateList, StateSet, plain, taken
from raft_actors.machine.journal import Journal, StateIsFixed

__all__ = ["FirstFields", "ObjectState", "put_into"]

ABSENT: Any = object()
SLICE = 1_000
"""Items in one piece of a snapshot."""
WHOLE = ""
"""The name of the piece that has all smaller attributes. No attribute has this name."""
KINDS: dict[type, str] = {StateDict: "dict", StateList: "list"}
SIZED: set[type] = {StateDict, StateList, StateSet, str, bytes}


class ObjectState(Mapping[str, Any]):
    """The attributes of `object`. As a mapping it shows copies of them.

    `begin_update` and `begin_query` come before each method, and `commit` or `rollback` after it,
    as for every state that can take changes back.

    fields   the attributes: `object.__dict__`
    before   the attributes as they were before the method that runs
    """

    __slots__ = ("before", "fields", "journal", "object", "reserved")

    def __init__(self, new: Any, reserved: frozenset[str]) -> None:
        """`new` is an object whose attributes are not in containers yet; `reserved` are the names
        that no attribute may have.

        Raises TypeError or ValueError for an attribute that can't be a part of a state.
        """
        self.object: Any = new
        self.fields: dict[str, Any] = vars(new)
        self.reserved: frozenset[str] = reserved
        self.journal: Journal = Journal(type(new).__name__, taken)
        self.before: dict[str, Any] | None = {}
        self.journal.begin_update()
        self.settle()
        self.commit()

    # As a mapping, for people and for comparisons.

    def __getitem__(self, name: str) -> Any:
        return plain(self.fields[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.fields)

    def __len__(self) -> int:
        return len(self.fields)

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.fields.items())
        return f"{type(self.object).__name__}({fields})"

    def __deepcopy__(self, _memo: Any) -> dict[str, Any]:
        return dict(self)

    # Changes.

    def begin_update(self) -> None:
        self.before = self.fields.copy()
        self.journal.begin_update()

    def begin_query(self) -> None:
        self.before = self.fields.copy()
        self.journal.begin_query()

    def settle(self) -> None:
        """Check what the update has changed, and take it into the state.

        Raises TypeError or ValueError for a value that can't be encoded, and for a reserved name.
        """
        self.journal.settle()
        before = self.before
        assert before is not None
        name_of_class = self.journal.name
        for name, value in self.fields.items():
            if before.get(name, ABSENT) is not value:
                if name in self.reserved:
                    raise TypeError(
                        f"{name_of_class}.{name} was assigned, and raft_actors uses this name "
                        "itself: take another"
                    )
                self.fields[name] = taken(value, self.journal, 0, f"{name_of_class}.{name}")

    def refuse_changes(self) -> None:
        """Raise StateIsFixed if a query has assigned an attribute. Containers refuse changes by
        themselves.
        """
        before, fields = self.before, self.fields
        assert before is not None
        for name in {**before, **fields}:
            if before.get(name, ABSENT) is not fields.get(name, ABSENT):
                raise StateIsFixed(
                    f"a query has assigned {self.journal.name}.{name}; it runs on one replica "
                    "only, so it must not change the state: make it an update"
                )

    def commit(self) -> None:
        self.before = None
        self.journal.end()

    def rollback(self) -> None:
        before, self.before = self.before, None
        self.journal.rollback()
        if before is not None:
            self.fields.clear()
            self.fields.update(before)

    # Snapshots.

    def pieces(self, first: "FirstFields") -> Iterator[Any]:
        """Yield what differs from the first state, in the order of names, in pieces of some
        thousand values: (name, kind, ...).

        Pieces of equal states are equal, also if one of them is that of an older program, which
        does not have a new attribute yet. A set is one piece, because it has no order.
        """
        small: dict[str, Any] = {}
        for name, value in sorted(self.fields.items()):
            kind = KINDS.get(type(value))
            if first.has(name, value):
                continue
            if kind is None or len(value) <= SLICE:
                small[name] = plain(value)
            else:
                yield from ((name, kind, *piece) for piece in slices(kind, value))
        yield WHOLE, "dict", tuple(small), tuple(small.values())
        yield WHOLE, "gone", tuple(sorted(first.encoded.keys() - self.fields.keys()))


class FirstFields:
    """The attributes that `__init__` gives, encoded."""

    __slots__ = ("encoded", "sizes")

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self.encoded: dict[str, bytes] = {
            name: encoding.dumps_stored(plain(fields[name])) for name in fields
        }
        self.sizes: dict[str, int] = {name: size_of(fields[name]) for name in fields}

    def has(self, name: str, value: Any) -> bool:
        """Return whether the attribute has the value that `__init__` gives it."""
        return (
            name in self.encoded
            and self.sizes[name] == size_of(value)
            and self.encoded[name] == encoding.dumps_stored(plain(value))
        )


def size_of(value: Any) -> int:
    return len(value) if type(value) in SIZED else -1


def slices(kind: str, value: Any) -> Iterator[tuple[Any, ...]]:
    rest = iter(value.items() if kind == "dict" else value)
    while some := tuple(islice(rest, SLICE)):
        if kind == "dict":
            keys, values = zip(*some, strict=True)
            yield keys, tuple(map(plain, values))
        else:
            yield (tuple(map(plain, some)),)


def put_into(fields: dict[str, Any], pieces: Iterable[Any]) -> None:
    """Change the attributes that `__init__` gives into those that `ObjectState.pieces` has
    yielded.
    """
    there: dict[str, Any] = {}
    for name, kind, *parts in pieces:
        if kind == "gone":
            for each in parts[0]:
                fields.pop(each, None)
        elif kind == "list":
            there.setdefault(name, []).extend(*parts)
        else:
            into = there if name == WHOLE else there.setdefault(name, {})
            into.update(zip(*parts, strict=True))
    fields.update(there)
