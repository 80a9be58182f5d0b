"""Config: every bound and every timeout of a peer and its node, with its unit."""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from os import PathLike
from pathlib import Path
from typing import Any

from raft_actors.paths import absolute

__all__ = ["FRAME_ROOM", "LOG_STORES", "LOG_STORE_GROUP", "Config", "default_log_store",
           "foreign_log_stores", "is_log_store"]  # fmt: skip

logger: logging.Logger = logging.getLogger("raft_actors")

KIB = 1024
MIB = 1024 * KIB
FRAME_ROOM = 64 * KIB
"""Bytes of a frame that are not the command: `frame_bytes_max` exceeds `command_bytes_max` by these
at least."""
TIMEOUT_MAX = 100.0
"""Longest election timeout, seconds. A larger number was probably meant as milliseconds, the unit
of the Elixir library."""

LOG_STORES = ("rocksdb", "lmdb", "files", "memory")
LOG_STORE_GROUP = "raft_actors.log_stores"
"""Name of the entry point group in which other packages register their log stores."""
CLASS_PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


@cache
def default_log_store() -> str:
    """Return "rocksdb", or "files" where there is no package rocksdict: there is none for Python
    3.15 and for builds without the interpreter's lock.
    """
    from importlib.util import find_spec  # imported only here, because the import is slow

    if find_spec("rocksdict") is not None:
        return "rocksdb"
    logger.info(
        'rocksdict is not installed, so logs are kept with log_store="files"; for log_store='
        '"rocksdb", where there is a rocksdict for this Python: pip install rocksdict'
    )
    return "files"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings of a peer and of its node. Times are seconds, sizes are bytes. The defaults suit
    nodes in one data center.

    A follower that receives nothing from a leader for a random time between `min_election_timeout`
    and `max_election_timeout` asks the other members whether they would vote for it (Raft §5.2). A
    leader sends a heartbeat every `heartbeat_timeout`, so several heartbeats must fit into the
    election timeout.

    docs/config.md explains every field.

    Raises ValueError for values that can't work; its message names the field and the remedy.
    """

    min_election_timeout: float = 0.3
    max_election_timeout: float = 0.6
    heartbeat_timeout: float = 0.05
    lease_clock_drift_max: float | None = None
    """How much faster one member's clock may run than another's; 0.01 is one percent. With such a
    number a leader that has a lease answers reads with `consistency="lease"` without asking a
    majority. None: it asks a majority for these reads, too. See docs/decisions/reads.md."""
    data_dir: str | Path | None = None
    """Directory of the peer's log. None means `data/<node>/<peer>` under the working directory that
    the process had when it became a node. A relative path is made absolute when the Config is
    made."""
    log_store: str = field(default_factory=default_log_store)
    """`"rocksdb"`, `"lmdb"` (needs the extra `lmdb`) and `"files"` (needs no package) are durable;
    `"memory"`, for tests, is not. Or the name of a log store from another installed package, or
    `"module:Class"`. The default is `"rocksdb"`, and `"files"` where rocksdict is not installed.
    """

    trace: str | Path | None = None
    """Directory for trace files, with one JSON line for each event of the protocol. None means the
    environment variable RAFT_TRACE, or no trace if that is not set. See docs/trace.md."""

    proposals_max: int = 10_000
    """Requests that may wait in one peer; more are answered `("error", "overloaded")` at once."""
    parked_max: int = 10_000
    """Calls that one peer keeps open until it has news for their askers: those of watches, for
    example. A quarter of them may come from one node; more are answered `("error", "overloaded")`.
    """
    command_bytes_max: int = 8 * MIB
    """Largest encoded command or query. A larger one is refused in the process of the caller."""
    append_bytes_max: int = 1 * MIB
    """Most bytes of entries in one `AppendEntries`. An entry that is larger is sent alone."""
    inflight_max: int = 64
    """Most `AppendEntries` messages with entries that one follower has not answered yet."""
    apply_max: int = 1_000
    """Most entries that are applied in one step, so that a long catch-up delays no heartbeat."""
    log_cache_bytes: int = 64 * MIB
    """Bytes of the newest entries kept in memory; older entries are read from the store."""

    snapshot_entries: int = 100_000
    """A peer takes a snapshot after so many new entries ..."""
    snapshot_bytes: int = 64 * MIB
    """... or after so many bytes of new entries; in both cases not before the new entries have half
    as many bytes as the last snapshot ..."""
    snapshot_interval: float = 3600.0
    """... or after so many seconds, if there was at least one new entry."""
    snapshot_trailing: int = 10_000
    """Entries that stay in the log although a snapshot has them: a follower that is only a little
    behind gets these entries instead of the snapshot."""
    snapshot_chunk_bytes: int = 256 * KIB
    """Bytes of a snapshot in one message."""

    digest_entries: int | None = 100_000
    """A leader has the members compare digests of their states after so many new entries, but not
    so often that its own digests take more than a fiftieth of a processor. None: never. See
    docs/divergence.md."""

    frame_bytes_max: int = 16 * MIB
    """Largest frame between two nodes. Both nodes use the smaller one of their two limits."""
    link_queue_bytes: int = 64 * MIB
    """Bytes that may wait for one other node. With more, Raft messages are dropped and calls
    fail."""
    require_version: int = 3
    """Oldest version of the protocol between nodes that this node accepts. A node that offers only
    older versions is refused."""
    nodes: Mapping[str, str] = field(default_factory=dict)
    """Static addresses of nodes on other hosts: `{"b@two": "10.0.0.2:4001"}`."""

    def __post_init__(self) -> None:
        for name in (
            "min_election_timeout", "max_election_timeout", "heartbeat_timeout",
            "snapshot_interval",
        ):  # fmt: skip
            require_positive(name, getattr(self, name), (int, float))
        for name in (
            "proposals_max", "parked_max", "command_bytes_max", "append_bytes_max", "inflight_max",
            "apply_max", "log_cache_bytes", "frame_bytes_max", "link_queue_bytes",
            "snapshot_entries", "snapshot_bytes", "snapshot_trailing", "snapshot_chunk_bytes",
            "require_version",
        ):  # fmt: skip
            require_positive(name, getattr(self, name), (int,))
        if self.digest_entries is not None:
            require_positive("digest_entries", self.digest_entries, (int,))
        for name in ("data_dir", "trace"):
            path = getattr(self, name)
            if path is not None and (not isinstance(path, str | PathLike) or not str(path)):
                raise ValueError(f"{name} must be a path, or None, not {path!r}")
            if path is not None:
                object.__setattr__(self, name, absolute(path))
        nodes: Any = self.nodes
        if not isinstance(nodes, Mapping) or not all(
            isinstance(text, str) for text in (*nodes, *nodes.values())
        ):
            raise ValueError(
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
                f'log_store must be "rocksdb", "lmdb", "files" or "memory", the name of a store '
                f"that an installed package brings ({brought}) "
                f'or "module:Class", not {self.log_store!r}'
            )
        if self.frame_bytes_max < self.command_bytes_max + FRAME_ROOM:
            raise ValueError(
                f"frame_bytes_max ({self.frame_bytes_max}) must exceed command_bytes_max "
                f"({self.command_bytes_max}) by 64 KiB, or a legal command could not be sent"
            )

    @classmethod
    def of(cls, base: "Config | Mapping[str, Any] | None" = None, **changes: Any) -> "Config":
        """Return `base` with `changes`. `base` is a Config, a mapping of fields to values, or None
        for the defaults.

        Raises ValueError for a value that can't work and for a field that does not exist; TypeError
        for a `base` of another type.
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
    """Return whether `name` can be the name of a log store. Nothing is imported here, so a
    `"module:Class"` that does not exist passes.
    """
    if not isinstance(name, str):
        return False
    known = name in LOG_STORES or bool(CLASS_PATH.fullmatch(name))
    return known or name in foreign_log_stores()


def foreign_log_stores() -> list[str]:
    """Return the names of the log stores that other installed packages register."""
    from importlib.metadata import entry_points  # imported only here, because the import is slow

    return sorted({each.name for each in entry_points(group=LOG_STORE_GROUP)})


def require_positive(name: str, value: object, kinds: tuple[type, ...]) -> None:
    if isinstance(value, bool) or not isinstance(value, kinds) or not value > 0:  # type: ignore[operator]
        unit = "a number of seconds" if float in kinds else "a whole number"
        raise ValueError(f"{name} must be {unit} above 0, not {value!r}")
