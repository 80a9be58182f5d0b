"""Supervision without Raft: a worker that fails is started again, by OTP's rules.

    python -m examples.supervised_actors

Needs nothing of raft_actors: `supervision` works with any Pykka actor.
"""

import time
from queue import SimpleQueue
from typing import Any

import pykka

from supervision import Down, Process, Supervisor, monitor, names


class Divider(Process):
    """Divides what it is asked to. An exception ends it; its supervisor starts another."""

    def on_receive(self, message: Any) -> Any:
        dividend, divisor = message
        return dividend / divisor


class Greeter(pykka.ThreadingActor):
    """A plain Pykka actor can be a child as well."""

    def greet(self, name: str) -> str:
        return f"hello {name}"


class Mourner(Process):
    """Watches another process and tells why it ended."""

    def init(self, watched: Any, heard: "SimpleQueue[Any]") -> None:
        self.heard = heard
        monitor(watched)

    def on_receive(self, message: Any) -> None:
        match message:
            case Down(reason=reason):
                self.heard.put(reason)


def main() -> None:
    children = [Divider.child_spec(name="divider"), Greeter]
    ok, supervisor = Supervisor.start_link(children, strategy="one_for_one")
    assert ok == "ok"
    divider: Any = names.whereis("divider")
    print("7 / 2 =", divider.ask((7, 2)))

    heard: SimpleQueue[Any] = SimpleQueue()
    mourner = Mourner.start(divider, heard)
    try:
        divider.ask((7, 0))
    except ZeroDivisionError as error:
        print("7 / 0:", error)
    print("the divider ended:", heard.get(timeout=10))
    while names.whereis("divider") in {None, divider}:
        time.sleep(0.01)
    successor: Any = names.whereis("divider")
    print("another took its name; 9 / 2 =", successor.ask((9, 2)))
    for name, _, kind, _ in Supervisor.which_children(supervisor):
        print("child:", name, kind)
    mourner.stop()
    print("stopped:", Supervisor.stop(supervisor))


if __name__ == "__main__":
    main()
