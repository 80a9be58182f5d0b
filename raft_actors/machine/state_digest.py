"""State digest: a few bytes that are the same for equal states, to find replicas whose states
differ.

It is made of what `StateMachine.snapshot` gives, and of the sessions: in slices, as a snapshot is
copied (see `state_image`), and the larger part on another thread. The order of a dict does not
count, as for `==`, and neither does that of a set. It is the same after a restart from a snapshot,
in every process and on every host.

The replies in the sessions are left out, because replicas may differ in which replies they know
(see `Sessions.pass_over`).

    offset  0   1  FORMAT
            1   4  a checksum of the classes of the objects in the state, with their versions
            5  16  the digest

A dict has one number for each item, the CRC-32 of its bytes, and these numbers are added, and their
squares are added: so no item has to be sorted.
"""

import marshal
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from itertools import chain
from operator import mul
from struct import Struct
from typing import Any
from zlib import crc32

from raft_actors.encoding import Canonical, are_constant
from raft_actors.machine.sessions import Sessions
from raft_actors.machine.state_image import Frozen, FrozenItems, pieces_of
from raft_actors.machine.undo_dict import UndoDict

__all__ = ["DIGEST_BYTES", "FORMAT", "StateDigest"]

FORMAT = 2
"""Digests of different formats are not compared, nor are those of states whose objects are of other
versions of their classes. Raise it with every change of what is digested, or how: else replicas
that run different releases would seem to differ.
"""
HEAD = Struct(">BI")
DIGEST_BYTES = HEAD.size + 16
SUMS = Struct(">QQQ")
WORD = (1 << 64) - 1

Columns = tuple[Any, ...]


class Unordered:
    """The sum over items that have no order."""

    def __init__(self) -> None:
        self.count: int = 0
        self.sum: int = 0
        self.squares: int = 0

    def add(self, rows: list[bytes]) -> None:
        checksums = [*map(crc32, rows)]
        self.count += len(checksums)
        self.sum += sum(checksums)
        self.squares += sum(map(mul, checksums, checksums))

    def digest(self) -> bytes:
        return SUMS.pack(self.count, self.sum & WORD, self.squares & WORD)


class Ordered:
    """The hash over values in their order. Where the slices between them begin does not count."""

    def __init__(self) -> None:
        self.hash: blake2b = blake2b(digest_size=16)

    def add(self, rows: list[bytes]) -> None:
        self.hash.update(b"".join(rows))

    def digest(self) -> bytes:
        return self.hash.digest()


Sum = Unordered | Ordered


class StateDigest:
    """The digest of one state, while it is made. Nothing may change the state until `capture` has
    returned True.
    """

    def __init__(
        self, data: Any, sessions: Sessions, version: int, duties: Iterable[Any] = ()
    ) -> None:
        """`data` is what `snapshot` gave, `version` that of the machine, and `duties` what
        `Duties.stored` gave.
        """
        constant = type(data) is UndoDict and data.holds_constants
        if type(data) is UndoDict:  # reads may change its order meanwhile
            data = dict(data)
        kind, pieces = pieces_of(data)
        self.canonical: Canonical = Canonical()
        self.head: bytes = f"{kind} of version {version}".encode()
        self.sessions: Sum = Ordered()
        self.state: Sum = Unordered() if kind in ("dict", "set") else Ordered()
        self.kept: list[tuple[Sum, Columns | bytes]] = []
        self.deferred: Iterator[Columns] = iter(())
        rows: Iterator[Columns] = map(self.columns_of(data), pieces)
        if constant or isinstance(data, Frozen):
            self.deferred, rows = rows, iter(())
        self.coming: chain[tuple[Unordered | Ordered, Columns]] = chain(
            ((self.sessions, ((row,),)) for row in chain(sessions.compared(), duties)),
            ((self.state, each) for each in rows),
        )

    def capture(self, until: float, clock: Callable[[], float]) -> bool:
        """Take a part of the state until `clock` shows `until`; return whether all parts are taken.
        Parts that can't change are only noted.
        """
        for to, columns in self.coming:
            if all(map(are_constant, columns)):
                self.kept.append((to, columns))
            else:
                try:
                    self.kept.append((to, marshal.dumps(columns)))  # a copy, quicker than any other
                except ValueError:  # there are dates in it, for instance
                    to.add(self.canonical.rows(*columns))
            if clock() >= until:
                return False
        return True

    def slices(self) -> Iterator[None]:
        """Do the rest of the work, slice by slice. May run on any thread."""
        for to, kept in self.kept:
            columns = marshal.loads(kept) if type(kept) is bytes else kept  # noqa: S302 - its own
            to.add(self.canonical.rows(*columns))
            yield
        for columns in self.deferred:
            self.state.add(self.canonical.rows(*columns))
            yield

    def digest(self) -> bytes:
        """Return the digest. To be called at the end of `slices`."""
        parts = (self.head, self.sessions.digest(), self.state.digest())
        head = HEAD.pack(FORMAT, self.canonical.versions())
        return head + blake2b(b"\0".join(parts), digest_size=16).digest()

    def columns_of(self, data: Any) -> Callable[[Any], Columns]:
        """Return the function that makes columns of the pieces of `data`, see `Canonical.rows`."""
        if type(data) is dict:
            return tuple
        if type(data) in (list, set):
            return lambda piece: (piece,)
        if type(data) is FrozenItems:
            return lambda piece: (piece[0], tuple(map(self.canonical.again, piece[1])))
        return lambda piece: ((piece,),)
