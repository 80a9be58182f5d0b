"""KitCore: what a Kit and an AsyncKit have in common: the leases of the process, and what is to be
given back.
"""

import os
import socket
from collections import deque
from collections.abc import Callable
from itertools import count
from secrets import token_hex
from typing import Any
from weakref import WeakSet

from raft_actors.clock import since_boot
from raft_actors.errors import NotApplied, OutcomeUnknown, RaftError
from raft_actors.kit.lease import Lease, Leases
from raft_actors.kit.script import Script, Settle, Write
from raft_actors.timeouts import seconds

__all__ = ["KitCore"]

HOST_CHARACTERS = 40


class KitCore:
    """The leases of a kit, its name for others, and the commands that it owes.

    label   who this is, for people: host, process id, and a random part
    owed    scripts that give back what a call has left: its outcome is not known yet
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self.wake = wake
        self.numbers: count[int] = count(1)
        self.begin_anew()
        made.add(self)

    def begin_anew(self) -> None:
        self.label: str = f"{socket.gethostname()[:HOST_CHARACTERS]}:{os.getpid()}:{token_hex(4)}"
        self.leases: Leases = Leases(self.wake)
        self.owed: deque[Callable[[], Script[Any]]] = deque()

    def new_holder(self) -> str:
        """Return a name that nobody has used: one for each attempt to get something."""
        return f"{self.label}:{next(self.numbers)}"

    def owe(self, script: Callable[[], Script[Any]]) -> None:
        """Have the keeper run a script until it succeeds."""
        self.owed.append(script)
        self.wake()

    def owe_command(self, command: tuple[Any, ...], error: BaseException | None) -> None:
        """Have the keeper run a command that takes back another one, which has ended with `error`.
        If the outcome of that is unknown, it is settled first.
        """

        def script() -> Script[None]:
            if isinstance(error, OutcomeUnknown):
                yield Settle(error.request_id)
            yield Write(command)

        self.owe(script)

    def grant(self, ttl: float, timeout: float | None = None) -> Script[Lease]:
        """Make a lease."""
        sent_at, ttl_s = since_boot(), float(seconds(ttl, "ttl"))
        lease_id = yield Write(("lease", "grant", "", ttl_s), timeout)
        return self.leases.add(lease_id, ttl_s, sent_at)

    def shared(self, ttl: float, timeout: float | None = None) -> Script[Lease]:
        """Return a lease with this time; all objects of the kit share it."""
        return self.leases.alive_with(ttl) or (yield from self.grant(ttl, timeout))

    def end(self, lease: Lease) -> Script[None]:
        """End a lease, and what hangs on it."""
        self.leases.end(lease)
        yield Write(("lease", "end", "", lease.id))

    def keep(self) -> Script[None]:
        """Keep alive what is due, and give back what is owed."""
        if due := self.leases.due():
            sent_at = since_boot()
            try:
                gone = yield Write(("lease", "keep", "", *due), self.leases.patience_s())
            except (NotApplied, OutcomeUnknown):
                pass  # a lease that is not kept alive in time is lost by the clock
            else:
                self.leases.kept(due, gone, sent_at)
        while self.owed:
            script = self.owed[0]
            try:
                yield from script()
            except RaftError:
                return  # again, at the next look
            self.owed.popleft()

    def next_s(self) -> float:
        """Return in how many seconds `keep` has something to do."""
        return min(self.leases.next_s(), 1.0) if self.owed else self.leases.next_s()

    def close(self) -> Script[None]:
        """End all leases."""
        for lease in tuple(self.leases.by_id.values()):
            yield from self.end(lease)


made: WeakSet[KitCore] = WeakSet()


def begin_anew_in_child() -> None:
    """The leases belong to the parent."""
    for core in tuple(made):
        core.leases.end_all()
        core.begin_anew()


os.register_at_fork(after_in_child=begin_anew_in_child)
