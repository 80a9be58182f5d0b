"""Config: every bound and every timeout of a peer and its node, with its unit."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from os import PathLike
from pathlib import Path
from typing import Any

from raft_actors.paths import absolute

__all__ = ["FRAME_ROOM", "LOG_STORES", "LOG_STORE_GROUP", "Config", "foreign_log_stores",
           "is_log_store"]  # fmt: skip

KIB = 1024
MIB = 1024 * KIB
FRAME_ROOM = 64 * KIB
"""What a frame holds besides a command: by so much a frame's bound exceeds that of a command."""
TIMEOUT_MAX = 100.0
"""Nobody means a group to wait so long for a leader: these are milliseconds, as in Elixir."""

LOG_STORES = ("rocksdb", "lmdb", "memory")
LOG_STORE_GROUP = "raft_actors.log_stores"
"""Entry points of this group are log stores that other packages bring."""
CLASS_PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """How a peer behaves. The defaults suit one machine room; times are seconds, sizes bytes.

    A follower that hears no leader for a random time between `min_election_timeout` and
    `max_election_timeout` asks the others whether they would vote for it (Raft §5.2). A leader
    speaks every `heartbeat_timeout`, so several heartbeats must fit into the election timeout.

    docs/config.md has all fields in words.

    Raises ValueError, naming the field and the remedy, for values that can't work.
    """

    min_election_timeout: float = 0.3
    max_election_timeout: float = 0.6
    heartbeat_timeout: float = 0.05
    lease_clock_drift_max: float | None = None
    """How much faster one member's clock may run than another's, 0.01 for a hundredth, so that
    `consistency="lease"` may ask nobody; None: it asks a majority. See docs/decisions/reads.md."""
    data_dir: str | Path | None = None
    """Where the peer keeps its log; None means `data/<node>/<peer>` under the directory in which
    the process was when it became a node. A relative path is made absolute here."""
    log_store: str = "rocksdb"
    """`"rocksdb"` or, with the extra `lmdb`, `"lmdb"`: durable; `"memory"`, for tests, is not. Or
    the name of a store that an installed package brings, or `"module:Class"`."""

    trace: str | Path | None = None
    """Directory of a flight recorder: a JSON line for each event of the protocol; None means
    RAFT_TRACE, or no trace. See docs/trace.md."""

    proposals_max: int = 10_000
    """Requests that may wait in one peer; more are answered `("error", "overloaded")` at once."""
    command_bytes_max: int = 8 * MIB
    """One encoded command or query; a larger one is refused at the caller."""
    append_bytes_max: int = 1 * MIB
    """Entries in one `AppendEntries`; one larger entry still travels alone."""
    inflight_max: int = 64
    """Unanswered `AppendEntries` with entries for each follower."""
    apply_max: int = 1_000
    """Entries applied in one go, so that a long catch-up never delays a heartbeat."""
    log_cache_bytes: int = 64 * MIB
    """The log's tail kept in memory for followers; older entries are read from the store."""

    snapshot_entries: int = 100_000
    """A snapshot is taken after so many more entries ..."""
    snapshot_bytes: int = 64 * MIB
    """... or so many bytes of them; but not before they are half of what the last one took."""
    snapshot_interval: float = 3600.0
    """... or so many seconds, if there was any new entry."""
    snapshot_trailing: int = 10_000
    """Entries kept before a snapshot's end, so that a peer a little behind needs no snapshot."""
    snapshot_chunk_bytes: int = 256 * KIB
    """How much of a snapshot travels in one message."""

    frame_bytes_max: int = 16 * MIB
    """One frame between nodes; both ends use the smaller of their two limits."""
    link_queue_bytes: int = 64 * MIB
    """What may wait for one other node before Raft traffic is dropped and calls fail."""
    require_version: int = 2
    """The oldest protocol to speak with other nodes: one that offers only older ones is refused."""
    nodes: Mapping[str, str] = field(default_factory=dict)
    """Static addresses of nodes on other hosts: `{"b@two": "10.0.0.2:4001"}`."""

    def __post_init__(self) -> None:
        for name in (
            "min_election_timeout", "max_election_timeout", "heartbeat_timeout",
            "snapshot_interval",
        ):  # fmt: skip
            require_positive(name, getattr(self, name), (int, float))
        for name in (
            "proposals_max", "command_bytes_max", "append_bytes_max", "inflight_max", "apply_max",
            "log_cache_bytes", "frame_bytes_max", "link_queue_bytes", "snapshot_entries",
            "snapshot_bytes", "snapshot_trailing", "snapshot_chunk_bytes", "require_version",
        ):  # fmt: skip
            require_positive(name, getattr(self, name), (int,))
        for name in ("data_dir", "trace"):
            path = getattr(self, name)
            if path is not None and (not isinstance(path, str | PathLike) or not str(path)):
                raise ValueError(f"{name} must be a path, or None, not {path!r}")
            if path is not None:
                object.__setattr__(self, name, absolute(path))
        if not isinstance(self.nodes, Mapping):
            raise ValueError(  # noqa: TRY004 - as for every other field
                f'nodes must be a mapping like {{"b@two": "10.0.0.2:4001"}}, not {self.nodes!r}'
            )
        if self.max_election_timeout > TIMEOUT_MAX:
            raise ValueError(
                f"max_election_timeout ({self.max_election_timeout} s) must be at most "
                f"{TIMEOUT_MAX:g} s: times are seconds, not milliseconds"
            )
        if self.min_election_timeout >= self.max_election_timeout:
            raise ValueError(
                f"min_election_timeout ({self.min_election_timeout} s) must be smaller than "
                f"max_election_timeout ({self.max_election_timeout} s): peers draw their timeout "
                "between the two, and equal ones would stand for election together for ever"
            )
        if self.heartbeat_timeout * 2 > self.min_election_timeout:
            raise ValueError(
                f"heartbeat_timeout ({self.heartbeat_timeout} s) must be at most half of "
                f"min_election_timeout ({self.min_election_timeout} s), or one lost heartbeat "
                "starts an election"
            )
        drift = self.lease_clock_drift_max
        if drift is not None and (type(drift) not in (int, float) or not 0 <= drift < 1):
            raise ValueError(
                f"lease_clock_drift_max must be a number from 0 to below 1, or None, not {drift!r}"
            )
        if not is_log_store(self.log_store):
            brought = ", ".join(map(repr, foreign_log_stores())) or "none"
            raise ValueError(
                f'log_store must be "rocksdb", "lmdb" or "memory", the name of a store that an '
                f'installed package brings ({brought}) or "module:Class", not {self.log_store!r}'
            )
        if self.frame_bytes_max < self.command_bytes_max + FRAME_ROOM:
            raise ValueError(
                f"frame_bytes_max ({self.frame_bytes_max}) must exceed command_bytes_max "
                f"({self.command_bytes_max}) by 64 KiB, or a legal command could not be sent"
            )

    @classmethod
    def of(cls, base: "Config | Mapping[str, Any] | None" = None, **changes: Any) -> "Config":
        """Return `base` with `changes`; `base` may be a mapping of fields, None is the defaults.

        Raises ValueError, also for a field that does not exist; TypeError for another `base`.
        """
        if not isinstance(base, Config):
            if base is not None and not isinstance(base, Mapping):
                raise TypeError(f"a config is a Config or a mapping of its fields, not {base!r}")
            changes = {**(base or {}), **changes}
            base = cls()
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(changes) - set(known))
        if unknown:
            raise ValueError(
                f"unknown Config field {unknown[0]!r}; the fields are {', '.join(known)}"
            )
        return replace(base, **changes)


def is_log_store(name: object) -> bool:
    """Tell whether it can be a log store's name; whether that can be imported is seen later."""
    if not isinstance(name, str):
        return False
    known = name in LOG_STORES or bool(CLASS_PATH.fullmatch(name))
    return known or name in foreign_log_stores()


def foreign_log_stores() -> list[str]:
    """Return the names of the log stores that installed packages bring."""
    from importlib.metadata import entry_points  # it takes a while to import

    return sorted({each.name for each in entry_points(group=LOG_STORE_GROUP)})


def require_positive(name: str, value: object, kinds: tuple[type, ...]) -> None:
    if isinstance(value, bool) or not isinstance(value, kinds) or not value > 0:  # type: ignore[operator]
        unit = "a number of seconds" if float in kinds else "a whole number"
        raise ValueError(f"{name} must be {unit} above 0, not {value!r}")
