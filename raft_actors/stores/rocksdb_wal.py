"""RocksDB WAL: checks RocksDB's write-ahead log and manifest before RocksDB opens them.

RocksDB drops a record that a crash has torn. That is right, because the record was never
acknowledged; but RocksDB does not report it, and the operator should know. RocksDB also takes two
kinds of damage for something else, for which one flipped bit is enough: see `damage_in`. It finds
all other damage itself. The manifest, the list of all files, has the same format: without its last
records RocksDB would lose tables and the entries in them.

A file is a sequence of blocks of 32 KiB, and each block one of fragments (log_format.h of RocksDB):

    offset  0   4  checksum of type and payload, little-endian: see `masked_crc32c`
            4   2  bytes of the payload, little-endian
            6   1  type: a whole record, or its first, middle or last part; 0: nothing was written
            7   -  payload
"""

from pathlib import Path
from struct import Struct

from raft_actors.paths import open_regular

__all__ = ["damage_in", "is_torn"]

BLOCK_BYTES = 32 * 1024
PIECE_BYTES = 32 * BLOCK_BYTES
HEADER_BYTES = 7
NOTHING, LAST = 0, 4
UNFINISHED = {2, 3}  # a first or middle part: the rest must follow
SIZE_AND_TYPE = Struct("<HB").unpack_from
CHECKSUM = Struct("<I").unpack_from
MASK = 0xA282EAD8


def damage_in(database: Path) -> str:
    """Return the damage of logs and manifest that RocksDB would not notice; "" if there is none.

    At a fragment with the type of a recycled file RocksDB takes the rest of the file for an older
    use. It ignores this rest without an error; or it searches the next record for ever, and keeps
    the interpreter's lock. A fragment whose size leads beyond the end of the file looks like a torn
    record, and RocksDB drops it with everything after it. So does a file with other content, if its
    first bytes are taken for such a size. A named pipe in the place of a file is
    waited for by RocksDB, and the interpreter's lock is held meanwhile.
    """
    for path in sorted(database.glob("*")):
        if path.exists() and not (path.is_file() or path.is_dir()):
            return f"{path.name} is no regular file"
    for log in sorted([*database.glob("*.log"), *database.glob("MANIFEST-*")]):
        last = b""
        with open(log, "rb", opener=open_regular) as file:
            while piece := file.read(PIECE_BYTES):
                if has_strange_type(piece):
                    return f"{log.name} has a record of a type that was never written to it"
                last = piece
        if has_wrong_size(last[(len(last) - 1) // BLOCK_BYTES * BLOCK_BYTES :]):
            return f"{log.name} has a record of another size than was written to it"
    return ""


def is_torn(database: Path) -> bool:
    """Return whether the newest log file in the directory of a database ends within a record."""
    files = [file for file in database.glob("*.log") if file.stat().st_size]
    if not files:
        return False
    newest = max(files, key=lambda file: file.name)
    size = newest.stat().st_size
    with open(newest, "rb", opener=open_regular) as file:
        file.seek((size - 1) // BLOCK_BYTES * BLOCK_BYTES)
        return torn_in(file.read()) is not None


def has_strange_type(blocks: bytes) -> bool:
    """Return whether a fragment has a type that is never written: that of a recycled file, because
    these stores recycle none, or one that RocksDB does not know, as in a file with other content.
    Only the headers are read: 64 MiB with records of 100 bytes take 0.06 s.
    """
    for start in range(0, len(blocks), BLOCK_BYTES):
        at, end = start, min(start + BLOCK_BYTES, len(blocks)) - HEADER_BYTES
        while at <= end:
            size, kind = SIZE_AND_TYPE(blocks, at + 4)
            if kind > LAST:
                return True
            if kind == NOTHING and not size:
                break
            at += HEADER_BYTES + size
    return False


def torn_in(block: bytes) -> int | None:
    """Return the offset of the fragment whose rest is missing; None if nothing is torn.

    `block` is the last block of the file, which may be shorter than the others.
    """
    start, at, kind = 0, 0, LAST
    while at < len(block) and BLOCK_BYTES - at >= HEADER_BYTES:
        if len(block) - at < HEADER_BYTES:
            return at if any(block[at:]) else None
        size, kind = SIZE_AND_TYPE(block, at + 4)
        if kind == NOTHING and not size:
            return None
        start, at = at, at + HEADER_BYTES + size
    return start if at > len(block) or kind in UNFINISHED else None


def has_wrong_size(block: bytes) -> bool:
    """Tell whether the fragment that leads beyond the end of the file has a wrong size, and is not
    torn.

    If its size is wrong, then this fragment, or one that begins after it, ends at the end of the
    file and has a right checksum. After a crash no fragment does, except by a very rare chance.
    """
    torn = torn_in(block)
    if torn is None or len(block) - torn < HEADER_BYTES:
        return False
    rest = len(block) - torn - HEADER_BYTES
    if SIZE_AND_TYPE(block, torn + 4)[0] <= rest:
        return False  # the fragment is complete; the next part of its record is missing
    if has_right_checksum(block, torn):  # the checksum does not include the size
        return True
    for at in range(torn + HEADER_BYTES, len(block) - HEADER_BYTES):
        size, kind = SIZE_AND_TYPE(block, at + 4)
        if (
            at + HEADER_BYTES + size == len(block)
            and NOTHING < kind <= LAST
            and has_right_checksum(block, at)
        ):
            return True
    return False


def has_right_checksum(block: bytes, at: int) -> bool:
    """Check the fragment from `at` to the end of the block."""
    return bool(CHECKSUM(block, at)[0] == masked_crc32c(block[at + HEADER_BYTES - 1 :]))


def masked_crc32c(data: bytes) -> int:
    """Return RocksDB's form of the CRC-32C, which Python does not have. This takes 2 ms for a
    block, but is called only for fragments that look torn.
    """
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + MASK) & 0xFFFFFFFF  # crc32c.h of RocksDB


def table_of(polynomial: int) -> list[int]:
    table = []
    for crc in range(256):
        for _ in range(8):
            crc = crc >> 1 ^ (polynomial if crc & 1 else 0)
        table.append(crc)
    return table


TABLE = table_of(0x82F63B78)  # Castagnoli's, its bits in reverse
