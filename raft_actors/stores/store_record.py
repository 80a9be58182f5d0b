"""Store record: the file `store.json` of a data directory.

It has the format and the kind of the store, its owner, its incarnation, and a CRC-32 of these.
"""

import json
import os
from pathlib import Path
from typing import Any
from zlib import crc32

from raft_actors.config import is_log_store
from raft_actors.errors import REJOIN, StoreCorrupt
from raft_actors.paths import open_private, read_regular

__all__ = ["FORMAT", "MAGIC", "has_a_log", "kind_of", "read_record", "write_record"]

MAGIC = "raft_actors store"
FORMAT = 3  # 1: entries without a time; 2: without checksum and extensions
BEFORE_CHECKSUMS = {"what", "format", "kind", "owner", "incarnation"}


def kind_of(path: Path) -> str:
    """Return the kind of the store in the data directory `path`.

    Raises StoreCorrupt for every other directory, and for an unknown format or kind.
    """
    try:
        record = read_record(path)
    except (FileNotFoundError, NotADirectoryError):
        if has_a_log(path):
            raise StoreCorrupt(f"{path / 'store.json'} is missing; {REJOIN}") from None
        known = [found.parent for found in sorted(path.glob("*/store.json"))[:3]]
        hint = f": do you mean {known[0]}?" if known else ""
        raise StoreCorrupt(f"{path} is no data directory of a peer{hint}") from None
    kind = record.get("kind")
    if kind == "memory" or not is_log_store(kind):
        raise StoreCorrupt(
            f"{path} holds a store of the kind {kind!r}, which neither this version of raft_actors "
            "nor a package that is installed here knows: use the program that wrote it"
        )
    return str(kind)


def has_a_log(path: Path) -> bool:
    """Return whether a directory without `store.json` once had this file."""
    return (path / "lock").is_file() and any(path.glob("log.*"))


def read_record(path: Path) -> dict[str, Any]:
    """Return the content of `store.json` in the directory `path`, without its checksum.

    Raises OSError if there is no such file, StoreCorrupt if it is not what `write_record` wrote, or
    has another format.
    """
    file = path / "store.json"
    try:
        record = json.loads(read_regular(file))
    except ValueError:
        record = None
    if not isinstance(record, dict) or record.get("what") != MAGIC:
        raise StoreCorrupt(f"{file} is not what raft_actors writes; {REJOIN}")
    checksum = record.pop("checksum", None)
    if checksum is not None and checksum != checksum_of(record):
        raise damaged(file)
    if record.get("format") != FORMAT:
        raise StoreCorrupt(
            f"{path} has format {record.get('format')!r}, and this version of raft_actors knows "
            f"format {FORMAT}: use the version that wrote it"
        )
    if checksum is None and {*record} != BEFORE_CHECKSUMS:
        raise damaged(file)
    return record


def damaged(file: Path) -> StoreCorrupt:
    return StoreCorrupt(f"{file} is damaged: it is not what was written to it; {REJOIN}")


def checksum_of(record: dict[str, Any]) -> int:
    return crc32(json.dumps(record).encode())


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Replace the file by `record`, all or nothing. Durable after the directory is synced."""
    draft = path.with_name(f"{path.name}.draft")
    with open_private(draft, "w") as file:
        file.write(json.dumps(record | {"checksum": checksum_of(record)}) + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
