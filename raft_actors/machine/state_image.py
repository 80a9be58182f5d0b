"""State image: a copy of the state at one index of the log, made piece by piece, and its way back
into a state.

While the copy is made, nothing is applied; heartbeats and new entries go on between the slices. A
piece that later commands can't change is not copied, but kept, and encoded on another thread. Every
other piece is encoded at once. docs/snapshots.md says how long commands wait meanwhile.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Any

from raft_actors import encoding
from raft_actors.encoding import ATOMS, are_constant
from raft_actors.machine.duties import Duties
from raft_actors.machine.sessions import Sessions
from raft_actors.machine.undo_dict import UndoDict
from raft_actors.stores.snapshots import DUTY, PIECE, SESSION

__all__ = ["Frozen", "FrozenItems", "StateImage", "opened", "pieces_of", "put_together"]

SLICE = 1_000
"""Items in one piece. Encoding a piece stops other threads for a fraction of a millisecond."""

DICTS = {"dict", "undo_dict"}


class Frozen:
    """Pieces of a state that do not change when the state changes.

    `StateMachine.snapshot` may return a Frozen. Another thread then reads its pieces while commands
    are applied. All other results of `snapshot` are read while no command runs.

    pieces   an iterable of values that can be encoded; it is read once

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
        self.pieces: Iterator[Any] = iter(pieces)


class FrozenItems(Frozen):
    """Pieces (keys, values) of a state on disk. The values are encoded."""


class StateImage:
    """The copy of one state for a snapshot.

    kind  how the pieces are put together again, see `put_together`
    """

    def __init__(self, data: Any, sessions: Iterable[Any], duties: Iterable[Any] = ()) -> None:
        self.kind: str
        self.kind, pieces = pieces_of(data)
        self.deferred: Iterable[Any] = ()
        if isinstance(data, Frozen):
            self.deferred, pieces = pieces, ()
        elif type(data) is UndoDict and data.holds_constants:
            self.deferred, pieces = slices_of_dict(dict(data)), ()
        self.coming: Iterator[tuple[bytes, Any]] = chain(
            ((SESSION, piece) for piece in sessions),
            ((DUTY, piece) for piece in duties),
            ((PIECE, piece) for piece in pieces),
        )
        self.captured: list[bytes | tuple[bytes, Any]] = []

    def capture(self, until: float, clock: Callable[[], float]) -> bool:
        """Copy pieces until `clock` shows `until`; return whether all pieces are copied."""
        captured = self.captured
        for kind, piece in self.coming:
            constant = kind != PIECE or is_constant(self.kind, piece)
            captured.append((kind, piece) if constant else kind + encoded(piece))
            if clock() >= until:
                return False
        return True

    def payloads(self) -> Iterator[bytes]:
        """Yield the content of each block of the snapshot. May run on any thread."""
        for item in self.captured:
            yield item if isinstance(item, bytes) else item[0] + encoded(item[1])
        for piece in self.deferred:
            yield PIECE + encoded(piece)


def pieces_of(data: Any) -> tuple[str, Iterable[Any]]:
    """Return the kind of the result of `StateMachine.snapshot`, and its pieces."""
    kind = type(data)
    if kind is dict or kind is UndoDict:
        return "dict" if kind is dict else "undo_dict", slices_of_dict(data)
    if kind is list or kind is set:
        return kind.__name__, slices(data)
    if isinstance(data, Frozen):
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
    """Return whether a piece can't change. Keys of a dict can't, because they can be hashed."""
    if kind in DICTS:
        return are_constant(piece[1])
    return are_constant(piece) if type(piece) is tuple else type(piece) in ATOMS


def encoded(piece: Any) -> bytes:
    return encoding.dumps_stored(piece)


def put_together(kind: str, pieces: Iterator[Any]) -> Any:
    """Return the argument for `StateMachine.restore`. Raises ValueError for an unknown kind."""
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
) -> tuple[Sessions, Duties, Iterator[tuple[bytes, Any]]]:
    """Read the sessions and duties, with which a snapshot begins; return them, and the rest of
    `stream`.
    """
    sessions, duties = Sessions(), Duties()
    stored: dict[bytes, list[Any]] = {SESSION: [], DUTY: []}
    rest = stream
    for kind, term in stream:
        if kind not in stored:
            rest = chain([(kind, term)], stream)
            break
        stored[kind].append(term)
    sessions.restore(stored[SESSION])
    duties.restore(stored[DUTY])
    return sessions, duties, rest
