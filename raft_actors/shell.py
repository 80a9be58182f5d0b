"""Shell: an IPython prompt on a started node, with what happens in the cluster told above it."""

import logging
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import pykka
from IPython.terminal.ipapp import TerminalIPythonApp
from IPython.terminal.prompts import Prompts, RichPromptDisplayHook
from pygments.token import Token
from traitlets.config import Config as ShellConfig

import raft_actors
from raft_actors import Node, events
from raft_actors.launch import Launched, Plan, launch
from raft_actors.node import NodeDown, NodeUp

__all__ = ["run_shell"]

AT_HAND = ("Raft", "Cluster", "Node", "StateMachine", "Config", "Supervisor", "DynamicSupervisor")


class NodePrompts(Prompts):
    """`a@mymachine [1]: ` for `In [1]: `: with three shells open one must see where one is."""

    def in_prompt_tokens(self) -> list[tuple[Any, str]]:
        usual: Any = super()
        mode, *_ = usual.in_prompt_tokens()
        return [
            mode,
            (Token.Prompt, f"{Node.self()} ["),
            (Token.PromptNum, str(self.shell.execution_count)),
            (Token.Prompt, "]: "),
        ]


def run_shell(plan: Plan) -> int:
    """Launch the plan, run the prompt until Ctrl-D, end everything; returns the exit status."""
    logging.getLogger("raft_actors.node.links").setLevel(logging.ERROR)  # these are news anyway
    logging.getLogger("raft_actors.peer").setLevel(logging.WARNING)
    with launch(plan) as launched:
        app: Any = TerminalIPythonApp.instance(
            config=shell_config(), user_ns=namespace(launched), display_banner=False
        )
        app.initialize([])
        arrange(app.shell)
        print(f"{launched.node}: {', '.join(AT_HAND)} are at hand; Ctrl-D leaves.")
        news = News()
        news.watch(launched)
        try:
            app.start()
        finally:
            news.stop()
    return 0


def arrange(shell: Any) -> None:
    """Say how a shell shows answers, proxies and Ctrl-C; IPython has no settings for these."""
    hook: Any = CalmDisplayHook
    shell.displayhook = hook(parent=shell, shell=shell, cache_size=shell.cache_size)
    shell.display_trap.hook = shell.displayhook
    shell.display_formatter.formatters["text/plain"].for_type(pykka.ActorProxy, show_proxy)
    shell.set_custom_exc((KeyboardInterrupt,), tell_interrupted)


def tell_interrupted(*_: Any, **__: Any) -> None:
    """One line for Ctrl-C: where in the library the wait was is nobody's concern."""
    print("\nKeyboardInterrupt", file=sys.stderr)


def show_proxy(proxy: Any, printer: Any, _cycle: bool) -> None:
    """`<Peer 'peer1' on a@mymachine>`; an actor without a name by the end of its urn."""
    ref = proxy.actor_ref
    name = getattr(ref, "name", None)
    label = ref.actor_urn[-12:] if name is None else repr(name)
    printer.text(f"<{ref.actor_class.__name__} {label} on {Node.self()}>")


def shell_config() -> ShellConfig:
    config = ShellConfig()
    config.TerminalInteractiveShell.prompts_class = NodePrompts
    config.TerminalInteractiveShell.confirm_exit = False
    config.TerminalInteractiveShell.term_title_format = f"{Node.self()}"
    return config


def namespace(launched: Launched) -> dict[str, Any]:
    """What the prompt knows: the package's main names and the public ones of the module."""
    names = {name: getattr(raft_actors, name) for name in AT_HAND}
    if launched.module is not None:
        names |= public_names(launched.module)
    return names


def public_names(module: Any) -> dict[str, Any]:
    names = getattr(module, "__all__", None)
    if names is None:
        names = [name for name in vars(module) if not name.startswith("_")]
    return {name: getattr(module, name) for name in names}


class News(logging.Handler):
    """Prints what happens above the prompt: nodes, leaders, the end of the tree, and what the
    node's log warns of: why another one is not reached.

    Those who bring news are threads that must not wait, so one of our own prints. It takes turns
    with the answers. While the prompt waits, IPython has `sys.stdout` lift lines above it.
    """

    turn = threading.Lock()

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.waiting: SimpleQueue[str | None] = SimpleQueue()
        self.teller = threading.Thread(target=self.tell, name="news", daemon=True)
        self.teller.start()
        self.cancels: list[Callable[[], Any]] = []

    def watch(self, launched: Launched) -> None:
        self.cancels += [
            Node.monitor(lambda event: self.waiting.put(describe_node(event))),
            events.subscribe(lambda event: self.waiting.put(describe(event))),
            launched.watch_tree(
                lambda reason: self.waiting.put(f"the supervision tree ended: {reason!r}")
            ),
        ]
        log = logging.getLogger("raft_actors.node")
        log.addHandler(self)
        log.propagate = False  # else each would be told twice

    def emit(self, record: logging.LogRecord) -> None:
        self.waiting.put(record.getMessage())

    def stop(self) -> None:
        for cancel in self.cancels:
            cancel()
        log = logging.getLogger("raft_actors.node")
        log.removeHandler(self)
        log.propagate = True
        self.waiting.put(None)
        self.teller.join()

    def tell(self) -> None:
        while (text := self.waiting.get()) is not None:
            if text:
                with News.turn:
                    sys.stdout.write(f"-- {text}\n")
                    sys.stdout.flush()


class CalmDisplayHook(RichPromptDisplayHook):
    """Shows an answer in one piece, without news between its lines."""

    def __call__(self, result: Any = None) -> None:
        usual: Any = super()
        with News.turn:
            usual.__call__(result)


def describe_node(event: NodeUp | NodeDown) -> str:
    if isinstance(event, NodeUp):
        return f"{event.node} is up"
    return f"{event.node} is down: {event.reason}"


def describe(event: events.Event) -> str:
    """What to say of it; nothing of a peer that has never had a leader."""
    name, _ = event.peer
    if isinstance(event, events.DiskSlow | events.DiskRefused):
        return ""  # the log has a warning
    if event.leader is not None:
        leader_name, leader_node = event.leader
        return f"{name}: the leader is {leader_name} on {leader_node}, term {event.term}"
    return f"{name}: no leader in term {event.term}" if event.term else ""
