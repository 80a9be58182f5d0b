"""Launch: starts a node, a module and its supervision tree, and stops them in the reverse order.

The tree is started by the function `start()` of the module that is given with `-m`. It is called
without arguments after the node has started, and returns what `start_link` returns: `("ok",
supervisor)`. This supervisor is stopped before the node. `--start module:function` names another
function. A module without `start()` is only imported.
"""

import importlib
import inspect
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM
from types import ModuleType
from typing import Any

import pykka

import supervision
from raft_actors import Config, Node
from raft_actors.errors import RaftError
from raft_actors.node.tls import TlsOption
from raft_actors.tools.ending import Ending
from raft_actors.transport.endpoint import Endpoint

__all__ = [
    "CannotLaunch", "LaunchPlan", "Launched", "launch", "run_until_signal",
    "working_directory_first",
]  # fmt: skip

logger: logging.Logger = logging.getLogger("raft_actors.launch")

STOP_S = 30.0
"""How long to wait for the end of a tree. After that the process ends, with its daemon threads."""


class CannotLaunch(RaftError):
    """The node, module or tree can't be started; `status` is the exit status for this error."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchPlan:
    """What to launch. `sname` is the node's name without its host; `start` is module:function.

    log_level  the lowest level of the log that is shown; None: warnings, and the present leader
    """

    sname: str
    module: str | None = None
    start: str | None = None
    cookie: str | None = field(default=None, repr=False)
    host: str = "127.0.0.1"
    port: int = 0
    tls: TlsOption | None = None
    data_dir: Path | None = None
    log_level: str | None = None
    allow: tuple[str, ...] = ()
    audit_log: Path | None = None


@dataclass(slots=True)
class Launched:
    """What was started: the name of the node, the imported module, the root of its tree."""

    node: str
    module: ModuleType | None = None
    tree: supervision.ProcessRef[Any] | None = None

    def watch_tree(self, callback: Callable[[Any], None]) -> Callable[[], None]:
        """Call `callback(reason)` when the tree ends by itself. Returns a function that cancels."""
        if self.tree is None:
            return lambda: None
        return self.tree.watch(callback)


@contextmanager
def launch(plan: LaunchPlan) -> Iterator[Launched]:
    """Start the node, import the module, and start its tree. On exit stop all of it, the node last.

    Raises CannotLaunch if the node can't start, a module or function is missing, or the tree can't
    start; and NameTaken. The node is stopped in every case.
    """
    node = start_node(plan)
    try:
        launched = Launched(node)
        starter = None
        if plan.module is not None:
            launched.module = find_module(plan.module)
            starter = getattr(launched.module, "start", None)
            starter = starter if callable(starter) else None  # like `start = time()`
        if plan.start is not None:
            starter = find_function(plan.start)
        log_to_stderr(plan.log_level)  # after the module, which may set up the log itself
        if starter is not None:
            launched.tree = start_tree(starter)
        yield launched
    finally:
        stop_actors()
        Node.stop()


def start_node(plan: LaunchPlan) -> str:
    """Start the node and return its name."""
    config = Config(data_dir=plan.data_dir) if plan.data_dir else None
    try:
        return Node.start(
            plan.sname, host=plan.host, port=plan.port, cookie=plan.cookie, config=config,
            tls=plan.tls, allow=plan.allow, audit_log=plan.audit_log,
        )  # fmt: skip
    except OSError as error:
        message = f"can't listen at {Endpoint(plan.host, plan.port)}: {error.strerror or error}"
        raise CannotLaunch(message, status=1) from None
    except ValueError as error:  # a bad name, or a bad setting in the environment
        raise CannotLaunch(str(error), status=2) from None


def stop_actors() -> None:
    """Stop all trees and actors, the last one first.

    This includes peers that `Raft.start_peer` has started, so that their stores are closed, and the
    module's own Pykka actors, whose threads would keep the process from ending.
    """
    for ref in reversed(pykka.ActorRegistry.get_all()):  # of a tree only the root is in it
        try:
            if isinstance(ref, supervision.ProcessRef):
                supervision.stop(ref, "shutdown", timeout=STOP_S)
            else:
                ref.stop(timeout=STOP_S)
        except supervision.SupervisionError as error:
            logger.info("%s had ended before: %s", ref, error)
        except (TimeoutError, pykka.Timeout):
            logger.warning("%s has not ended within %g s, and is left running", ref, STOP_S)


def find_module(name: str) -> ModuleType:
    """Import the module `name`. As with `python -m`, the working directory is searched first."""
    if name.endswith(".py") or not all(name.split(".")):
        raise CannotLaunch(
            f"give the module as in an import, like examples.kv_tree, not {name!r}", status=2
        )
    here = working_directory_first()
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # the module exists, and something that it imports does not
        raise CannotLaunch(
            f"no module named {error.name!r} in {here} or among the installed packages", status=2
        ) from None


def working_directory_first() -> str:
    """Let imports search the working directory first. Returns this directory."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    return here


def find_function(path: str) -> Callable[[], Any]:
    """Return the function that `module:function` names."""
    module_name, _, function_name = path.partition(":")
    if not module_name or not function_name:
        raise CannotLaunch(f"--start takes module:function, not {path!r}", status=2)
    function = getattr(find_module(module_name), function_name, None)
    if not callable(function):
        raise CannotLaunch(f"module {module_name!r} has no function {function_name!r}", status=2)
    return function  # type: ignore[no-any-return]


def start_tree(starter: Callable[[], Any]) -> supervision.ProcessRef[Any] | None:
    """Call the module's `start()`, and return the root of its tree; None if it started none."""
    refuse_arguments(starter)
    match starter():
        case ("ok", supervision.ProcessRef() as tree):
            return tree
        case ("ok", pykka.ActorProxy(actor_ref=supervision.ProcessRef() as tree)):
            return tree
        case None | "ignore":
            return None
        case ("error", reason):
            raise CannotLaunch(f"the supervision tree did not start: {reason!r}", status=1)
        case other:
            raise CannotLaunch(
                'start() must return ("ok", supervisor), as start_link of a Supervisor or a '
                f"Process does, not {other!r}",
                status=2,
            )


def refuse_arguments(starter: Callable[[], Any]) -> None:
    """Refuse a function that can't be called without arguments."""
    try:
        signature = inspect.signature(starter)
    except ValueError:  # a function in C has no signature
        return
    try:
        signature.bind()
    except TypeError as error:
        name = f"{starter.__module__}.{getattr(starter, '__qualname__', repr(starter))}"
        raise CannotLaunch(
            f"{name}{signature} is called without arguments, which fails: {error}. Give its "
            "parameters defaults; if the function starts no tree, give it another name than start",
            status=2,
        ) from None


def run_until_signal(plan: LaunchPlan) -> int:
    """Run without a prompt until SIGTERM, SIGINT or SIGHUP, or until the tree ends by itself.

    Returns the exit status: 0 after a signal; 1 if the tree ended by itself, so that a service
    manager starts the process again. A second signal ends the process at once.
    """
    ending = Ending()
    gave_up: list[Any] = []

    def on_signal(_number: int, _frame: Any) -> None:
        ending.end()
        end_at_the_next(before)

    def on_tree_end(reason: Any) -> None:
        gave_up.append(reason)
        ending.end()

    before = {number: signal.signal(number, on_signal) for number in (*end_signals(), SIGINT)}
    try:
        with launch(plan) as launched:
            print(f"{launched.node} is up, pid {os.getpid()}", flush=True)
            stop_watching = launched.watch_tree(on_tree_end)
            ending.wait()
            stop_watching()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if gave_up:
        print(f"raft-actors: the supervision tree ended: {gave_up[0]!r}", file=sys.stderr)
        return 1
    with suppress(OSError):  # the terminal may have been closed
        print(f"{launched.node} stopped", flush=True)
    return 0


def end_signals() -> list[signal.Signals]:
    """Return the signals that end a process: SIGTERM and, unless it runs under `nohup`, SIGHUP."""
    is_hung_up = signal.getsignal(SIGHUP) is not signal.SIG_IGN
    return [SIGTERM, SIGHUP] if is_hung_up else [SIGTERM]


def end_at_the_next(signals: Iterable[signal.Signals]) -> None:
    """Let the next of these signals end the process at once. SIGHUP is ignored instead, because it
    comes twice: from the terminal and from its shell.
    """
    for number in signals:
        signal.signal(number, signal.SIG_IGN if number == SIGHUP else signal.SIG_DFL)


class StderrHandler(logging.Handler):
    """Write to the present `sys.stderr`, so that a prompt can print the line above itself."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(f"{self.format(record)}\n")  # `print` would write the newline apart
        except Exception:
            self.handleError(record)


def log_to_stderr(level: str | None) -> None:
    """Show the log from `level` on; None: warnings, and the present leader. If the program has set
    up its log itself, only a `level` that was given changes it.
    """
    root = logging.getLogger()
    if level is not None:
        root.setLevel(level)
    if not root.handlers:
        for name in ("raft_actors.peer", "raft_actors.lead"):
            told = logging.getLogger(name)
            if level is None and told.level == logging.NOTSET:
                told.setLevel(logging.INFO)
        handler = StderrHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        root.addHandler(handler)
