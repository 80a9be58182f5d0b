"""Segment records: the bytes of a segment, the append-only file of a `FilesStore`.

A segment is a sequence of records, and zeros after them. Numbers are big-endian:

    offset  0   4  MAGIC
            4   4  CRC-32 of the bytes 8 to 32, started with `seed_of` segment and position
            8   4  CRC-32 of the bytes from 32 to the end, started with the one before
           12   4  bytes of the record, a multiple of 32
           16   8  the incarnation of the store
           24   4  bytes of the file that were on the disk before this record was written
           28   1  kind: HEAD, SAVE, RESTART or INDEX
           29   1  1 if the body is escaped, otherwise 0
           30   2  bytes of padding
           32   -  body
            -   -  padding, 0xff
            -   4  bytes of the record, again
            -   4  END

A record is written by one call, and synced before the next one is. So a crash can tear only the
last record: some of its sectors are on the disk, and the others are still zeros. Every sector of a
whole record has many bytes that are not zero: the first one has the header, which is never divided
between two sectors; the last one has the end of the record; and in the body a run of ZEROS is
escaped. So a torn record and a damaged one can be distinguished.
"""

from dataclasses import dataclass
from struct import Struct
from zlib import crc32

__all__ = [
    "HEAD", "INDEX", "RESTART", "SAVE", "Damage", "Record", "record_at", "record_of", "scanned",
    "size_at_end",
]  # fmt: skip

MAGIC = b"\xa7seg"
END = b"\xe5end"
ALIGNED = 32  # a header has as many bytes, so that it lies in one sector
SECTOR = 512
HEADER = Struct(">4sIIIQIBBH")
CHECKED = Struct(">IIQIBBH")  # the part of the header that its own checksum is of
PADDING = b"\xff" * ALIGNED
SIZE = Struct(">I")
TAIL_BYTES = SIZE.size + len(END)
SEED = Struct(">QQ")

ZEROS = bytes(32)
ESCAPE = b"\xd6\x9bzero\x8e"  # no end of it is also a beginning of it
ESCAPED_ZEROS = ESCAPE + b"\2"
ESCAPED_ESCAPE = ESCAPE + b"\1"

HEAD, SAVE, RESTART, INDEX = 1, 2, 3, 4


class Damage(Exception):
    """A segment is not what was written to it."""


@dataclass(slots=True)
class Record:
    """at    its position in the segment
    size  its bytes, with header and padding
    reach  the bytes of the file that were on the disk before it was written
    """

    kind: int
    at: int
    size: int
    incarnation: int
    reach: int
    body: bytes


def record_of(kind: int, body: bytes, number: int, at: int, incarnation: int, reach: int) -> bytes:
    """Return the bytes of a record that is written to segment `number` at position `at`."""
    is_escaped = ZEROS in body
    if is_escaped:
        body = body.replace(ESCAPE, ESCAPED_ESCAPE).replace(ZEROS, ESCAPED_ZEROS)
    padding = -(len(body) + TAIL_BYTES) % ALIGNED
    size = ALIGNED + len(body) + padding + TAIL_BYTES
    tail = PADDING[:padding] + SIZE.pack(size) + END
    seed = seed_of(number, at)
    checksum = crc32(tail, crc32(body, seed))
    header = CHECKED.pack(checksum, size, incarnation, reach, kind, is_escaped, padding)
    return b"".join((MAGIC, SIZE.pack(crc32(header, seed)), header, body, tail))


def record_at(data: bytes, at: int, number: int, start: int = 0) -> Record | None:
    """Return the record at the position `at` of segment `number`; None if there is no whole one.

    start  the position at which `data` begins
    """
    begin = at - start
    header = header_at(data, at, number, start)
    if header is None:
        return None
    _, _, checksum, size, incarnation, reach, kind, is_escaped, padding = header
    end = begin + size
    if end > len(data):
        return None
    content = data[begin + ALIGNED : end]
    if crc32(content, seed_of(number, at)) != checksum or content[-len(END) :] != END:
        return None
    body = content[: len(content) - TAIL_BYTES - padding]
    if is_escaped:
        body = body.replace(ESCAPED_ZEROS, ZEROS).replace(ESCAPED_ESCAPE, ESCAPE)
    return Record(kind, at, size, incarnation, reach, body)


def scanned(data: bytes, number: int) -> tuple[list[Record], bool]:
    """Return the records of a segment, and whether a torn one follows them.

    Raises Damage, with a text that says where.
    """
    records: list[Record] = []
    at = 0
    while (record := record_at(data, at, number)) is not None:
        records.append(record)
        at += record.size
    torn = is_torn(data, at, number)
    is_closed = bool(records) and records[-1].kind == INDEX
    if is_closed and torn:
        raise Damage(f"byte {at}: something was written after its end")
    reach = max((record.reach for record in records), default=0)
    if reach > len(data) and not is_closed:
        raise Damage(f"it was cut off after {len(data)} bytes: it had {reach}")
    return records, torn


def size_at_end(data: bytes) -> int:
    """Return the size of the record that ends at the end of `data`, 0 if none does."""
    return SIZE.unpack_from(data, len(data) - TAIL_BYTES)[0] if data[-len(END) :] == END else 0


def is_torn(data: bytes, at: int, number: int) -> bool:
    """Return whether a crash has torn a record at the position `at`, where no whole one is. False:
    nothing was written there. Raises Damage in all other cases.
    """
    end = len(data.rstrip(b"\0"))
    if end <= at:
        return False
    found = data.find(MAGIC, at + 1)
    while found >= 0:
        if found % ALIGNED == 0 and header_at(data, found, number) is not None:
            raise Damage(f"byte {at}: a record is not what was written, and later ones are")
        found = data.find(MAGIC, found + 1)
    header = header_at(data, at, number)
    if header is None:
        if len(data) < at + ALIGNED or not any(data[at : at - at % SECTOR + SECTOR]):
            return True
    else:
        stop = at + header[3]
        if header[5] > len(data):
            raise Damage(f"it was cut off after {len(data)} bytes: it had {header[5]}")
        if end <= stop and (
            len(data) < stop
            or not any(data[stop - len(END) : stop])
            or lacks_sector(data, at, stop)
        ):
            return True
    raise Damage(f"byte {at}: a record is not what was written")


def lacks_sector(data: bytes, at: int, stop: int) -> bool:
    starts = [at, *range(at - at % SECTOR + SECTOR, stop, SECTOR)]
    return any(
        not any(data[start : min(stop, start - start % SECTOR + SECTOR)]) for start in starts
    )


def header_at(
    data: bytes, at: int, number: int, start: int = 0
) -> tuple[bytes, int, int, int, int, int, int, int, int] | None:
    """Return the fields of the header at the position `at`; None if there is no right one."""
    begin = at - start
    header = data[begin : begin + ALIGNED]
    if len(header) < ALIGNED or header[:4] != MAGIC:
        return None
    fields = HEADER.unpack(header)
    if crc32(header[8:], seed_of(number, at)) != fields[1] or fields[3] < 2 * ALIGNED:
        return None
    return fields


def seed_of(number: int, at: int) -> int:
    """Return the start of the checksums of a record, so that one at another place is refused."""
    return crc32(SEED.pack(number, at))
