"""Shell: an IPython prompt on a started node. Events of the cluster are printed above it."""

import inspect
import logging
import signal
import sys
import sysconfig
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from traceback import walk_tb
from types import TracebackType
from typing import Any

import pykka
from IPython.core.oinspect import Inspector
from IPython.terminal.ipapp import TerminalIPythonApp
from IPython.terminal.prompts import Prompts, RichPromptDisplayHook
from pygments.token import Token
from traitlets.config import Config as ShellConfig

import raft_actors
import supervision
from raft_actors import Cluster, Node, events
from raft_actors.errors import NoLeader, OutcomeUnknown, RaftError, Unavailable
from raft_actors.node.node_events import NodeDown, NodeUp
from raft_actors.node.remote_ref import RemoteProxy
from raft_actors.peer.peer import Peer
from raft_actors.tools.launch import (
    Launched,
    LaunchPlan,
    StderrHandler,
    end_at_the_next,
    end_signals,
    launch,
)

__all__ = ["run_shell"]

SHOWN = {"raft_actors.node": logging.WARNING, "raft_actors.state_machine": logging.INFO}
"""Loggers whose lines are printed above the prompt, and their lowest level: they say why another
node is not reached, and which line of a state machine raised."""

OWN = (*raft_actors.__path__, *supervision.__path__)
INSTALLED = (*OWN, sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), "<string>")
"""Files with code that is not the user's. The code of dataclasses is in `<string>`."""

ONE_LINE = (RaftError, supervision.SupervisionError, ValueError, TypeError, TimeoutError, OSError)

UNSERVED = (NoLeader, Unavailable, OutcomeUnknown)
"""Errors of a call that found no leader, or got no answer: the shell explains the group."""

AT_HAND = ("Raft", "Cluster", "Node", "StateMachine", "Config", "Supervisor", "DynamicSupervisor")


class NodePrompts(Prompts):
    """Prompts like `a@mymachine [1]: ` instead of `In [1]: `, because a user has several shells."""

    def in_prompt_tokens(self) -> list[tuple[Any, str]]:
        usual: Any = super()
        mode, *_ = usual.in_prompt_tokens()
        return [
            mode,
            (Token.Prompt, f"{Node.self()} ["),
            (Token.PromptNum, str(self.shell.execution_count)),
            (Token.Prompt, "]: "),
        ]


def run_shell(plan: LaunchPlan) -> int:
    """Launch the plan, run the prompt until Ctrl-D, stop everything. Returns the exit status."""
    # The events NodeUp and NodeDown, which are printed, say the same.
    logging.getLogger("raft_actors.node.links").setLevel(logging.ERROR)
    logging.getLogger("raft_actors.peer").setLevel(logging.WARNING)
    with launch(plan) as launched:
        app: Any = TerminalIPythonApp.instance(
            config=shell_config(), user_ns=namespace(launched), display_banner=False
        )
        received = end_on_signals(app)
        app.initialize([])
        set_up(app.shell)
        print(greeting(launched))
        events_printer = EventPrinter()
        events_printer.watch(launched)
        try:
            app.start()
        finally:
            events_printer.stop()
    return 128 + received[0] if received else 0


def end_on_signals(app: Any) -> list[int]:
    """End the shell as Ctrl-D does, so that leaders transfer their leadership, when the window is
    closed or at SIGTERM.

    Returns a list that then has the signal. A prompt that waits is ended on its asyncio loop. If
    the signal handler raised an exception there, asyncio would cancel the prompt's tasks and wait
    for them, and a task that prints an event may never end.
    """
    signals = end_signals()
    received: list[int] = []

    def leave(number: int, _frame: Any) -> None:
        end_at_the_next(signals)
        session = getattr(app.shell, "pt_app", None)
        if session is None or not session.app.is_running:
            sys.exit(128 + number)
        received.append(number)
        app.shell.ask_exit()
        session.app.loop.call_soon_threadsafe(end_prompt, session.app)

    for number in signals:
        signal.signal(number, leave)
    return received


def end_prompt(prompt: Any) -> None:
    """End a prompt that waits as Ctrl-D does."""
    if prompt.is_running and not prompt.future.done():
        prompt.exit(exception=EOFError())


def set_up(shell: Any) -> None:
    """Set how a shell shows answers, proxies and errors, and what its history keeps. IPython has no
    settings for these.
    """
    hook: Any = CalmDisplayHook
    shell.displayhook = hook(parent=shell, shell=shell, cache_size=shell.cache_size)
    shell.display_trap.hook = shell.displayhook
    keep_cookies_out(shell.history_manager)
    plain = shell.display_formatter.formatters["text/plain"]
    plain.for_type(pykka.ActorProxy, show_proxy)
    plain.for_type(tuple, addresses_on_one_line(plain.for_type(tuple)))
    shell.set_custom_exc((KeyboardInterrupt, Exception), show_error)


def keep_cookies_out(history: Any) -> None:
    """Keep lines with a cookie out of IPython's history, which is a file."""
    store = history.store_inputs

    def store_inputs(number: int, source: str, raw: str | None = None) -> None:
        if "cookie" in (raw or source).lower():
            source = raw = "# a line about a cookie is not kept"
        store(number, source, raw)

    history.store_inputs = store_inputs


def show_error(
    shell: Any,
    kind: type[BaseException],
    error: BaseException,
    traceback: TracebackType,
    tb_offset: int | None = None,
) -> None:
    """Show one line for Ctrl-C, and for an error that this library has found in a call: its
    traceback would only show the library's own code. `%tb` shows the traceback. Other exceptions
    are shown with their traceback.
    """
    if kind is KeyboardInterrupt:
        print("\nKeyboardInterrupt", file=sys.stderr)
    elif isinstance(error, ONE_LINE) and is_found_by_us(traceback):
        shell._get_exc_info((kind, error, traceback))  # keeps it for `%tb`
        print(f"{kind.__name__}: {error}", file=sys.stderr)
        if isinstance(error, UNSERVED) and (why := explained(traceback)):
            print(why, file=sys.stderr)
    else:
        shell.showtraceback((kind, error, traceback), tb_offset=tb_offset)


def explained(traceback: TracebackType) -> str:
    """Return the first sentence about the group whose handle was called; "" if nothing is wrong."""
    for frame, _line in walk_tb(traceback):
        handle = frame.f_locals.get("self")
        if isinstance(handle, Cluster):
            with suppress(RaftError):
                explanation = handle.explain()
                if explanation.findings[0].severity != "well":
                    return explanation.sentences[0]
            return ""
    return ""


def is_found_by_us(traceback: TracebackType | None) -> bool:
    """Return whether this library has raised the error, and not the user's code that it called."""
    files = [frame.f_code.co_filename for frame, _line in walk_tb(traceback)]
    ours = next((n for n, file in enumerate(files) if file.startswith(OWN)), len(files))
    return ours < len(files) and all(file.startswith(INSTALLED) for file in files[ours:])


def is_all_found_by_us(error: BaseException) -> bool:
    """As `is_found_by_us`, for an error and for the error that caused it."""
    return is_found_by_us(error.__traceback__) and (
        error.__cause__ is None or is_all_found_by_us(error.__cause__)
    )


def addresses_on_one_line(usual: Callable[[Any, Any, bool], None]) -> Callable[..., None]:
    """Show a tuple as usual, but an address, like the keys in a status, on one line."""

    def show(shown: Any, printer: Any, cycle: bool) -> None:
        match shown:
            case (str(), str(node)) if "@" in node:
                printer.text(repr(shown))
            case _:
                usual(shown, printer, cycle)

    return show


def show_proxy(proxy: Any, printer: Any, _cycle: bool) -> None:
    printer.text(label(proxy))


def label(proxy: Any) -> str:
    """Return `<Peer 'peer1' on a@mymachine>`; an actor without a name has the end of its URN."""
    ref = proxy.actor_ref
    name = getattr(ref, "name", None)
    who = ref.actor_urn[-12:] if name is None else repr(name)
    ended = "" if ref.is_alive() else ", ended"
    return f"<{ref.actor_class.__name__} {who} on {Node.self()}{ended}>"


class ProxyInspector(Inspector):
    """Makes `peer?` describe the actor. IPython's own inspector would read attributes of the proxy:
    each of these reads is a message to the actor, which may be on another node.
    """

    def info(self, obj: Any, oname: str = "", info: Any = None, detail_level: int = 0) -> Any:
        usual: Any = super()
        if isinstance(obj, pykka.ActorProxy):
            about, text = obj.actor_ref.actor_class, label(obj)
        elif isinstance(obj, RemoteProxy):
            about, text = RemoteProxy, repr(obj)
        else:
            return usual.info(obj, oname, info, detail_level)
        doc = f"The proxy of an actor; each call returns a future.\n\n{inspect.getdoc(about)}"
        if issubclass(about, Peer):
            doc = "A member of a Raft group. Use it with the functions of Raft: Raft.status(...)."
        return usual.info(about, oname, None, detail_level) | {
            "isclass": False,
            "type_name": about.__name__,
            "string_form": text,
            "docstring": doc,
            "init_definition": None,
            "init_docstring": None,
        }


def shell_config() -> ShellConfig:
    config = ShellConfig()
    config.TerminalInteractiveShell.prompts_class = NodePrompts
    config.TerminalInteractiveShell.inspector_class = ProxyInspector
    config.TerminalInteractiveShell.confirm_exit = False
    config.TerminalInteractiveShell.term_title_format = f"{Node.self()}"
    return config


def namespace(launched: Launched) -> dict[str, Any]:
    """Return the names of the prompt: the main names of the package, and those of the module."""
    names = {name: getattr(raft_actors, name) for name in AT_HAND}
    if launched.module is not None:
        names |= public_names(launched.module)
    return names


def greeting(launched: Launched) -> str:
    """Return the text that lists the names of the prompt; of the module only its own names."""
    text = f"{launched.node}: {', '.join(AT_HAND)} are imported; Ctrl-D ends the shell."
    if launched.module is not None:
        name, names = launched.module.__name__, public_names(launched.module)
        own = [
            each
            for each, value in names.items()
            if hasattr(launched.module, "__all__") or getattr(value, "__module__", None) == name
        ]
        text += f"\nFrom {name}: {', '.join(own) or 'no name of its own'}."
    return text


def public_names(module: Any) -> dict[str, Any]:
    names = getattr(module, "__all__", None)
    if names is None:
        names = [name for name in vars(module) if not name.startswith("_")]
    return {name: getattr(module, name) for name in names}


class EventPrinter:
    """Prints events above the prompt: nodes, leaders, the end of the tree, the log of the loggers
    in `SHOWN`, and other lines of the log, which would go to standard error.

    The threads that report events must not wait, so another thread prints. It and the answers take
    turns. While the prompt waits, IPython prints what is written to `sys.stdout` above the prompt.
    """

    turn: threading.Lock = threading.Lock()

    def __init__(self) -> None:
        self.waiting: SimpleQueue[str | None] = SimpleQueue()
        self.thread: threading.Thread = threading.Thread(
            target=self.print_all, name="shell-events", daemon=True
        )
        self.thread.start()
        self.cancels: list[Callable[[], Any]] = []

    def watch(self, launched: Launched) -> None:
        self.cancels += [
            Node.monitor(lambda event: self.waiting.put(describe_node(event))),
            events.subscribe(lambda event: self.waiting.put(describe(event))),
            launched.watch_tree(
                lambda reason: self.waiting.put(f"the supervision tree ended: {reason!r}")
            ),
        ]
        for name, level in SHOWN.items():
            self.cancels.append(follow(logging.getLogger(name), LineHandler(self.waiting, level)))
        root = logging.getLogger()
        for handler in [each for each in root.handlers if isinstance(each, StderrHandler)]:
            self.cancels.append(replace(root, handler, LineHandler(self.waiting, handler.level)))

    def stop(self) -> None:
        for cancel in self.cancels:
            cancel()
        self.waiting.put(None)
        self.thread.join()

    def print_all(self) -> None:
        while (text := self.waiting.get()) is not None:
            if text:
                with EventPrinter.turn:
                    sys.stdout.write(f"-- {text}\n")
                    sys.stdout.flush()


class LineHandler(logging.Handler):
    """Puts the lines of a logger into a queue. An error that this library has found has no
    traceback.
    """

    def __init__(self, lines: SimpleQueue[str | None], level: int) -> None:
        super().__init__(level)
        self.lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info and record.exc_info[1]
        is_ours = isinstance(error, RaftError) and is_all_found_by_us(error)
        self.lines.put(record.getMessage() if is_ours else self.format(record))


def follow(log: logging.Logger, handler: logging.Handler) -> Callable[[], None]:
    """Send the lines of `log` only to `handler`. Returns a function that undoes this."""
    before = log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(min(handler.level, log.getEffectiveLevel()))
    log.propagate = False  # without this each line would be printed twice

    def stop() -> None:
        log.removeHandler(handler)
        log.setLevel(before[0])
        log.propagate = before[1]

    return stop


def replace(log: logging.Logger, old: logging.Handler, new: logging.Handler) -> Callable[[], None]:
    """Send the lines of `log` to `new` instead of `old`. Returns a function that undoes this."""
    log.addHandler(new)
    log.removeHandler(old)

    def stop() -> None:
        log.addHandler(old)
        log.removeHandler(new)

    return stop


class CalmDisplayHook(RichPromptDisplayHook):
    """Shows an answer without events between its lines."""

    def __call__(self, result: Any = None) -> None:
        usual: Any = super()
        with EventPrinter.turn:
            usual.__call__(result)


def describe_node(event: NodeUp | NodeDown) -> str:
    if isinstance(event, NodeUp):
        return f"{event.node} is up"
    return f"{event.node} is down: {event.reason}"


def describe(event: events.Event) -> str:
    """Return the line for an event; "" for a peer that has never had a leader."""
    name, _ = event.peer
    if not isinstance(event, events.LeaderChanged):
        return ""  # a warning or an error in the log says the same
    if event.leader is not None:
        leader_name, leader_node = event.leader
        return f"{name}: the leader is {leader_name} on {leader_node}, term {event.term}"
    return f"{name}: no leader in term {event.term}" if event.term else ""
