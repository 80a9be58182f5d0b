"""Stores as a crash leaves them, or a bad disk."""

import signal
import subprocess
import sys

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
