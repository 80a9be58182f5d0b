"""Exceptions: what it means that a user's machine raised, and how it is replied and logged."""

import inspect
import logging
import time
from traceback import walk_tb
from typing import Any

from raft_actors import encoding
from raft_actors.errors import HostError, RaftError, class_name, in_text
from raft_actors.machine.contract import Machine

__all__ = ["MachineExceptions", "depends_on_host", "first_state", "place_of"]

logger = logging.getLogger("raft_actors.state_machine")

HOSTS_OWN = (MemoryError, RecursionError, ImportError, HostError)
"""Exceptions that tell of the host, and not of the command."""
LOG_AGAIN_S = 10.0
"""A line of a machine that raises again and again is named once in this time."""


class MachineExceptions:
    """The exceptions that one peer's machine raises.

    quiet_until  by the line that raised: until when it is not named again
    """

    def __init__(self, machine: Machine, name: str) -> None:
        self.machine = machine
        self.name = name
        self.quiet_until: dict[str, float] = {}

    def reply(self, method: str, error: BaseException) -> bytes:
        """Log an exception, and return it as an encoded reply."""
        _, text = in_text(error)
        if logger.isEnabledFor(logging.INFO):
            self.log(method, error, text)
        return encoding.dumps(("error", ("exception", class_name(error), text)))

    def log(self, method: str, error: BaseException, text: str) -> None:
        """Name the line that raised; one that does so for command after command, now and then."""
        place, now = place_of(error, getattr(type(self.machine), method)), time.monotonic()
        level = logging.DEBUG
        if now >= self.quiet_until.get(place, now):
            self.quiet_until[place] = now + LOG_AGAIN_S
            level = logging.INFO
        logger.log(
            level, "%s: %s.%s raised %s: %.1000s (%s)",
            self.name, type(self.machine).__name__, method, class_name(error), text, place,
            exc_info=error if logger.isEnabledFor(logging.DEBUG) else None,
        )  # fmt: skip

    def host_error(self, index: int, error: BaseException) -> HostError:
        """Return what stops this replica before entry `index`: see `depends_on_host`."""
        what = ": ".join(filter(None, in_text(error)))
        method = f"{type(self.machine).__name__}.handle_write"
        return HostError(
            f"{self.name}: entry {index}: {method} raised {what}; that depends on this "
            "host (its memory, limits, files, modules or time zones), and the other replicas may "
            "have done otherwise, so it is no reply: this replica stops before that entry. Make "
            "its host like theirs, or mend the machine"
        )


def depends_on_host(error: BaseException) -> bool:
    """Tell whether a command that raised this here may do otherwise on another replica. An OSError
    with a number comes from the operating system; one without is the machine's own.

    What led to it counts, too, and what it groups; it may lead back to itself: `raise error from
    error`. Looks past what the error's class says of itself, which may raise.
    """
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        if issubclass(type(one), HOSTS_OWN) or (
            issubclass(type(one), OSError) and own(OSError, "errno", one) is not None
        ):
            return True
        seen.add(id(one))
        waiting += own(BaseException, "__cause__", one), own(BaseException, "__context__", one)
        if issubclass(type(one), BaseExceptionGroup):
            waiting += own(BaseExceptionGroup, "exceptions", one)
    return False


def own(kind: type[BaseException], name: str, error: BaseException) -> Any:
    """What `kind` keeps under this name, though the error's class may have another."""
    return kind.__dict__[name].__get__(error)


def first_state(machine: Machine, name: str) -> Any:
    """Return what the machine's `init` does; where it raises, tell in which line."""
    try:
        return machine.init(name)
    except (MemoryError, RaftError):
        raise
    except Exception as error:
        kind = type(machine)
        logger.error(  # noqa: TRY400 - the line says enough; a restart has it again
            "%s: %s.init raised %s: %s (%s)",
            name, kind.__name__, *in_text(error), place_of(error, kind.init),
        )  # fmt: skip
        raise


def place_of(error: BaseException, function: Any) -> str:
    """Return the line at which `function`, or what it called in its own file, raised `error`."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None:
        return "in no function of Python's"
    line, name = code.co_firstlineno, code.co_name
    for frame, number in walk_tb(own(BaseException, "__traceback__", error)):
        if frame.f_code.co_filename == code.co_filename:
            line, name = number, frame.f_code.co_name
    return f"{code.co_filename}:{line}, in {name}"
