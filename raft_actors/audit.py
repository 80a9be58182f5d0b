"""Audit: who connected, who was refused, and what was asked of peers that not everybody may.

Events go to the logger `raft_actors.audit`, each as one line of JSON. It is off; a file of
`Node.start(audit_log=...)` turns it on, and so does a program that gives it a handler and the level
INFO. No event holds a command, a reply or a cookie; of a request's content there is a digest at
most.
"""

import contextlib
import errno
import fcntl
import json
import logging
import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from raft_actors.errors import RaftError
from raft_actors.paths import absolute, make_private

__all__ = ["audit", "digest_of", "open_audit_log"]

FILE_BYTES_MAX = 10 * 1024 * 1024
OLD_FILES = 5
DIGEST_CHARACTERS = 16

node_logger: logging.Logger = logging.getLogger("raft_actors.node")
logger: logging.Logger = logging.getLogger("raft_actors.audit")
logger.propagate = False  # lines for a program, and not for the log that people read
OFF = logging.CRITICAL + 1
logger.setLevel(OFF)


def audit(event: str, **fields: Any) -> None:
    """Tell of an event, if anybody has asked for it. From any thread."""
    if logger.isEnabledFor(logging.INFO):
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        logger.info("%s", json.dumps({"at": at, "event": event, **fields}))


def digest_of(content: bytes) -> str:
    """Return what tells one content from another, and does not tell it."""
    return sha256(content).hexdigest()[:DIGEST_CHARACTERS]


class AuditFile(RotatingFileHandler):
    """A file for this user alone, of so many bytes at most, and as many older ones.

    Each event is one `write`, so that no buffer holds it back. When the file was renamed or removed
    (as logrotate does), the next event makes a new one. Events that can't be written are lost, and
    the log says so: once, and again when it is over.
    """

    level_before = OFF
    """The level of the logger without a file: the program may have a handler of its own."""
    is_first: bool = True
    lost: int = 0
    is_cut_off: bool = False
    """Whether the last line is not complete, because the disk became full in the middle."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = f"{self.format(record)}\n".encode()
            self._reopen_if_moved()
            if self.shouldRollover(record):
                self._roll_over()
            line = b"\n" + line if self.is_cut_off else line
            written = os.write(self._descriptor(), line)
            self.is_cut_off = 0 < written < len(line)
            if written < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # noqa: TRY301
        except Exception as error:
            self._note_lost(error)
            return
        if self.lost:
            lost, self.lost = self.lost, 0
            node_logger.warning("%s is written again; %d events are lost", self._named, lost)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # of a disk that is full
            super().close()

    @property
    def _named(self) -> str:
        return f"the audit log {self.baseFilename}"

    def _open(self) -> Any:
        file = open(  # noqa: SIM115 - a pipe or a terminal is allowed here
            self.baseFilename, self.mode, encoding=self.encoding,
            opener=partial(os.open, mode=0o600),
        )  # fmt: skip
        try:
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                with contextlib.suppress(PermissionError):
                    os.fchmod(file.fileno(), 0o600)  # where it was there before
                self._lock(file.fileno())
        except BaseException:
            file.close()
            raise
        return file

    def _lock(self, descriptor: int) -> None:
        """Keep other nodes from the file: each would rename it away from the other. Raises
        BlockingIOError, but only where the file is opened first.
        """
        is_first, self.is_first = self.is_first, False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if is_first:
                raise
        except OSError as error:  # some network file systems have no locks
            node_logger.debug("%s is not locked: %s", self._named, error)

    def _descriptor(self) -> int:
        self.stream = self.stream or self._open()
        return self.stream.fileno()

    def _reopen_if_moved(self) -> None:
        opened = os.fstat(self._descriptor())
        try:
            if os.path.samestat(opened, os.stat(self.baseFilename)):  # noqa: PTH116
                return
        except FileNotFoundError:
            pass
        moved, self.stream = self.stream, self._open()
        if moved is not None:
            moved.close()

    def _roll_over(self) -> None:
        try:
            self.doRollover()
        except OSError as error:  # a directory that can't be written: better too large than lost
            node_logger.debug("%s is not renamed: %s", self._named, error)

    def _note_lost(self, error: Exception) -> None:
        self.lost += 1
        if self.lost == 1:
            node_logger.warning(
                "%s can't be written, and events are lost until it can: %s", self._named, error
            )


def open_audit_log(path: str | Path) -> Callable[[], None]:
    """Write events to this file, behind those that are in it; return how to end that.

    Raises RaftError if the file can't be written, or is that of another process.
    """
    path = absolute(path)
    try:
        make_private(path.parent)
        file = AuditFile(path, maxBytes=FILE_BYTES_MAX, backupCount=OLD_FILES, encoding="utf-8")
    except BlockingIOError:
        raise RaftError(
            f"another node writes the audit log {path}: give each node a file of its own"
        ) from None
    except OSError as error:
        raise RaftError(f"the audit log {path} can't be written: {error}") from error
    if not open_files():
        AuditFile.level_before = logger.level
    logger.addHandler(file)
    logger.setLevel(min(logger.level, logging.INFO))

    def close() -> None:
        logger.removeHandler(file)
        file.close()
        if not open_files():
            logger.setLevel(AuditFile.level_before)

    return close


def open_files() -> list[AuditFile]:
    return [each for each in logger.handlers if isinstance(each, AuditFile)]
