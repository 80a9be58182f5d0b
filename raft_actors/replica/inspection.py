"""Inspection: the answers to questions about a peer itself: its status, entries and snapshot."""

from typing import Any

from raft_actors import encoding
from raft_actors.config import Config
from raft_actors.core.configuration import NOBODY, Configuration
from raft_actors.core.digests import told_of_digests
from raft_actors.core.entry import (
    COMMAND,
    CONFIG,
    KIND_NAMES,
    NOOP,
    VERSION,
    has_extensions,
    kind_of,
    payload_of,
    request_of,
    term_of,
    version_of,
)
from raft_actors.core.server import Server
from raft_actors.errors import HostError, StoreError
from raft_actors.machine.sessions import asked_of_sessions
from raft_actors.names import Address
from raft_actors.replica.applier import Applier
from raft_actors.replica.follower_views import follower_views, queue_view
from raft_actors.replica.parked_calls import ParkedCalls
from raft_actors.replica.problem_texts import problem_text
from raft_actors.replica.requests import configuration_view
from raft_actors.stores.snapshots import Snapshots

__all__ = ["Inspection"]


class Inspection:
    """Answers the requests that neither write nor read the state. `ASKS` names its methods.

    last_save_s  how many seconds the newest save took
    """

    def __init__(
        self,
        core: Server,
        snapshots: Snapshots,
        config: Config,
        applier: Applier,
        parked: ParkedCalls,
    ) -> None:
        self.core = core
        self.snapshots = snapshots
        self.config = config
        self.applier = applier
        self.parked = parked
        self.last_save_s: float = 0.0

    def leader(self) -> Address | None:
        return self.core.role.leader

    def status(self) -> Any:
        core, log = self.core, self.core.log
        followers = follower_views(core)
        troubles = [problem_text(trouble, core.peer) for trouble in core.troubles.values()]
        return (
            "ok",
            {
                "name": core.peer[0],
                "node": core.peer[1],
                "current_state": core.role.name,
                "leader": core.role.leader,
                "since_s": max(0.0, core.now - core.leaderless_at),
                "current_term": core.term,
                "configuration": configuration_view(core.configuration),
                "last_index": log.last_index,
                "last_term": log.last_term,
                "commit_index": core.commit_index,
                "last_applied": self.applier.applied.index,
                "ready": core.knows_a_ready_leader(),
                "last_save_s": self.last_save_s,
                "parked": len(self.parked.calls),
                "queues": queue_view(core, self.applier.applied.index),
                "first_index": log.base + 1,
                "snapshot_index": core.snapshot.index,
                "machine_version": self.applier.applied.version,
                "group": core.ballot.group,
                "incarnation": core.incarnation,
                "incarnations": dict(core.configuration.incarnations),
                **({"followers": followers} if followers else {}),
                **self.sessions(),
                **self.digest(),
                **({"troubles": troubles, "trouble_codes": [*core.troubles]} if troubles else {}),
            },
        )

    def sessions(self) -> dict[str, Any]:
        """Return how many sessions there are, and their limits; nothing at a witness."""
        applied = self.applier.applied
        if not applied.keeps_state:
            return {}
        table = applied.sessions
        return {"sessions": {"open": len(table.by_number), **table.limits.view}}

    def digest(self) -> dict[str, Any]:
        """Return the newest digest of the state, and after which entry it was that of the others;
        nothing if there is no digest.
        """
        digests = self.core.digests
        index, digest = digests.own
        if not index:
            return {}
        return {"digest": {"index": index, "digest": digest.hex(), "equal_at": digests.equal_at}}

    def snapshot_part(self, index: int, offset: int) -> Any:
        """Return the facts of the newest snapshot that a backup needs, and its bytes from `offset`
        on.
        """
        snapshot = self.core.snapshot
        if self.core.peer in self.core.configuration.witnesses:
            return ("error", "keeps_no_state")
        if self.core.digests.is_wrong:
            return ("error", "diverged")
        if index != snapshot.index or not 0 <= offset < snapshot.size:
            return ("error", "not_found")
        try:
            data = self.snapshots.read(snapshot, offset, self.config.snapshot_chunk_bytes)
        except StoreError as error:
            return ("error", ("backup_failed", str(error)))
        return (
            "ok",
            {
                "term": snapshot.term,
                "size": snapshot.size,
                "checksum": snapshot.checksum,
                "configuration": snapshot.configuration.encode(),
                "configured": snapshot.configuration.index,
                "data": data,
            },
        )

    def get_entry(self, index: int) -> Any:
        """Return the entry at `index`. Index 0 stands for the empty configuration before the first
        entry.
        """
        log = self.core.log
        if index == 0:
            view = {"index": 0, "term": 0, "type": "config", "data": configuration_view(NOBODY)}
            return ("ok", view)
        if index <= log.base:
            return ("error", "not_found" if index < 0 else "compacted")
        if index > log.last_index:
            return ("error", "not_found")
        entry = log.between(index, index)[0]
        kind, payload = kind_of(entry), payload_of(entry)
        name = KIND_NAMES.get(kind, "unknown")
        data: Any = None
        asked = asked_of_sessions(index, request_of(entry), payload) if kind == COMMAND else None
        if asked is not None:
            name, data = "session", asked
        elif kind == COMMAND:
            try:
                data = encoding.loads_shown(payload)
            except (ValueError, HostError):  # of a foreign client, or with an unknown time zone
                data = payload
        elif kind == CONFIG:
            data = configuration_view(Configuration.decode(payload, index))
        elif kind == VERSION:
            data = version_of(entry)
        elif kind == NOOP and has_extensions(entry) and (told := told_of_digests(entry)):
            name, data = "digests", told
        return (
            "ok",
            {
                "index": index,
                "term": term_of(entry),
                "type": name,
                "data": data,
            },
        )
