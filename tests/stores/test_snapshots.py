"""Snapshots on a disk: what is left of those that could not be written."""

import resource

import pytest

from raft_actors.core.membership import NOBODY
from raft_actors.errors import StoreError
from raft_actors.stores.files import DiskFiles
from raft_actors.stores.snapshots import Header, Snapshots


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
