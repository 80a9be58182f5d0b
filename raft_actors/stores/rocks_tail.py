"""Rocks_tail: whether RocksDB's write-ahead log ends in a record that a crash has torn.

RocksDB drops such a record when it opens, which is right: it was never acknowledged. But it says
nothing, and whoever runs the machine should hear of it.

The file is a row of blocks of 32 KiB, each a row of fragments (log_format.h of RocksDB):

    offset  0   4  checksum
            4   2  bytes of the payload, little-endian
            6   1  type: a whole record, or its first, middle or last part; 0 where nothing is
"""

from pathlib import Path

__all__ = ["is_torn"]

BLOCK_BYTES = 32 * 1024
HEADER_BYTES = 7
LONG_HEADER_BYTES = 11  # of types above LAST: with the number of the file, which may be reused
NOTHING, LAST = 0, 4
UNFINISHED = {2, 3, 6, 7}  # a first or middle part: the rest must follow


def is_torn(database: Path) -> bool:
    """Tell whether the newest log file in the directory of a database ends within a record."""
    files = [file for file in database.glob("*.log") if file.stat().st_size]
    if not files:
        return False
    newest = max(files, key=lambda file: file.name)
    size = newest.stat().st_size
    with newest.open("rb") as file:
        file.seek((size - 1) // BLOCK_BYTES * BLOCK_BYTES)
        return ends_within_a_record(file.read())


def ends_within_a_record(block: bytes) -> bool:
    """The block is the last of the file, and may be shorter than others."""
    at, kind = 0, LAST
    while at < len(block) and BLOCK_BYTES - at >= HEADER_BYTES:
        if len(block) - at < HEADER_BYTES:
            return any(block[at:])
        size, kind = int.from_bytes(block[at + 4 : at + 6], "little"), block[at + 6]
        if kind == NOTHING and not size:
            return False
        at += (HEADER_BYTES if kind <= LAST else LONG_HEADER_BYTES) + size
    return at > len(block) or kind in UNFINISHED
