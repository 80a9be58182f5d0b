"""Plain Pykka actors as processes."""

from functools import cache
from typing import Any

import pykka

from supervision.process import Process

__all__ = ["as_process"]

OURS = ("_Process__", "_ProcessBase__")
RESERVED = frozenset(
    name
    for name in dir(Process)
    if not name.startswith("__") and not hasattr(pykka.ThreadingActor, name)
)


@cache
def as_process(actor_class: type[pykka.ThreadingActor]) -> type[Process]:
    """Return a subclass of `actor_class` that is a Process; the same subclass each time.

    As in Pykka, an exception in an ask only goes to the asker, and the actor runs on. The
    arguments of the start go to `__init__`, which runs on the starter's thread; `start_link` waits
    until `on_start` is done.

    Raises TypeError if the class uses a name that has a meaning in a Process. An attribute with
    such a name raises TypeError when it is set.
    """
    if issubclass(actor_class, Process):
        return actor_class
    taken = sorted(name for name in RESERVED if hasattr(actor_class, name))
    if taken:
        raise TypeError(
            f"{actor_class.__name__} can't be a process, because {', '.join(taken)} has a meaning "
            "in a Process: rename it, or derive the class from Process"
        )
    body: dict[str, Any] = {
        "__doc__": actor_class.__doc__,
        "__module__": actor_class.__module__,
        "__setattr__": _set_attribute,
        "reply_errors": (Exception,),
    }
    if actor_class.on_receive is not pykka.Actor.on_receive:
        body["on_receive"] = actor_class.on_receive
    return type(actor_class.__name__, (Process, actor_class), body)


def _set_attribute(self: Process, name: str, value: Any) -> None:
    if name in RESERVED and not name.startswith(OURS):
        raise TypeError(
            f"{type(self).__name__} can't have an attribute {name}, which has a meaning in a "
            "Process: rename it, or derive the class from Process"
        )
    super(Process, self).__setattr__(name, value)
