"""Disks that refuse. In processes of their own, since limits and mounts stay with a process."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

LIMITED = """
import os, sys
from pathlib import Path
from raft_actors.tools.torture.disks import limit_file_size
path = Path(sys.argv[1]) / "file"
limit_file_size(os.getpid(), 1000)
try:
    path.write_bytes(b"x" * 2000)
except OSError as error:
    print(error.errno)
limit_file_size(os.getpid(), None)
print(path.write_bytes(b"x" * 2000))
"""

FULL = """
import sys
from pathlib import Path
from raft_actors.tools.torture.disks import SmallDisk
disk = SmallDisk.mount(Path(sys.argv[1]))
if disk is None:
    sys.exit("none")
(disk.path / "before").write_bytes(b"x" * 100_000)
disk.fill()
try:
    (disk.path / "after").write_bytes(b"x" * 1_000_000)
except OSError as error:
    print(error.errno)
disk.free()
print((disk.path / "after").write_bytes(b"x" * 1_000_000))
"""


def run(script, directory):
    return subprocess.run(
        [sys.executable, "-c", script, str(directory)], cwd=ROOT, text=True, capture_output=True
    )


def test_files_do_not_grow_beyond_a_limit_until_it_is_lifted(tmp_path):
    answer = run(LIMITED, tmp_path)
    assert answer.stdout.split() == [str(errno.EFBIG), "2000"], answer.stderr


def test_a_small_disk_is_full_and_free_at_once_and_nobody_else_sees_it(tmp_path):
    answer = run(FULL, tmp_path)
    if answer.stderr.strip() == "none":
        pytest.skip("nothing can be mounted here")
    assert answer.stdout.split() == [str(errno.ENOSPC), "1000000"], answer.stderr
    assert list(tmp_path.iterdir()) == []
