"""Files that are rows of blocks: how much of one is read, and what is no block."""

import pytest

from raft_actors.errors import StoreCorrupt
from raft_actors.stores.blocks import blocks, framed
from raft_actors.stores.files import MemoryFiles

MIB = 1 << 20


class CountingFiles(MemoryFiles):
    def __init__(self, content):
        super().__init__()
        self.write("file", 0, content)
        self.reads = []

    def read(self, name, offset, size):
        data = super().read(name, offset, size)
        self.reads.append(len(data))
        return data


def read(content):
    files = CountingFiles(content)
    return list(blocks(files, "file", "remedy")), files.reads


@pytest.mark.parametrize("sizes", [[1], [5, 1, 4_080, 3], [10] * 5_000, [4_096 - 16, 3 * MIB, 7]])
def test_what_was_written_is_read(sizes):
    payloads = [bytes([1 + index % 251]) * size for index, size in enumerate(sizes)]
    assert read(b"".join(map(framed, payloads)))[0] == payloads


def test_a_large_block_is_read_in_one_go():
    """Planted: a mebibyte at a time is put to what was there, and all of it copied."""
    content = framed(b"h") + framed(bytes(40 * MIB)) + framed(b"e")
    _, reads = read(content)
    assert len(reads) <= 3
    assert sum(reads) == len(content)


def test_of_a_large_file_only_the_header_is_read_by_who_wants_no_more():
    files = CountingFiles(framed(b"header") + framed(bytes(3 * MIB)))
    assert next(blocks(files, "file", "remedy")) == b"header"
    assert sum(files.reads) <= 4_096


@pytest.mark.parametrize(
    "content",
    [
        (3 * MIB).to_bytes(4, "big") + bytes(4 * MIB),
        (4_000_000_000).to_bytes(4, "big") + bytes(4 * MIB),
        framed(b"header") + (4_000_000_000).to_bytes(4, "big") + bytes(4 * MIB),
    ],
)
def test_a_length_that_can_not_be_is_not_believed(content):
    """Planted: it is; then all of a large file is read into memory, to be called damaged."""
    files = CountingFiles(content)
    with pytest.raises(StoreCorrupt, match=r"^memory/file is .*damaged at byte \d+; remedy$"):
        list(blocks(files, "file", "remedy"))
    assert sum(files.reads) <= 4_096


@pytest.mark.parametrize("content", [bytes(8), framed(b"header") + bytes(100)])
def test_zeros_are_damage(content):
    """The checksum of nothing is 0, so eight of them look like an empty block."""
    with pytest.raises(StoreCorrupt, match="damaged at byte"):
        read(content)


def test_a_file_that_is_cut_off_is_told_wherever_that_is():
    content = framed(b"header") + framed(b"x" * 20)
    for length in range(1, len(content)):
        if length != len(framed(b"header")):
            with pytest.raises(StoreCorrupt, match="is cut off"):
                read(content[:length])
