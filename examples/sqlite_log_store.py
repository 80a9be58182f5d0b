"""A log store of your own: `python -m examples.sqlite_log_store`. See docs/log_stores.md.

A peer writes, stops, starts again, and has it all.
"""

import sqlite3
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from raft_actors import Cluster, Raft
from raft_actors.kv_store import KVStore


class SqliteLog:
    """Two tables: records by name, entries by index. SQLite makes a save durable, whole or not."""

    connection: sqlite3.Connection

    @classmethod
    def open(cls, path: Path, *, create: bool) -> Self:
        file = path / "log.sqlite"
        if not create and not file.exists():
            raise FileNotFoundError(f"{file} is missing")
        store = cls()
        store.connection = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        store.connection.execute("PRAGMA synchronous=FULL")
        if create:
            for table in ("record (name BLOB PRIMARY KEY", "entry (place INTEGER PRIMARY KEY"):
                store.connection.execute(f"CREATE TABLE IF NOT EXISTS {table}, value)")
        return store

    def get(self, name: bytes) -> Any:
        found = self.connection.execute("SELECT value FROM record WHERE name=?", (name,)).fetchone()
        return found and found[0]

    def last(self) -> int:
        return self.connection.execute("SELECT max(place) FROM entry").fetchone()[0] or 0

    def entries(self, first: int, last: int) -> list[bytes]:
        query = "SELECT value FROM entry WHERE place BETWEEN ? AND ? ORDER BY place"
        return [value for (value,) in self.connection.execute(query, (first, last))]

    def write(self, records: Mapping[bytes, bytes], first: int, entries: Sequence[bytes]) -> None:
        self.change(records, "place >= ?", first or None, first, entries)

    def delete_through(self, records: Mapping[bytes, bytes], through: int) -> None:
        self.change(records, "place <= ?", through, 0, ())

    def delete_all(self, records: Mapping[bytes, bytes], first: int, entries: Any) -> None:
        self.change(records, "place >= ?", 0, first, entries)

    def close(self) -> None:
        self.connection.close()

    def change(self, records: Any, which: str, bound: int | None, first: int, new: Any) -> None:
        with self.connection as connection:  # one transaction
            connection.execute("BEGIN")
            connection.executemany("REPLACE INTO record VALUES (?, ?)", records.items())
            if bound is not None:
                connection.execute(f"DELETE FROM entry WHERE {which}", (bound,))  # noqa: S608
            connection.executemany("INSERT INTO entry VALUES (?, ?)", list(enumerate(new, first)))


def main() -> None:
    store = "examples.sqlite_log_store:SqliteLog"
    with tempfile.TemporaryDirectory() as directory:
        for _ in range(2):  # the second time it has what was written the first time
            Raft.start_peer(KVStore, name="kv", log_store=store, data_dir=directory)
            Raft.set_configuration("kv", ["kv"])
            with Cluster(["kv"]) as cluster:
                print("the answer:", cluster.read(("get", "answer")))
                cluster.write(("set", "answer", 42))
            Raft.stop_peer("kv")


if __name__ == "__main__":
    main()
