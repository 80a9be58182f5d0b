"""Monitors: the end of a process arrives as a message."""

from dataclasses import dataclass
from itertools import count
from typing import Any

from supervision.errors import Reason
from supervision.foreign import text_of
from supervision.lifeline import Cancel
from supervision.ref import ProcessRef, current, tell_if_alive
from supervision.registry import check_watched, resolve

__all__ = ["Down", "Monitor", "demonitor", "monitor"]

_refs = count(1)


@dataclass(slots=True)
class Down:
    """The message that a watcher receives once for each monitor, when the process has ended.

    ref      the number of the Monitor, `Monitor.ref`
    actor    what was monitored: its ref; its `address` if it is a remote ref that has one;
             the name, if no process had it
    reason   why it ended; "noproc" if it had ended before it was monitored
    """

    ref: int
    actor: Any
    reason: Reason


@dataclass(frozen=True, slots=True)
class Monitor:
    """One monitor, as `monitor` returned it.

    ref      the number of this monitor; its Down has the same number
    actor    what is monitored
    cancel   ends this monitor; `demonitor` calls it
    """

    ref: int
    actor: Any
    cancel: Cancel

    def __repr__(self) -> str:
        return f"<Monitor {self.ref} of {text_of(self.actor, str)}>"


def monitor(target: Any, watcher: Any = None) -> Monitor:
    """Send `watcher` a Down when the target ends, at once if it has ended already.

    target    anything that has `watch`: a ProcessRef or a remote ref; or a proxy, or a name
    watcher   the ref of any actor; None: the calling process

    Each call makes another monitor, with a Down of its own. Raises TypeError if the target can't
    be watched, and if there is no watcher.

    >>> from supervision import Process, demonitor, monitor, stop
    >>> class Watcher(Process):
    ...     def on_receive(self, message):
    ...         print(message.reason)
    >>> ok, target = Process.start_link()
    >>> ok, watcher = Watcher.start_link()
    >>> seen = monitor(target, watcher)
    >>> stop(target), stop(watcher)  # a stopped process first handles what waits
    normal
    ('ok', 'ok')
    """
    listener = current() if watcher is None else resolve(watcher)
    if listener is None and watcher is None:
        raise TypeError("outside of a process, monitor needs a watcher: the ref that receives Down")
    if listener is None:
        raise TypeError(
            f"a watcher is the ref of an actor, or its name: no actor is named {text_of(watcher)}"
        )
    number = next(_refs)
    ref = resolve(target)
    if ref is None:
        tell_if_alive(listener, Down(number, target, "noproc"))
        return Monitor(number, target, lambda: None)
    check_watched(ref)
    actor = getattr(ref, "address", ref)
    cancels: list[Cancel] = []
    ended = False

    def on_end(reason: Reason) -> None:
        nonlocal ended
        ended = True
        cancel_all()
        tell_if_alive(listener, Down(number, actor, reason))

    def cancel_all(_reason: Reason = None) -> None:
        for cancel in tuple(cancels):
            cancel()

    cancels.append(ref.watch(on_end))
    if isinstance(listener, ProcessRef):  # a plain actor can't be watched
        cancels.append(listener.watch(cancel_all))
        if ended:
            cancel_all()
    return Monitor(number, actor, cancel_all)


def demonitor(monitor: Monitor, *, flush: bool = False) -> None:
    """End a monitor. A Down that is in the mailbox already still arrives: compare its `ref`.

    flush   in the process that receives the Down: remove it from the mailbox, too

    >>> demonitor(monitor(target, watcher))
    """
    monitor.cancel()
    me = current()
    if flush and me is not None:
        me.actor_inbox.remove(lambda message: type(message) is Down and message.ref == monitor.ref)
