"""Trace: the recorder of one peer. It writes a JSON line for each event that is stepped and each
effect that is performed.

The lines of a batch are written together at its end, before its messages leave the process. So
after a `kill -9` at most the last batch is missing. `docs/trace.md` describes the format;
`raft-actors trace check` reads it. A peer without a trace has None in its place.
"""

import json
import logging
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from raft_actors.core.effects import Effects
from raft_actors.core.entry import CONFIG, kind_of, payload_of, term_of
from raft_actors.core.messages import Event, Message, SnapshotInstalled
from raft_actors.core.server import Server
from raft_actors.core.snapshot import Snapshot
from raft_actors.errors import StoreError
from raft_actors.paths import make_private, open_private
from raft_actors.stores.files import advice_on

__all__ = ["FORMAT", "Trace", "open_trace"]

logger: logging.Logger = logging.getLogger("raft_actors.trace")

FORMAT = 2
HASH_BYTES = 8
START_BYTES = 1 << 20  # bytes of entries that are read at once at the start
OMITTED = {"ticket", "command", "query"}
"""Fields of events that belong to a client and not to the protocol."""

encode_line: Callable[[Any], str] = json.JSONEncoder(separators=(",", ":")).encode


def open_trace(directory: str | Path | None, core: Server) -> "Trace | None":
    """Return a trace for the run of a peer that begins now; None if `directory` is None.

    `directory` is made if it does not exist. The file in it is named `<peer>@<node>.<pid>.jsonl`.
    Raises StoreError if the file can't be written.
    """
    if directory is None:
        return None
    try:
        return Trace(Path(directory), core)
    except OSError as error:
        raise StoreError(
            f"{directory}, the directory of Config.trace, can't be written: "
            f"{error.strerror or error}; {advice_on(error)}"
        ) from error


class Trace:
    """Records one run of one peer. All methods run on the peer's thread."""

    def __init__(self, directory: Path, core: Server) -> None:
        make_private(directory)
        name, node = core.peer
        self.path: Path = directory / f"{name}@{node}.{os.getpid()}.jsonl"
        self.core = core
        self.number: int = 0
        self.lines: list[str] = []
        self.log_end: tuple[int, int] = (0, 0)
        self.unsaved: int = 0
        # At a start, the commit index is that of the snapshot or of the state on disk.
        self.applied: int = core.commit_index
        self.file: Any = open_private(self.path, "ab", buffering=0)
        self.start()

    def start(self) -> None:
        """Record what the peer has read from its store."""
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

    # The events and effects.

    def step(self, event: Event) -> None:
        """Step `event`, and record it with the changes that it made."""
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
        """Record the messages that are sent now."""
        for message in messages:
            self.write("send", message=plain(message))

    def saved(self, due: Effects) -> None:
        """Record what was saved."""
        stored = None if due.ballot is None else due.ballot.stored()
        restart = {"restart": due.restart} if due.restart is not None else {}
        self.note_log()
        self.write("save", ballot=stored, **restart, first=due.first, entries=views(due.entries))

    def end_batch(self, applied: int) -> None:
        """Record up to which entry the state machine has applied, and write all lines."""
        if applied != self.applied:
            self.write("apply", first=self.applied + 1, through=applied)
            self.applied = applied
        self.flush()

    def close(self, reason: Any) -> None:
        """Record that the run ends, and why."""
        self.write("end", reason=repr(reason))
        self.flush()
        if self.file is not None:
            self.file.close()
            self.file = None

    # Writing.

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
        """Write the lines to the file, without a sync: they survive a crash of the process, but not
        a power failure.
        """
        if self.file is None:
            self.lines.clear()
        elif self.lines:
            data = "\n".join([*self.lines, ""]).encode()
            self.lines.clear()
            try:
                while data:
                    data = data[self.file.write(data) :]
            except OSError as error:
                # A trace that can't be written is no reason to stop the peer.
                logger.warning("the trace %s ends here: %s", self.path, error)
                self.file.close()
                self.file = None

    def changed_log(self) -> dict[str, Any]:
        """Return the entries that the last step wrote into the log, if any.

        A step can only have changed unsaved entries. If it has replaced some, all unsaved entries
        are recorded.
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
    """Return `[term, hash]` for each entry; for a configuration also its content."""
    found = []
    for entry in entries:
        view: list[Any] = [term_of(entry), digest(entry)]
        if kind_of(entry) == CONFIG:
            view.append(json.loads(payload_of(entry)))
        found.append(view)
    return found


def plain(event: Any) -> dict[str, Any]:
    """Return an event's kind and its fields as JSON values, with hashes in place of payloads."""
    assert is_dataclass(event)
    found: dict[str, Any] = {"kind": type(event).__name__}
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
            found[field.name] = value
    return found


def digest(data: bytes) -> str:
    return blake2b(data, digest_size=HASH_BYTES).hexdigest()
