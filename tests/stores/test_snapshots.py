"""Snapshots on a disk: what is left of those that could not be written."""

import resource
from dataclasses import asdict
from zlib import crc32

import pytest

from raft_actors import encoding
from raft_actors.core.configuration import NOBODY
from raft_actors.core.snapshot import SnapshotReceipt
from raft_actors.errors import StoreCorrupt, StoreError
from raft_actors.stores.blocks import framed
from raft_actors.stores.files import DiskFiles, MemoryFiles
from raft_actors.stores.snapshots import END, FORMAT, HEADER, MAGIC, Header, Snapshots


def test_of_a_draft_that_could_not_be_begun_nothing_stays(tmp_path):
    """Planted: the file stays; then a full disk gets one more with every try."""
    snapshots = Snapshots(DiskFiles(tmp_path))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        with pytest.raises(StoreError, match="File too large; let this process write larger"):
            snapshots.draft(Header(1, 1, NOBODY.encode(), 0, "term"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert snapshots.files.names() == []


@pytest.mark.parametrize("changed", [{"configuration": b"junk"}, {"more": 1}, {"configuration": 7}])
@pytest.mark.parametrize("end", [True, False])
def test_what_was_sent_as_a_snapshot_and_is_none_is_refused_in_words(changed, end):
    """Whatever its checksum says: else it would end the peer that puts it together."""
    fields = {**asdict(Header(3, 1, NOBODY.encode(), 0, "term")), **changed}
    ends = END + (encoding.dumps(1) if end else b"\xc1")
    data = framed(HEADER + encoding.dumps((MAGIC, FORMAT, fields))) + framed(ends)
    snapshots = Snapshots(MemoryFiles())
    incoming = SnapshotReceipt(3, 1, len(data), crc32(data))
    snapshots.receive(incoming, 0, data)
    with pytest.raises(StoreCorrupt):
        snapshots.finish(incoming)
    assert snapshots.files.names() == []
