"""The kit: locks and other objects by name, many in one group.

`Batteries` is the state machine, `Kit` and `AsyncKit` are the handles.
"""

from raft_actors.kit.async_kit import AsyncKit
from raft_actors.kit.batteries import Batteries
from raft_actors.kit.errors import KitError, LeaseLost, LockLost
from raft_actors.kit.kit import Kit
from raft_actors.kit.lease import Lease
from raft_actors.kit.lock import AsyncLock, Lock, LockInfo

__all__ = ["AsyncKit", "AsyncLock", "Batteries", "Kit", "KitError", "Lease", "LeaseLost", "Lock",
           "LockInfo", "LockLost"]  # fmt: skip
