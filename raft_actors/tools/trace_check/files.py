"""Trace files, read: runs of lines, peer by peer. A cut last line is what a `kill -9` leaves."""

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raft_actors.names import Address
from raft_actors.tools.trace_check.rules import TraceLine, Violation

__all__ = ["Line", "Run", "address", "read"]

FORMAT = 2
NO_PLACE = 0.0


def address(value: Any) -> Address:
    """A peer, as JSON has it."""
    name, node = value
    return name, node


@dataclass(slots=True)
class Line:
    """One line; `what` is the object it holds."""

    place: TraceLine
    what: dict[str, Any]


@dataclass(slots=True)
class Run:
    """A peer from a start to its end; or, if it was killed, to the last line that was not lost."""

    lines: list[Line] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        """Whether it had the time to write all down: not if it was killed, or died of a fault."""
        last = self.lines[-1].what
        return last["event"] == "end" and "exception" not in last["reason"]

    @property
    def last_term(self) -> int:
        term: int = self.lines[-1].what["term"]
        return term


def read(directory: Path) -> dict[Address, list[Run]]:
    """Return each peer's runs in the order in which they began.

    Raises Violation for what is no trace, and FileNotFoundError when there is none.
    """
    paths = sorted(directory.glob("*.jsonl")) if directory.is_dir() else [directory]
    if not paths or not paths[0].exists():
        what = "are no traces (*.jsonl) in" if directory.is_dir() else "is no"
        raise FileNotFoundError(
            f"there {what} {directory}: name the directory that RAFT_TRACE or Config(trace=...) was"
        )
    runs: dict[Address, list[Run]] = defaultdict(list)
    for path in paths:
        run = None
        for line in lines_of(path):
            if line.what["event"] == "start":
                check_format(line)
                run = Run()
                name, node = line.what["peer"]
                runs[name, node].append(run)
            elif run is None:
                raise Violation("whole", line.place, "it does not begin with a start")
            run.lines.append(line)
    for each in runs.values():
        each.sort(key=lambda run: run.lines[0].place)
    return dict(runs)


def lines_of(path: Path) -> Iterator[Line]:
    with path.open("rb") as file:
        for number, data in enumerate(file, 1):
            if not data.endswith(b"\n"):
                return  # cut in the middle
            place = TraceLine(NO_PLACE, path, number)
            try:
                what = json.loads(data)
                yield Line(TraceLine(what["at"], path, number), what)
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise Violation("whole", place, f"it is no line of a trace: {error}") from None


def check_format(line: Line) -> None:
    if line.what["format"] != FORMAT:
        raise Violation("whole", line.place, f"format {line.what['format']} is not {FORMAT}")
