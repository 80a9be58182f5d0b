"""Trace: the flight recorder of one peer. A JSON line for each event stepped and effect done.

The lines of a batch are written in one go at its end, before what was sent leaves the process, so
after a `kill -9` at most the last batch is missing. The format is told in `docs/trace.md`;
`raft-actors trace check` reads it. A peer without a trace has None in its place.
"""

import json
import logging
import os
import time
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from raft_actors.core.effects import Effects
from raft_actors.core.entry import CONFIG, kind_of, payload_of, term_of
from raft_actors.core.messages import Event, Message, SnapshotInstalled
from raft_actors.core.server import Server
from raft_actors.core.snapshot import Snapshot
from raft_actors.paths import make_private, open_private

__all__ = ["FORMAT", "Trace", "open_trace"]

logger = logging.getLogger("raft_actors.trace")

FORMAT = 2
HASH_BYTES = 8
START_BYTES = 1 << 20  # of entries that are read at once when a run begins
OMITTED = {"ticket", "command", "query"}
"""Fields of events that are a client's and no matter of the protocol."""

encode_line = json.JSONEncoder(separators=(",", ":")).encode


def open_trace(directory: str | Path | None, core: Server) -> "Trace | None":
    """Return the trace of a peer's run that begins now, or None if none is wanted.

    `directory` is made if need be; the file in it is named `<peer>@<node>.<pid>.jsonl`. Raises
    OSError if it can't be written.
    """
    return None if directory is None else Trace(Path(directory), core)


class Trace:
    """Records one run of one peer. All of it happens on the peer's thread."""

    def __init__(self, directory: Path, core: Server) -> None:
        make_private(directory)
        name, node = core.peer
        self.path = directory / f"{name}@{node}.{os.getpid()}.jsonl"
        self.core = core
        self.number = 0
        self.lines: list[str] = []
        self.log_end = (0, 0)
        self.unsaved = 0
        self.applied = core.commit_index  # of the snapshot, or of the state on disk, at a start
        self.file: Any = open_private(self.path, "ab", buffering=0)
        self.start()

    def start(self) -> None:
        """Tell what the store gave back."""
        core, log = self.core, self.core.log
        entries: list[Any] = []
        index = log.base + 1
        while index <= log.last_index:
            part = log.batch(index, START_BYTES)
            entries += views(part)
            index += len(part)
        self.note_log()
        configured = core.configuration if core.configuration.members else None
        self.write(
            "start", format=FORMAT, peer=core.peer, incarnation=core.incarnation, pid=os.getpid(),
            base_term=log.base_term, min_election_timeout=core.config.min_election_timeout,
            promise_ms=core.promise_ms, owed=core.ballot.owed, entries=entries,
            configured=configured and json.loads(configured.encode()),
        )  # fmt: skip
        self.flush()

    # What the peer tells.

    def step(self, event: Event) -> None:
        """Step `event`, and tell it with what it changed."""
        received = isinstance(event, Message)
        name = "receive" if received else "step"
        what = {"message" if received else "what": plain(event)}
        try:
            self.core.step(event)
        except Exception as error:
            self.write(name, **what, raised=repr(error))
            self.flush()
            raise
        if type(event) is SnapshotInstalled:
            self.applied = event.snapshot.index
        self.write(name, **what, **self.changed_log())

    def sent(self, messages: Iterable[Message]) -> None:
        """Tell what is sent now."""
        for message in messages:
            self.write("send", message=plain(message))

    def saved(self, due: Effects) -> None:
        """Tell what has become durable."""
        stored = None if due.ballot is None else due.ballot.stored()
        restart = {"restart": due.restart} if due.restart is not None else {}
        self.note_log()
        self.write("save", ballot=stored, **restart, first=due.first, entries=views(due.entries))

    def end_batch(self, applied: int) -> None:
        """Tell how far the state machine is, and write everything out."""
        if applied != self.applied:
            self.write("apply", first=self.applied + 1, through=applied)
            self.applied = applied
        self.flush()

    def close(self, reason: Any) -> None:
        """Tell that the run ends, and why."""
        self.write("end", reason=repr(reason))
        self.flush()
        if self.file is not None:
            self.file.close()
            self.file = None

    # How it is written.

    def write(self, event: str, **what: Any) -> None:
        core, log = self.core, self.core.log
        self.number += 1
        line = {
            "n": self.number, "at": round(time.time(), 6), "now": round(core.now, 6),
            "event": event, **what,
            "term": core.term, "vote": core.voted_for, "role": core.role.name,
            "leader": core.role.leader, "commit": core.commit_index, "base": log.base,
            "last": log.last_index, "last_term": log.last_term,
            "configuration": core.configuration.index, "group": core.ballot.group,
        }  # fmt: skip
        if core.founding is not None:
            line["founding"] = json.loads(core.founding.configuration.encode())
        self.lines.append(encode_line(line))

    def flush(self) -> None:
        """Hand the lines to the system: they survive the process, not a loss of power."""
        if self.file is None:
            self.lines.clear()
        elif self.lines:
            data = "\n".join([*self.lines, ""]).encode()
            self.lines.clear()
            try:
                while data:
                    data = data[self.file.write(data) :]
            except OSError as error:
                # A recorder that is out of order is no reason to stop the engine.
                logger.warning("the trace %s ends here: %s", self.path, error)
                self.file.close()
                self.file = None

    def changed_log(self) -> dict[str, Any]:
        """Return the entries that the last step put into the log, if any.

        Only what is unsaved can have been changed; it is told whole if a step replaced entries.
        """
        log = self.core.log
        last, last_term = self.log_end
        end, unsaved = (log.last_index, log.last_term), self.unsaved
        if end == self.log_end and log.unsaved == unsaved:
            return {}
        self.note_log()
        grew = log.unsaved == unsaved and last <= log.last_index and log.base <= last
        first = last + 1 if grew and log.term_at(last) == last_term else log.unsaved
        return {"first": first, "entries": views(log.between(first, log.last_index))}

    def note_log(self) -> None:
        log = self.core.log
        self.log_end = log.last_index, log.last_term
        self.unsaved = log.unsaved


def views(entries: list[bytes]) -> list[list[Any]]:
    """Return `[term, hash]` for each entry, and for a configuration what it says as well."""
    told = []
    for entry in entries:
        view: list[Any] = [term_of(entry), digest(entry)]
        if kind_of(entry) == CONFIG:
            view.append(json.loads(payload_of(entry)))
        told.append(view)
    return told


def plain(event: Any) -> dict[str, Any]:
    """Return an event's kind and its fields as JSON knows them; payloads as hashes."""
    assert is_dataclass(event)
    told: dict[str, Any] = {"kind": type(event).__name__}
    for field in fields(event):
        if field.name not in OMITTED:
            value = getattr(event, field.name)
            if field.name == "entries":
                value = views(value)
            elif isinstance(value, bytes):
                value = digest(value)
            elif isinstance(value, Snapshot):
                configuration = value.configuration
                value = {
                    "index": value.index, "term": value.term, "configuration": configuration.index,
                    "configured": json.loads(configuration.encode()),
                }  # fmt: skip
            told[field.name] = value
    return told


def digest(data: bytes) -> str:
    return blake2b(data, digest_size=HASH_BYTES).hexdigest()
