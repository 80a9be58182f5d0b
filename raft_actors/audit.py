"""Audit: who connected, who was refused, and what was asked of peers that not everybody may.

Events go to the logger `raft_actors.audit`, each as one line of JSON. It is off; a file of
`Node.start(audit_log=...)` turns it on, and so does a program that gives it a handler and the level
INFO. No event holds a command, a reply or a cookie; of a request's content there is a digest at
most.
"""

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from raft_actors.errors import RaftError
from raft_actors.paths import absolute, make_private, open_private

__all__ = ["audit", "digest_of", "open_audit_log"]

FILE_BYTES_MAX = 10 * 1024 * 1024
OLD_FILES = 5
DIGEST_CHARACTERS = 16

logger = logging.getLogger("raft_actors.audit")
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
    """A file for this user alone, of so many bytes at most, and as many older ones."""

    def _open(self) -> Any:
        return open_private(Path(self.baseFilename), self.mode, encoding=self.encoding)


def open_audit_log(path: str | Path) -> Callable[[], None]:
    """Write events to this file, behind those that are in it; return how to end that.

    Raises RaftError when the file can't be written.
    """
    path = absolute(path)
    try:
        make_private(path.parent)
        file = AuditFile(path, maxBytes=FILE_BYTES_MAX, backupCount=OLD_FILES, encoding="utf-8")
    except OSError as error:
        raise RaftError(f"the audit log {path} can't be written: {error}") from error
    logger.addHandler(file)
    logger.setLevel(logging.INFO)

    def close() -> None:
        logger.removeHandler(file)
        file.close()
        if not any(isinstance(each, AuditFile) for each in logger.handlers):
            logger.setLevel(OFF)

    return close
