"""Forks of a process that has RocksDB open.

At the end of a process RocksDB waits for its threads. A forked child has none of them: after its
last line it would crash with SIGSEGV, or wait for ever. So a child ends by C's `_exit`, as the
children of multiprocessing do. When `_exit` is called, Python has flushed its files and called its
own `atexit` handlers; the exit handlers of C libraries, RocksDB's among them, are left out.
"""

import os
from functools import cache

__all__ = ["guard_forks"]


@cache
def guard_forks() -> None:
    """Let the children that are forked from now on end well. To be called before a database is
    opened.
    """
    os.register_at_fork(after_in_child=leave_out_exit_handlers)


def leave_out_exit_handlers() -> None:
    import ctypes

    libc = ctypes.CDLL(None)
    if hasattr(libc, "on_exit"):  # not in every C library: elsewhere a child must call os._exit
        libc.on_exit(libc._exit, None)  # called first, for it is registered last
