"""Tables: the state of `Batteries`: dicts of constants, each with a key, whose changes can be taken
back.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from types import MappingProxyType
from typing import Any

from raft_actors.machine.undo_dict import UndoDict

__all__ = ["Key", "Table", "Tables"]

Key = tuple[str | int, ...]
"""Kind, name of the object, and what the table is for."""
Table = Mapping[Any, Any]

EMPTY: Table = MappingProxyType({})
SLICE = 1_000
"""Items in one piece of a snapshot."""


class Tables:  # noqa: PLW1641 - it changes, so it has no hash
    """Tables by their keys. A table without items is not kept.

    The keys and values in a table are constants (numbers, texts, bytes, and tuples of these), so a
    snapshot copies a table quickly, and commands go on while the copy is encoded.

    index   the last entry that was applied, for queries
    orders  what finds items of a table in an order, for kinds that need it. What changes the table
            keeps it in order; it is no part of the state, and made anew where it is missing
    """

    __slots__ = ("changed", "index", "orders", "tables")

    def __init__(self) -> None:
        self.index: int = 0
        self.orders: dict[Key, list[Any]] = {}
        self.tables: dict[Key, UndoDict[Any, Any]] = {}
        self.changed: dict[Key, UndoDict[Any, Any]] = {}

    def __eq__(self, other: object) -> bool:
        """Whether the items are the same, in the same order: what is beside them is no part of the
        state.
        """
        return isinstance(other, Tables) and self.items() == other.items()

    def items(self) -> dict[Key, list[tuple[Any, Any]]]:
        """Return the items of each table."""
        return {key: list(table.items()) for key, table in self.tables.items()}

    def look(self, *key: str | int) -> Table:
        """Return a table to read; an empty one if there is none."""
        return self.tables.get(key, EMPTY)

    def change(self, *key: str | int) -> UndoDict[Any, Any]:
        """Return a table to change. It is made if there is none."""
        table = self.tables.get(key)
        if table is None:
            table = self.tables[key] = UndoDict()
        self.changed[key] = table
        return table

    def commit(self) -> None:
        """Keep the changes since the last commit."""
        for key, table in self.changed.items():
            table.commit()
            if not table:
                del self.tables[key]
                self.orders.pop(key, None)
        self.changed.clear()

    def rollback(self) -> None:
        """Take back the changes since the last commit."""
        if self.changed:
            self.orders.clear()
        for key, table in self.changed.items():
            table.rollback()
            if not table:
                del self.tables[key]
        self.changed.clear()

    def pieces(self) -> Iterator[tuple[Key, tuple[Any, ...], tuple[Any, ...]]]:
        """Yield the tables as they are now, in pieces (key, keys, values). The copies are made by
        this call, and not by the iteration.
        """
        return sliced([(key, dict(table)) for key, table in self.tables.items()])

    def restore(self, pieces: Iterable[tuple[Key, tuple[Any, ...], tuple[Any, ...]]]) -> None:
        """Fill with pieces that `pieces` has yielded."""
        for key, keys, values in pieces:
            self.change(*key).update(zip(keys, values, strict=True))
        self.commit()


def sliced(
    copies: list[tuple[Key, dict[Any, Any]]],
) -> Iterator[tuple[Key, tuple[Any, ...], tuple[Any, ...]]]:
    for key, copy in copies:
        keys, values = iter(copy), iter(copy.values())
        while some := tuple(islice(keys, SLICE)):
            yield key, some, tuple(islice(values, SLICE))
