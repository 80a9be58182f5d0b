"""Links between any two processes, and exit signals."""

import os
from typing import Any

from supervision.foreign import is_string
from supervision.lifeline import Cancel
from supervision.listing import list_or_hide
from supervision.ref import (
    ChildEnded,
    ExitSignal,
    ProcessRef,
    current,
    kill,
    process_of,
    tell_if_alive,
)
from supervision.waits import here

__all__ = ["exit", "link", "trap_exit", "unlink"]

_links: dict[frozenset[ProcessRef[Any]], Cancel] = {}
"""The links that processes made by `link`; those of parents and children are not here. It is
changed by single calls of its methods, which are atomic, so no lock is needed.
"""


def exit(target: Any, reason: Any) -> None:  # noqa: A001
    """Send an exit signal to a process, and don't wait. It is handled in its turn, after the
    messages that wait.

    With the reason "kill" the process is killed at once. With "normal" nothing happens, unless the
    process sends the signal to itself. Any other reason ends the process, by `asked_to_end`. A
    process with the class option `trap_exit` receives an ExitSignal instead. If there is no such
    process, nothing happens. Raises TypeError if `target` is no process.

    >>> import supervision
    >>> ok, ref = Process.start_link()
    >>> supervision.exit(ref, "normal")
    >>> exit_reason(ref) is None
    True
    """
    ref = process_of(target)
    if ref is None:
        return
    if is_string(reason, "kill"):
        kill(ref)
    else:
        tell_if_alive(ref, ExitSignal(current(), reason))


def link(target: Any) -> None:
    """Link the calling process with another one: when one of them ends, the other is sent its exit
    reason, as by `exit`; `child_ended` is called there. A second link to the same process does
    nothing. A process that has ended already is noticed with the reason "noproc".

    A process and those that it started by `start_link` are linked already.

    Raises TypeError outside of any process, and if `target` is no process.

    >>> from supervision import link
    >>> link(ref)
    Traceback (most recent call last):
    TypeError: only a process can link itself with another one: call link in a process
    """
    me = _me("link")
    ref = process_of(target)
    if ref is None:
        tell_if_alive(me, ChildEnded(target, "noproc"))
        return
    if ref is me or ref.parent is me or me.parent is ref:
        return
    pair, both = frozenset((me, ref)), ((me, ref), (ref, me))
    cancels: list[Cancel | None] = []

    def cancel() -> None:
        for each in cancels:
            if each is not None:
                each()

    if _links.setdefault(pair, cancel) is not cancel:
        return
    cancels += [one._lifeline.watch(_teller(pair, one, other)) for one, other in both]
    if cancels[1] is None:
        _forget(pair)
        tell_if_alive(me, ChildEnded(ref, "noproc"))


def unlink(target: Any) -> None:
    """Remove the link of the calling process with another one, whoever has made it. A process that
    was started by `start_link` is then the root of a tree of its own. A child can't remove the link
    to its parent.

    Raises TypeError outside of any process, and if `target` is no process.

    >>> from supervision import unlink
    >>> unlink(ref)
    Traceback (most recent call last):
    TypeError: only a process can unlink itself from another one: call unlink in a process
    """
    me = _me("unlink")
    ref = process_of(target)
    if ref is None:
        return
    _forget(frozenset((me, ref)))
    if ref.parent is me:
        here.process._unlink(ref)
        ref.parent = None
        list_or_hide(ref)


def trap_exit(traps: bool = True) -> bool:
    """Change the class option `trap_exit` for the calling process, and return what it was.

    Raises TypeError outside of any process.

    >>> from supervision import trap_exit
    >>> trap_exit(True)
    Traceback (most recent call last):
    TypeError: only a process can trap exits: call trap_exit in a process
    """
    _me("trap_exit")
    process: Any = here.process
    before: bool = process._traps_exit
    process._traps_exit = traps
    return before


def _teller(pair: frozenset[ProcessRef[Any]], one: ProcessRef[Any], other: ProcessRef[Any]) -> Any:
    def ended(reason: Any) -> None:
        _forget(pair)
        tell_if_alive(other, ChildEnded(one, reason))

    return ended


def _forget(pair: frozenset[ProcessRef[Any]]) -> None:
    cancel = _links.pop(pair, None)
    if cancel is not None:
        cancel()


def _me(verb: str) -> ProcessRef[Any]:
    me = current()
    if me is None:
        what = {"link": "link itself with another one", "unlink": "unlink itself from another one"}
        raise TypeError(
            f"only a process can {what.get(verb, 'trap exits')}: call {verb} in a process"
        )
    return me


os.register_at_fork(after_in_child=_links.clear)
