"""Loops: threads of clients that make one call after the other until they are told to end."""

import threading
import time

from raft_actors.tools.torture.nodes import TortureFailed

__all__ = ["Loops"]

JOIN_S = 30.0


class Loops:
    """`threads` run from `start` until each has seen `ended`; a call that is under way is finished.

    strange   what ended one of them too early
    """

    threads: list[threading.Thread]

    def __init__(self) -> None:
        self.ended: threading.Event = threading.Event()
        self.strange: list[str] = []

    def start(self) -> None:
        for thread in self.threads:
            thread.start()

    def stop(self) -> None:
        """Have every thread end after its call. Raises TortureFailed if one hangs."""
        self.ended.set()
        deadline = time.monotonic() + JOIN_S
        for thread in self.threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
                if thread.is_alive():
                    raise TortureFailed(f"{thread.name} hangs in a call for {JOIN_S:g} s")
