"""BridgeLimits: bounds of the bridge that only its tests change."""

from dataclasses import dataclass

__all__ = ["BridgeLimits"]

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeLimits:
    """Times in seconds, sizes in bytes. The limits that users may set are in Config."""

    handshake_s: float = 5.0
    """The time for a handshake, from the first byte of a connection to WELCOME; and the time for a
    dial, which includes the look-up of the address."""
    strangers_max: int = 64
    """Connections that are not authenticated yet; for one more, another one is dropped."""
    guests_max: int = 0
    """Connections of clients and readers; 0: half of the files that this process may open."""
    parked_s: float = 1.0
    """If two nodes dial each other: how long the connection of the other node waits for the end of
    our dial, before it is used instead."""
    ping_after_s: float = 2.0
    """A link that has received nothing for so long is pinged."""
    dead_after_s: float = 8.0
    """A link that has received nothing for so long after its ping is closed."""
    redial_min_s: float = 0.05
    redial_max_s: float = 1.0
    refused_redial_s: float = 10.0
    """Longer than `redial_max_s`, because a wrong cookie or version stays wrong for a while."""
    idle_links_max: int = 100
    """Links without a connection; for one more, the one that is idle for longest is forgotten."""
    port_file_s: float = 5.0
    """How often a node checks that its port file exists."""
    mapper_retry_s: float = 5.0
    """How often a node tries to get the mapper port that another process holds."""
    waiting_bytes: int = 1 * MIB
    """Frames that may wait for a node that could not be dialed. More would be out of date when the
    node is back."""
    waiting_s: float = 5.0
    """How long a frame may wait for such a node."""
    receive_bytes: int = 256 * KIB
    """The most that is read from one connection in one poll round."""
    write_bytes: int = 256 * KIB
    """The most bytes of small frames that are joined into one send."""
    log_burst: int = 20
    """Log lines about strangers at once; after them one line a second."""
    guest_log_burst: int = 1_000
    """The same of clients and readers that come and go."""
