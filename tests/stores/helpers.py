"""Stores as a crash leaves them, or a bad disk."""

import shutil
import signal
import subprocess
import sys

import pytest

from raft_actors.stores.durable import key


def filled(kind, path, count=20, size=1000):
    """Make a store with `count` entries, one save each, and leave it as kill -9 would."""
    code = (
        "import os, sys\n"
        "from raft_actors.stores import open_store\n"
        "store = open_store(*sys.argv[1:3], ('counter', 'a@host'))\n"
        "count, size = map(int, sys.argv[3:])\n"
        "for index in range(1, count + 1):\n"
        "    store.save((index, None), index, [bytes([index % 256]) * size])\n"
        "os.kill(os.getpid(), 9)\n"
    )
    child = subprocess.run([sys.executable, "-c", code, kind, str(path), str(count), str(size)])
    assert child.returncode == -signal.SIGKILL


def names_in(path):
    return sorted(file.name for file in path.iterdir())


def delete_entry(store, index):
    """Take an entry out behind the store's back."""
    if store.kind == "rocksdb":
        store.database.delete(key(index))
    else:
        with store.database.begin(write=True) as transaction:
            transaction.delete(key(index))


def straced_saves(kind, path, trace, calls):
    """Return the system calls, of those named, before ten saves of an entry each, during these and
    ten saves of nothing, and after them, as strace writes them to the file `trace`.
    """
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    code = (
        "import os, sys\n"
        "from raft_actors.stores import open_store\n"
        "store = open_store(*sys.argv[1:])\n"
        "store.save((1, None), 1, [b'x'] * 100)\n"
        "os.write(2, b'MARK')\n"
        "for index in range(101, 111): store.save((index, None), index, [b'x'])\n"
        "for _ in range(10): store.save(None, 0, [])\n"
        "os.write(2, b'MARK')\n"
    )
    strace = ["strace", "-f", "-e", f"trace={calls},write", "-o", str(trace)]
    command = [sys.executable, "-c", code, kind, str(path)]
    child = subprocess.run([*strace, *command], capture_output=True, text=True)
    if "ptrace" in child.stderr:
        pytest.skip("strace is not allowed here")
    return trace.read_text().split("MARK")
