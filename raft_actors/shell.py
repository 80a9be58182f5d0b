"""Shell: an IPython prompt on a started node, with what happens in the cluster told above it."""

import sys
from collections.abc import Callable
from typing import Any

import pykka
from IPython.terminal.ipapp import TerminalIPythonApp
from IPython.terminal.prompts import Prompts
from pygments.token import Token
from traitlets.config import Config as ShellConfig

import raft_actors
from raft_actors import Node, events
from raft_actors.launch import Launched, Plan, launch

__all__ = ["run_shell"]

AT_HAND = ("Raft", "Node", "StateMachine", "Config", "Supervisor", "DynamicSupervisor")


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
    with launch(plan) as launched:
        app: Any = TerminalIPythonApp.instance(
            config=shell_config(), user_ns=namespace(launched), display_banner=False
        )
        app.initialize([])
        app.shell.set_custom_exc((KeyboardInterrupt,), tell_interrupted)
        app.shell.display_formatter.formatters["text/plain"].for_type(pykka.ActorProxy, show_proxy)
        print(f"{launched.node}: {', '.join(AT_HAND)} are at hand; Ctrl-D leaves.")
        stop_telling = tell_news(launched)
        try:
            app.start()
        finally:
            stop_telling()
    return 0


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


def tell_news(launched: Launched) -> Callable[[], None]:
    """Print nodes that come and go, leaders that change, a tree that ends; returns how to stop."""
    cancels = [
        Node.monitor(lambda event: notice(describe_node(event))),
        events.subscribe(lambda event: notice(describe_leader(event))),
        launched.watch_tree(lambda reason: notice(f"the supervision tree ended: {reason!r}")),
    ]

    def stop() -> None:
        for cancel in cancels:
            cancel()

    return stop


def notice(text: str) -> None:
    """Print a line above the prompt, whichever thread has news.

    While the prompt waits, IPython has `sys.stdout` patched so that lines go above it.
    """
    sys.stdout.write(f"-- {text}\n")
    sys.stdout.flush()


def describe_node(event: Any) -> str:
    if type(event).__name__ == "NodeUp":
        return f"{event.node} is up"
    return f"{event.node} is down: {event.reason}"


def describe_leader(event: Any) -> str:
    if event.leader is None:
        return f"{event.peer[0]}: no leader in term {event.term}"
    leader_name, leader_node = event.leader
    return f"{event.peer[0]}: the leader is {leader_name} on {leader_node}, term {event.term}"
