"""State image: a state taken in at one point of the log, piece by piece, and put together again.

While it is being taken in, nothing is applied; heartbeats and new entries go on between slices. A
piece that later commands can't change is only remembered, and encoded elsewhere; any other one is
encoded at once. How long commands wait for their answers meanwhile: docs/snapshots.md.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Any

from raft_actors import encoding
from raft_actors.encoding import ATOMS
from raft_actors.machine.sessions import Sessions
from raft_actors.machine.undo_dict import UndoDict, are_constant
from raft_actors.stores.snapshots import PIECE, SESSION

__all__ = ["Frozen", "StateImage", "opened", "pieces_of", "put_together"]

SLICE = 1_000
"""Items in one piece: encoding it keeps other threads waiting for a fraction of a millisecond."""

DICTS = {"dict", "undo_dict"}


class Frozen:
    """Pieces of a state that do not change when the state changes.

    `StateMachine.snapshot` may return them. Another thread then reads them while commands are
    applied; other results of `snapshot` are read while no command runs.

    pieces   an iterable of terms, read once

    >>> from raft_actors import Frozen
    >>> from raft_actors.kv_store import KVStore
    >>> class BigStore(KVStore):
    ...     def snapshot(self, state):
    ...         return Frozen(tuple(state.items()))
    ...     def restore(self, data):
    ...         return dict(data)
    """

    def __init__(self, pieces: Iterable[Any]) -> None:
        if not isinstance(pieces, Iterable):
            raise TypeError(f"Frozen takes the pieces of a state, an iterable, not {pieces!r}")
        self.pieces = iter(pieces)


class StateImage:
    """One state, on its way into a snapshot.

    kind  how the pieces make a state again; see `put_together`
    """

    def __init__(self, data: Any, sessions: Iterable[Any]) -> None:
        self.kind, pieces = pieces_of(data)
        self.deferred: Iterable[Any] = ()
        if type(data) is Frozen:
            self.deferred, pieces = pieces, ()
        elif type(data) is UndoDict and data.holds_constants:
            self.deferred, pieces = slices_of_dict(dict(data)), ()
        self.coming = chain(
            ((SESSION, piece) for piece in sessions), ((PIECE, piece) for piece in pieces)
        )
        self.captured: list[bytes | tuple[bytes, Any]] = []

    def capture(self, until: float, clock: Callable[[], float]) -> bool:
        """Take pieces in until `clock` says `until`; return whether those were the last."""
        captured = self.captured
        for kind, piece in self.coming:
            constant = kind == SESSION or is_constant(self.kind, piece)
            captured.append((kind, piece) if constant else kind + encoded(piece))
            if clock() >= until:
                return False
        return True

    def payloads(self) -> Iterator[bytes]:
        """Yield what goes into the blocks of a snapshot, on any thread."""
        for item in self.captured:
            yield item if isinstance(item, bytes) else item[0] + encoded(item[1])
        for piece in self.deferred:
            yield PIECE + encoded(piece)


def pieces_of(data: Any) -> tuple[str, Iterable[Any]]:
    """Return the kind of what `StateMachine.snapshot` gave, and its pieces."""
    kind = type(data)
    if kind is dict or kind is UndoDict:
        return "dict" if kind is dict else "undo_dict", slices_of_dict(data)
    if kind is list or kind is set:
        return kind.__name__, slices(data)
    if kind is Frozen:
        return "pieces", data.pieces
    if isinstance(data, Iterator):
        return "pieces", data
    return "term", (data,)


def slices_of_dict(data: dict[Any, Any]) -> Iterator[Any]:
    keys, values = iter(data), iter(data.values())
    while some := tuple(islice(keys, SLICE)):
        yield some, tuple(islice(values, SLICE))


def slices(data: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    rest = iter(data)
    while some := tuple(islice(rest, SLICE)):
        yield some


def is_constant(kind: str, piece: Any) -> bool:
    """Tell whether a piece stays what it is. Keys do: what can be hashed can't change."""
    if kind in DICTS:
        return are_constant(piece[1])
    return are_constant(piece) if type(piece) is tuple else type(piece) in ATOMS


def encoded(piece: Any) -> bytes:
    return encoding.dumps_stored(piece)


def put_together(kind: str, pieces: Iterator[Any]) -> Any:
    """Return what `StateMachine.restore` gets. Raises ValueError for a kind unknown here."""
    match kind:
        case "dict" | "undo_dict":
            state: dict[Any, Any] = {}
            for keys, values in pieces:
                state.update(zip(keys, values, strict=True))
            return state if kind == "dict" else UndoDict(state)
        case "list":
            return list(chain.from_iterable(pieces))
        case "set":
            return set(chain.from_iterable(pieces))
        case "pieces":
            return pieces
        case "term":
            return next(pieces)
        case _:
            raise ValueError(f"a snapshot of kind {kind!r}, which this version does not know")


def opened(
    stream: Iterator[tuple[bytes, Any]],
) -> tuple[Sessions, Iterator[tuple[bytes, Any]]]:
    """Read the sessions off the front of a snapshot; return them, and the rest."""
    sessions, stored = Sessions(), []
    rest = stream
    for kind, term in stream:
        if kind != SESSION:
            rest = chain([(kind, term)], stream)
            break
        stored.append(term)
    sessions.restore(stored)
    return sessions, rest
