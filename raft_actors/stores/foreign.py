"""Foreign stores: a log store that is made of another package's `LogDatabase`.

store.json has the name of the store as in Config: the same class with another name is another kind.
"""

import shutil
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, ClassVar

from raft_actors.config import LOG_STORE_GROUP
from raft_actors.errors import RaftError, StoreError
from raft_actors.paths import make_private
from raft_actors.stores.durable import STORE, DurableStore
from raft_actors.stores.files import OTHER, advice_on, sync_directory
from raft_actors.stores.log_store import LogDatabase

__all__ = ["foreign_kind"]

METHODS = ("get", "last", "entries", "write", "delete_through", "delete_all", "close")
CONTRACT = "LogDatabase in raft_actors/stores/log_store.py says what one has"


def foreign_kind(kind: str) -> type[DurableStore[Any]]:
    """Return the class of the stores with the name `kind` in Config. Raises StoreError if it can't
    be imported, or is no log store.
    """
    return store_class(kind, find_class(kind))


@cache
def store_class(name: str, brought: type[LogDatabase]) -> type[DurableStore[Any]]:
    class Store(ForeignStore):
        kind = name
        database_class = brought

    return Store


def find_class(kind: str) -> type[LogDatabase]:
    what = f'log_store="{kind}"'
    path = kind if ":" in kind else find_entry_point(kind, what)
    module, _, attributes = path.partition(":")
    try:
        found: Any = import_module(module)
        for attribute in attributes.split("."):
            found = getattr(found, attribute)
    except Exception as error:  # the code of an imported module may raise anything
        raise StoreError(f"{what}: {path} can't be imported: {described(error)}") from error
    missing = [name for name in ("open", *METHODS) if not callable(getattr(found, name, None))]
    if missing:
        raise StoreError(f"{what}: {path} is no log store, it lacks {listed(missing)}; {CONTRACT}")
    brought: type[LogDatabase] = found
    return brought


def find_entry_point(kind: str, what: str) -> str:
    paths = sorted({each.value for each in entry_points(group=LOG_STORE_GROUP, name=kind)})
    if not paths:
        raise StoreError(f"{what} is brought by no package that is installed here: install it")
    if len(paths) > 1:
        raise StoreError(
            f"{what} is brought by several packages, as {listed(paths)}: uninstall all but the one "
            "that the data was written with"
        )
    return paths[0]


class ForeignStore(DurableStore[LogDatabase]):
    database_class: ClassVar[type[LogDatabase]]

    def open_database(self, *, create: bool) -> LogDatabase:
        path = self.directory.database
        if create:
            make_private(path)
            sync_directory(self.path)
        elif not path.is_dir():
            raise self.damaged(f"{path.name} is missing")
        try:
            database = self.database_class.open(path, create=create)
        except (RaftError, OSError):
            raise
        except Exception as error:
            raise StoreError(
                f'{path} can\'t be opened by log_store="{self.kind}": {described(error)}'
            ) from error
        missing = [name for name in METHODS if not callable(getattr(database, name, None))]
        if missing:
            raise StoreError(
                f'log_store="{self.kind}" opened {path} as {database!r}, which lacks '
                f"{listed(missing)}; {CONTRACT}"
            )
        return database

    def close_database(self, database: LogDatabase) -> None:
        database.close()

    def remove_database(self) -> None:
        shutil.rmtree(self.directory.database)

    def find_last(self) -> int:
        with self.reading() as database:
            last: object = database.last()
        if type(last) is not int:
            raise self.given("the index of the last entry", last, "a whole number")
        return last

    def get(self, name: bytes) -> bytes | None:
        with self.reading() as database:
            record: object = database.get(name)
        if record is not None and type(record) is not bytes:
            raise self.given(f"the record {name!r}", record, "bytes or None")
        return record

    def write(self, records: Mapping[bytes, bytes], first: int, entries: Sequence[bytes]) -> None:
        with self.writing() as database:
            database.write(records, first, entries)

    def delete_through(self, records: Mapping[bytes, bytes], through: int) -> None:
        with self.writing() as database:
            database.delete_through(records, through)

    def delete_all(
        self, records: Mapping[bytes, bytes], first: int, entries: Sequence[bytes]
    ) -> None:
        with self.writing() as database:
            database.delete_all(records, first, entries)

    def slice(self, first: int, last: int) -> list[bytes]:
        with self.reading() as database:
            entries = list(database.entries(first, last))
        for entry in entries:
            if type(entry) is not bytes:
                raise self.given("an entry", entry, "bytes")
        if len(entries) != last - first + 1:
            raise self.missing(first, last)
        return entries

    def refuse_another(self) -> None:
        """Raise StoreCorrupt unless the database has this data directory's incarnation. Every
        foreign database got one when it was made, so a database without it is empty, or was made
        by another package."""
        if self.get(STORE) != self.claimed:
            name = self.directory.database.name
            raise self.damaged(f"{name} is not the database that was made for this directory")

    def complaint(self, error: BaseException) -> tuple[str, str]:
        """Return the error's text, and advice. If it is no error of the operating system, the
        reason may be the disk or a fault of the package.
        """
        advice = advice_on(error)
        if advice == OTHER and not isinstance(error, OSError):
            advice = (
                "if that does not come of the disk, it is a fault of the package that brings "
                f'log_store="{self.kind}": tell those who make it'
            )
        return described(error), advice

    def given(self, what: str, found: object, wanted: str) -> StoreError:
        return StoreError(
            f'{self.path}: log_store="{self.kind}" gave {type(found).__name__} as {what}, not '
            f"{wanted}; {CONTRACT}"
        )

    def is_damage(self, error: BaseException) -> bool:  # noqa: ARG002 - damage is StoreCorrupt
        return False


def described(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def listed(names: Sequence[str]) -> str:
    return ", ".join(names)
