"""Replay views: which state a replay has come to, and what a command did, in terms of JSON."""

from typing import Any

from raft_actors.errors import HostError
from raft_actors.machine.sessions import REPLY, reply_in, said_in
from raft_actors.tools.offline.entries import entry_view
from raft_actors.tools.offline.replay import Replay

__all__ = ["about_of", "command_view"]


def about_of(replay: Replay, start: int) -> dict[str, Any]:
    """Say which state it is, in terms that JSON can hold."""
    history = replay.history
    applied = replay.applied
    return {
        "path": str(history.path),
        "peer": history.peer,
        "index": applied.index,
        "version": applied.version,
        "sessions": len(applied.sessions.by_number),
        "snapshot": start,
        "committed": history.committed,
    }


def command_view(index: int, entry: bytes, answer: bytes) -> dict[str, Any]:
    """An entry as `recover entries` shows it, with its reply. A command that was sent again has the
    reply of the first time, and `first` says at which entry that was.
    """
    first = None
    if answer.startswith(REPLY) and (ran := reply_in(answer)[0]) != index:
        first = ran
    try:
        reply = repr(said_in(answer)) if answer else None
    except (ValueError, HostError):  # not to be read here
        reply = repr(answer)
    return entry_view(index, entry) | {"reply": reply, "first": first}
