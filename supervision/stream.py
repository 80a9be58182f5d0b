"""Streams of tasks: a bounded number of them at a time, their outcomes in order or not."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, Literal, Protocol

from supervision.errors import OptionError
from supervision.foreign import is_count, is_string, text_of
from supervision.waits import seconds

__all__ = ["Outcome", "Streaming", "stream_of"]

Outcome = tuple[Literal["ok"], Any] | tuple[Literal["exit"], Any]


class Running(Protocol):
    """A task, as this file needs it."""

    def outcome(self) -> Outcome | None:
        """Return how the task ended, or None while it runs."""

    def shutdown(self, timeout: Literal["brutal_kill"], /) -> Outcome | None:
        """Kill the task, and return its outcome if it had one."""

    def add_done_callback(self, fn: Callable[[Any], Any], /) -> None:
        """Call `fn(task)` when the task has an outcome."""


@dataclass(frozen=True, slots=True)
class Streaming:
    """The options of a stream; see `Task.stream`. Raises OptionError."""

    max_concurrency: int | None
    ordered: bool
    timeout: float | None
    on_timeout: Literal["exit", "kill_task"]
    zip_input_on_exit: bool

    def __post_init__(self) -> None:
        if self.max_concurrency is not None and (
            not is_count(self.max_concurrency) or self.max_concurrency == 0
        ):
            raise OptionError(
                ("invalid_max_concurrency", self.max_concurrency),
                "max_concurrency must be a whole number above 0, not "
                f"{text_of(self.max_concurrency)}",
            )
        if not any(is_string(self.on_timeout, known) for known in ("exit", "kill_task")):
            raise OptionError(
                ("invalid_on_timeout", self.on_timeout),
                f"on_timeout must be exit or kill_task, not {text_of(self.on_timeout)}",
            )
        if self.timeout is not None:
            seconds(self.timeout)


@dataclass(slots=True, eq=False)
class Entry:
    """One item of a stream: its task, when the task must have ended, and its outcome."""

    item: Any
    task: Running
    until: float | None
    outcome: Outcome | None = None


def stream_of(
    start: Callable[[Any], Running], iterable: Iterable[Any], options: Streaming
) -> Iterator[Outcome]:
    """Call `start(item)` for each item, and yield the outcomes of the tasks."""
    limit = options.max_concurrency or os.cpu_count() or 1
    items, entries, ended = iter(iterable), list[Entry](), SimpleQueue[Entry]()
    ready: list[Entry] = []
    more = True
    try:
        while True:
            while more and len(entries) < limit:
                try:
                    item = next(items)
                except StopIteration:
                    more = False
                    break
                entries.append(_started(start, item, options, ended))
            if not entries:
                return
            while not (ready := _ready(entries, options)):
                _await_one(entries, ended, options)
            for entry in ready:
                entries.remove(entry)
                yield _shown(entry, options)
    finally:
        for entry in entries:
            entry.task.shutdown("brutal_kill")
        if hasattr(items, "close"):
            items.close()


def _started(
    start: Callable[[Any], Running], item: Any, options: Streaming, ended: "SimpleQueue[Entry]"
) -> Entry:
    task = start(item)
    until = None if options.timeout is None else monotonic() + seconds(options.timeout)
    entry = Entry(item, task, until)
    task.add_done_callback(lambda _: ended.put(entry))
    return entry


def _ready(entries: list[Entry], options: Streaming) -> list[Entry]:
    """Return the entry that is to be yielded next, if it has an outcome."""
    if options.ordered:
        return entries[:1] if entries[0].outcome is not None else []
    return next(([entry] for entry in entries if entry.outcome is not None), [])


def _await_one(entries: list[Entry], ended: "SimpleQueue[Entry]", options: Streaming) -> None:
    """Wait until one more task has an outcome, or until the time of one is over."""
    open_entries = [each for each in entries if each.outcome is None]
    until = min((each.until for each in open_entries if each.until is not None), default=None)
    try:
        entry = ended.get(timeout=None if until is None else max(0.0, until - monotonic()))
    except Empty:
        now = monotonic()
        for each in open_entries:
            if each.until is not None and each.until <= now and each.task.outcome() is None:
                if is_string(options.on_timeout, "exit"):
                    raise TimeoutError(
                        f"the task for {text_of(each.item)} has not ended within "
                        f"{options.timeout} s"
                    ) from None
                each.outcome = ("exit", "timeout")
                each.task.shutdown("brutal_kill")
    else:
        if entry.outcome is None:
            entry.outcome = entry.task.outcome()


def _shown(entry: Entry, options: Streaming) -> Outcome:
    outcome = entry.outcome
    assert outcome is not None
    if outcome[0] == "exit" and options.zip_input_on_exit:
        return ("exit", (entry.item, outcome[1]))
    return outcome
