"""Supervision without Raft: a worker that crashes is restarted, by OTP's rules.

    python -m examples.supervised_actors

This example does not need raft_actors: `supervision` works with any Pykka actor.
"""

import time
from queue import SimpleQueue
from typing import Any

import pykka

from supervision import Down, Process, Supervisor, monitor, names


class Divider(Process):
    """Divides two numbers. An exception ends the process; its supervisor starts another."""

    def on_receive(self, message: Any) -> Any:
        dividend, divisor = message
        return dividend / divisor


class Greeter(pykka.ThreadingActor):
    """A plain Pykka actor can be a child as well."""

    def greet(self, name: str) -> str:
        return f"hello {name}"


class EndReporter(Process):
    """Monitors another process, and puts the reason of its end into a queue."""

    def init(self, watched: Any, reasons: "SimpleQueue[Any]") -> None:
        self.reasons = reasons
        monitor(watched)

    def on_receive(self, message: Any) -> None:
        match message:
            case Down(reason=reason):
                self.reasons.put(reason)


def main() -> None:
    children = [Divider.child_spec(name="divider"), Greeter]
    started = Supervisor.start_link(children, strategy="one_for_one")
    assert started[0] == "ok", started
    supervisor = started[1]
    divider: Any = names.whereis("divider")
    print("7 / 2 =", divider.ask((7, 2)))

    reasons: SimpleQueue[Any] = SimpleQueue()
    reporter = EndReporter.start(divider, reasons)
    try:
        divider.ask((7, 0))
    except ZeroDivisionError as error:
        print("7 / 0:", error)
    print("the divider ended:", reasons.get(timeout=10))
    while names.whereis("divider") in {None, divider}:
        time.sleep(0.01)
    successor: Any = names.whereis("divider")
    print("another took its name; 9 / 2 =", successor.ask((9, 2)))
    for name, _, kind, _ in Supervisor.which_children(supervisor):
        print("child:", name, kind)
    reporter.stop()
    print("stopped:", Supervisor.stop(supervisor))


if __name__ == "__main__":
    main()
