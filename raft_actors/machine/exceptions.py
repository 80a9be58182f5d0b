"""Exceptions: what an exception of a user's state machine means, how it is answered and logged."""

import inspect
import logging
import time
from pathlib import Path
from traceback import walk_tb
from typing import Any

from raft_actors import encoding
from raft_actors.errors import HostError, RaftError, class_name, in_text
from raft_actors.machine.contract import Machine

__all__ = ["MachineExceptions", "depends_on_host", "first_state", "place_of"]

logger: logging.Logger = logging.getLogger("raft_actors.state_machine")

HOSTS_OWN = (MemoryError, RecursionError, ImportError, HostError)
"""Exceptions that depend on the host, and not on the command."""
PACKAGE = str(Path(__file__).parents[1])
LOG_AGAIN_S = 10.0
"""If a line of a state machine raises again and again, it is logged once in so many seconds."""


class MachineExceptions:
    """Answers and logs the exceptions that one peer's state machine raises.

    quiet_until  for each line that has raised: until when it is not logged again
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
        """Log an exception with the line that raised it. A line that raises for command after
        command is logged only from time to time.
        """
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
        """Return the error that ends this replica before entry `index`, see `depends_on_host`."""
        what = ": ".join(filter(None, in_text(error)))
        method = f"{type(self.machine).__name__}.handle_write"
        return HostError(
            f"{self.name}: entry {index}: {method} raised {what}; that depends on this "
            "host (its memory, limits, files, modules or time zones), and the other replicas may "
            "have done otherwise, so it is no reply: this replica stops before that entry. Make "
            "its host like theirs, or mend the machine"
        )


def depends_on_host(error: BaseException) -> bool:
    """Return whether a command that raised `error` here may have another result on another replica.
    An OSError with a number comes from the operating system; one without is of the user's code.

    The causes and contexts of `error` count, too, and the exceptions of a group. These may form a
    circle: `raise error from error`. The attributes are read past the error's class, whose own
    code may raise.
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
    """Return the attribute as `kind` defines it, even if the error's class redefines the name."""
    return kind.__dict__[name].__get__(error)


def first_state(machine: Machine, name: str) -> Any:
    """Return the result of the state machine's `init`. If it raises, log the line."""
    try:
        return machine.init(name)
    except (MemoryError, RaftError):
        raise
    except Exception as error:
        kind = type(machine)
        logger.error(  # noqa: TRY400 - the line is enough, and comes again with each restart
            "%s: %s.init raised %s: %s (%s)",
            name, kind.__name__, *in_text(error), place_of(error, kind.init),
        )  # fmt: skip
        raise


def place_of(error: BaseException, function: Any) -> str:
    """Return the line at which `function`, or what it called in its own file, raised `error`. A
    function of this library stands for the user's function that it called.
    """
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None:
        return "in no function of Python's"
    file, line, name = code.co_filename, code.co_firstlineno, code.co_name
    for frame, number in walk_tb(own(BaseException, "__traceback__", error)):
        called = frame.f_code.co_filename
        if file.startswith(PACKAGE) and not called.startswith(PACKAGE):
            file = called
        if called == file:
            line, name = number, frame.f_code.co_name
    return f"{file}:{line}, in {name}"
