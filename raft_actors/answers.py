"""Answers: what a peer tells of itself, and how answers leave it."""

from typing import Any

from raft_actors import terms
from raft_actors.applied import Applied
from raft_actors.config import Config
from raft_actors.core.entry import (
    COMMAND,
    CONFIG,
    KIND_NAMES,
    VERSION,
    kind_of,
    payload_of,
    term_of,
    version_of,
)
from raft_actors.core.membership import NOBODY, Address, Configuration
from raft_actors.core.server import Server
from raft_actors.disk_watch import DiskWatch
from raft_actors.errors import HostError, StoreError
from raft_actors.stores import LogStore
from raft_actors.troubles import in_words

__all__ = ["Answering", "configuration_view", "encoded"]


class Answering:
    """The part of a `Peer` that answers what clients ask besides writes and reads; see `ASKS`."""

    name: str
    address: Address
    config: Config
    core: Server
    applied: Applied
    store: LogStore
    disk: DiskWatch

    def leader(self) -> Address | None:
        return self.core.role.leader

    def status(self) -> Any:
        core, log = self.core, self.core.log
        troubles = [in_words(trouble, self.address) for trouble in core.troubles.values()]
        return (
            "ok",
            {
                "name": self.name,
                "node": self.address[1],
                "current_state": core.role.name,
                "leader": core.role.leader,
                "current_term": core.term,
                "configuration": configuration_view(core.configuration),
                "last_index": log.last_index,
                "last_term": log.last_term,
                "commit_index": core.commit_index,
                "last_applied": self.applied.index,
                "ready": core.knows_a_ready_leader(),
                "last_save_s": self.disk.took_s,
                "first_index": log.base + 1,
                "snapshot_index": core.snapshot.index,
                "machine_version": self.applied.version,
                "group": core.ballot.group,
                "incarnation": core.incarnation,
                "incarnations": dict(core.configuration.incarnations),
                **({"troubles": troubles} if troubles else {}),
            },
        )

    def snapshot_part(self, index: int, offset: int) -> Any:
        """What a backup needs of the newest snapshot, and the bytes of it from `offset` on."""
        snapshot = self.core.snapshot
        if self.address in self.core.configuration.witnesses:
            return ("error", "keeps_no_state")
        if index != snapshot.index or not 0 <= offset < snapshot.size:
            return ("error", "not_found")
        try:
            data = self.store.snapshots.read(snapshot, offset, self.config.snapshot_chunk_bytes)
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
        """The entry at `index`; 0 is the empty configuration that every log begins with."""
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
        data = None
        if kind == COMMAND:
            try:
                data = terms.loads(payload)
            except (ValueError, HostError):  # of a session's own, or not to be read here
                data = payload
        elif kind == CONFIG:
            data = configuration_view(Configuration.decode(payload, index))
        elif kind == VERSION:
            data = version_of(entry)
        return (
            "ok",
            {
                "index": index,
                "term": term_of(entry),
                "type": KIND_NAMES.get(kind, "unknown"),
                "data": data,
            },
        )


def encoded(answer: Any) -> bytes:
    match answer:
        case ("ok", Configuration() as configuration):
            answer = ("ok", configuration_view(configuration))
    return terms.dumps(answer)


def configuration_view(configuration: Configuration) -> dict[str, Any]:
    """Learners, witnesses and old members are shown where there are any."""
    state = "none"
    if configuration.members:
        state = "transitional" if configuration.old else "stable"
    view: dict[str, Any] = {"state": state, "members": list(configuration.members)}
    if configuration.learners:
        view["learners"] = list(configuration.learners)
    if configuration.witnesses:
        view["witnesses"] = list(configuration.witnesses)
    if configuration.old:
        view["old_members"] = list(configuration.old)
    return {**view, "index": configuration.index}
