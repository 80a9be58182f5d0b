"""Plain Pykka actors as processes."""

import logging
from functools import cache
from typing import Any

import pykka

from supervision.foreign import exc_info, is_interrupt
from supervision.listing import list_or_hide
from supervision.process import Process

__all__ = ["as_process"]

pykka_logger: logging.Logger = logging.getLogger("pykka")

OURS = ("_Process__", "_ProcessBase__")
RESERVED = frozenset(
    name
    for name in dir(Process)
    if not name.startswith("__") and not hasattr(pykka.ThreadingActor, name)
)


class Adopted(Process):
    """A process that was written for Pykka, and is registered and logged as in Pykka."""

    def _begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        ref = self._actor_ref
        if ref.parent is None or ref.listed:
            list_or_hide(ref)
        return super()._begin(args, kwargs)

    def _log_crash(self, error: BaseException) -> None:
        try:
            pykka_logger.error("Unhandled exception in %s:", self, exc_info=exc_info(error))
        except BaseException as failure:  # of a log handler of the program
            if is_interrupt(failure):
                raise


@cache
def as_process(actor_class: type[pykka.ThreadingActor], *, listed: bool = False) -> type[Process]:
    """Return a subclass of `actor_class` that is a Process; the same subclass each time.

    listed   whether its processes are in Pykka's ActorRegistry when they have a supervisor

    As in Pykka, an exception in an ask only goes to the asker, and the actor runs on; its
    `__str__`, its `use_daemon_thread` and its records in the logger "pykka" are Pykka's; and it is
    in ActorRegistry before its `on_start` is called, if it is to be there. The arguments of the
    start go to `__init__`, which runs on the starter's thread; `start_link` waits until `on_start`
    is done.

    Raises TypeError if the class uses a name that has a meaning in a Process. An attribute with
    such a name raises TypeError when it is set.
    """
    if issubclass(actor_class, Process):
        return type(actor_class.__name__, (actor_class,), {
            "__doc__": actor_class.__doc__, "__module__": actor_class.__module__,
        }, listed=True) if listed else actor_class  # fmt: skip
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
        "__str__": actor_class.__str__,
        "reply_errors": (Exception,),
        "use_daemon_thread": actor_class.use_daemon_thread,
    }
    if actor_class.on_receive is not pykka.Actor.on_receive:
        body["on_receive"] = actor_class.on_receive
    return type(actor_class.__name__, (Adopted, actor_class), body, listed=listed)


def _set_attribute(self: Process, name: str, value: Any) -> None:
    if name in RESERVED and not name.startswith(OURS):
        raise TypeError(
            f"{type(self).__name__} can't have an attribute {name}, which has a meaning in a "
            "Process: rename it, or derive the class from Process"
        )
    super(Process, self).__setattr__(name, value)
