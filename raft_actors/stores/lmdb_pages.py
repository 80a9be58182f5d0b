"""LMDB pages: checks an LMDB file before LMDB maps it, because LMDB trusts the mapped file.

The first two pages are alike. Each commit rewrites the older one of them; the newer one says where
all other pages are. They have no checksums. A damaged number in them could undo the last save, or
make LMDB read beyond the end of the file, which would end the process.

The layout is that of the data format 1 of LMDB 0.9 (struct MDB_meta in its mdb.c), with 8-byte
words in the byte order of the host.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import BinaryIO

from lmdb.verify import VerifyError, verify

from raft_actors.paths import open_regular

__all__ = ["damage_in", "problems_of"]

MAGIC, VERSION = 0xBEEFC0DE, 1
PAGE_BYTES = (4096, 8192, 16384, 32768, 65536)

HEADER = Struct("=QHHHH")  # page number, padding, flags, lower and upper bound of the free room
META = Struct("=IIQQ" + 2 * "IHHQQQQQ" + "QQ")
NODE = Struct(
    "=HHHH"
)  # of a leaf: size, flags, size of the key; of a branch: page, size of the key
LEAF = 2
NO_PAGE = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Meta:
    """The content of one of the first two pages."""

    known: bool
    page_bytes: int
    free_depth: int
    free_root: int
    main_flags: int
    last_page: int
    transaction: int

    @classmethod
    def of(cls, page: bytes) -> "Meta":
        fields = META.unpack_from(page, HEADER.size)
        return cls(
            known=fields[:2] == (MAGIC, VERSION),
            page_bytes=fields[4],  # LMDB keeps it in the record of the free pages
            free_depth=fields[6],
            free_root=fields[11],
            main_flags=fields[13],
            last_page=fields[20],
            transaction=fields[21],
        )


def damage_in(path: Path) -> str:
    """Return what is wrong with the first pages of the file, or with its length; "" if nothing is.

    A sound file may be shorter than its number of pages, because free pages at the end need never
    have been written. Such a file is read as a whole, once, to find out whether it was cut off.
    """
    size = path.stat().st_size
    with open(path, "rb", opener=open_regular) as file:
        first = file.read(HEADER.size + META.size)
        if len(first) < HEADER.size + META.size:
            return f"it has {size} bytes"
        page_bytes = Meta.of(first).page_bytes
        if page_bytes not in PAGE_BYTES:
            return "its first page is not LMDB's"
        file.seek(page_bytes)
        second = file.read(len(first))
        if len(second) < len(first):
            return f"it has {size} bytes"
        metas = Meta.of(first), Meta.of(second)
        if not all(meta.known and meta.page_bytes == page_bytes for meta in metas):
            return "its first pages are not those of LMDB's data format 1"
        freed = [last_freeing(file, meta) for meta in metas]
    even, odd = metas[0].transaction, metas[1].transaction
    if (even, odd) != (0, 0) and (even % 2, odd % 2, abs(even - odd)) != (0, 1, 1):
        return (
            f"its first pages are of transactions {even} and {odd}, which can't follow each other"
        )
    for meta, transaction in zip(metas, freed, strict=True):
        if transaction != (meta.transaction if meta.transaction > 1 else 0):
            return f"a first page is of transaction {meta.transaction}, its pages are not"
    newest = max(metas, key=lambda meta: meta.transaction)
    if newest.main_flags:
        return "its first pages tell of another kind of database"
    if size < (newest.last_page + 1) * page_bytes and (problems := problems_of(path)):
        return f"it was cut off after {size} bytes: {problems[0]}"
    return ""


def last_freeing(file: BinaryIO, meta: Meta) -> int:
    """Return the last transaction in the record of free pages to which `meta` refers.

    In a sound file that is the transaction of `meta` itself, except for the first transaction: each
    later one replaces pages of the one before, and records these as free. Returns 0 if there is no
    record, -1 if it can't be read.
    """
    if meta.free_root == NO_PAGE:
        return 0
    number = meta.free_root
    for _ in range(meta.free_depth):
        if number > meta.last_page:
            break
        file.seek(number * meta.page_bytes)
        page = file.read(meta.page_bytes)
        if len(page) < meta.page_bytes:
            break
        own_number, _, flags, lower, _ = HEADER.unpack_from(page)
        if own_number != number or not HEADER.size < lower <= meta.page_bytes:
            break
        at = int.from_bytes(page[lower - 2 : lower], sys.byteorder)  # of the last node
        node = page[at : at + NODE.size + 8]
        if len(node) < NODE.size + 8:
            break
        if flags & LEAF:
            return int.from_bytes(node[NODE.size :], sys.byteorder)
        low, middle, high, _ = NODE.unpack_from(node)
        number = low | middle << 16 | high << 32
    return -1


def problems_of(path: Path) -> list[str]:
    """Read every page of the file, without LMDB, and return the damages."""
    try:
        return [str(each) for each in verify(path, subdir=False)]  # type: ignore[no-untyped-call]
    except VerifyError as error:
        return [str(error)]
