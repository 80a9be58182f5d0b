"""BridgeLimits: the bridge's own bounds, which only its tests ever change."""

from dataclasses import dataclass

__all__ = ["BridgeLimits"]

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeLimits:
    """Times in seconds, sizes in bytes. What users may set stands in Config."""

    handshake_s: float = 5.0
    """From the first byte of a connection to its welcome; a dial, look-up included, has as long."""
    strangers_max: int = 64
    """Connections that have not proven themselves; one more drops the oldest."""
    parked_s: float = 1.0
    """How long a peer's dial waits for ours to the same peer before it is taken instead."""
    ping_after_s: float = 2.0
    """A link on which nothing was heard for so long is pinged..."""
    dead_after_s: float = 8.0
    """... and given up when nothing at all is heard for so long after."""
    redial_min_s: float = 0.05
    redial_max_s: float = 1.0
    refused_redial_s: float = 10.0
    """A wrong cookie or version does not heal by itself."""
    quiet_links_max: int = 100
    """Nodes known and not connected; of one more, the one that is away for longest is forgotten."""
    port_file_s: float = 5.0
    """How often a node looks whether its port file is there."""
    mapper_retry_s: float = 5.0
    """How often a node tries to get the mapper port that another process holds."""
    waiting_bytes: int = 1 * MIB
    """What may wait for a node that is known to be away: by the time it is back, it's stale."""
    waiting_s: float = 5.0
    """How long it may wait."""
    receive_bytes: int = 256 * KIB
    """Read from one connection in one poll round."""
    write_bytes: int = 256 * KIB
    """Small frames joined into one send."""
    log_burst: int = 20
    """Log lines about strangers at once; after that one a second."""
