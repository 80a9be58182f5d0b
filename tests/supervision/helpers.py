"""Small processes that tests start."""

import threading

from supervision import ChildSpec, Ignore, Process, Stop


class Worker(Process):
    """Does what it is told: raises exceptions, calls functions, otherwise echoes."""

    def init(self, label="worker", journal=None):
        self.label, self.journal = label, journal
        if journal is not None:
            journal.append(("start", label))

    def on_receive(self, message):
        if isinstance(message, BaseException):
            raise message
        return message(self) if callable(message) else message

    def terminate(self, reason):
        if self.journal is not None:
            self.journal.append(("stop", self.label, reason))


def boom(_process):
    raise ValueError("boom")


class Collector(Process):
    """Keeps every message it is told."""

    def init(self):
        self.seen = []

    def on_receive(self, message):
        self.seen.append(message)

    def collected(self):
        return list(self.seen)


def seen(ref):
    return ref.proxy().collected().get(timeout=10)


class Script:
    """A start function that does what its list says, one entry for each start; then starts."""

    def __init__(self, *outcomes, label="scripted"):
        self.outcomes, self.label, self.starts = list(outcomes), label, 0

    def __call__(self):
        self.starts += 1
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if isinstance(outcome, BaseException):
            raise outcome
        return Worker.start_link(self.label) if outcome is None else outcome

    def spec(self, **options):
        return ChildSpec(self.label, self, **options)


class Picky(Process):
    def init(self, how):
        if how == "ignore":
            raise Ignore
        if how == "stop":
            raise Stop("not today")
        if how == "raise":
            raise ValueError("picky")
        if how == "exit":
            raise SystemExit(3)


class Gate:
    """Holds a process up until it is opened: `ref.tell(gate.hold)`."""

    def __init__(self):
        self.reached, self.opened = threading.Event(), threading.Event()

    def hold(self, _process=None):
        self.reached.set()
        assert self.opened.wait(10)
        return "held"
