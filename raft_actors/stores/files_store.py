"""FilesStore: a peer's ballot and log in files of their own, durable when `save` returns.

It needs no package. `log.files` is a directory of segments: see `segments` for their order, and
`segment_records` for their bytes. stores/data_directory.py describes the files beside it, and
docs/decisions/files_log.md has the reasons.
"""

import logging
import shutil
from collections.abc import Sequence

from raft_actors.stores.durable import BALLOT, BASE, INCARNATION, PAIR, DurableStore
from raft_actors.stores.segment_records import Damage
from raft_actors.stores.segments import Segments

__all__ = ["FilesStore"]

logger: logging.Logger = logging.getLogger("raft_actors.stores")


class FilesStore(DurableStore[Segments]):
    """A save appends one record to the newest segment, and syncs it once. The sync releases the
    interpreter's lock.
    """

    kind = "files"

    def open_database(self, *, create: bool) -> Segments:
        path = self.directory.database
        try:
            if create:
                database = Segments.made(path, self.directory.incarnation)
            else:
                database = Segments.opened(path, None)
        except Damage as error:
            raise self.damaged(str(error)) from error
        self.had_torn_tail: bool = database.had_torn_tail
        if self.had_torn_tail:
            logger.warning("%s ended within a save, which is cut off: if a crash has torn it, "
                           "it was never acknowledged", self.path)  # fmt: skip
        return database

    def close_database(self, database: Segments) -> None:
        database.close(finish=not self.failure)

    def abandon_database(self, database: Segments) -> None:
        database.close()

    def remove_database(self) -> None:
        shutil.rmtree(self.directory.database)

    def find_last(self) -> int:
        with self.reading() as database:
            return database.last

    def get(self, name: bytes) -> bytes | None:
        with self.reading() as database:
            if name == BALLOT:
                return database.ballot
            if name == BASE:
                return PAIR.pack(*database.base)
            return INCARNATION.pack(database.incarnation)

    def claim(self) -> None:
        """Do nothing: every record has the incarnation."""

    def write(self, records: dict[bytes, bytes], first: int, entries: list[bytes]) -> None:
        with self.writing() as database:
            database.save(records.get(BALLOT), first, entries)

    def delete_through(self, records: dict[bytes, bytes], through: int) -> None:  # noqa: ARG002
        """Note the base. The next save writes it, and then removes segments."""
        with self.writing() as database:
            index, term = PAIR.unpack(records[BASE])
            database.base = index, term

    def delete_all(self, records: dict[bytes, bytes], first: int, entries: Sequence[bytes]) -> None:
        with self.writing() as database:
            _, term = PAIR.unpack(records[BASE])
            database.restart(records[BALLOT], (first - 1, term), entries)

    def slice(self, first: int, last: int) -> list[bytes]:
        with self.reading() as database:
            return database.entries(first, last)

    def is_damage(self, error: BaseException) -> bool:
        return isinstance(error, Damage)
