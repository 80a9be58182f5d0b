"""The kit: locks and other objects by name, many in one group.

`Batteries` is the state machine, `Kit` and `AsyncKit` are the handles.
"""

from raft_actors.kit.async_kit import AsyncKit
from raft_actors.kit.barrier import AsyncBarrier, Barrier
from raft_actors.kit.batteries import Batteries
from raft_actors.kit.dict_handles import AsyncDict, Dict
from raft_actors.kit.dict_watch import AsyncDictWatch, Change, DictWatch
from raft_actors.kit.dicts import Entry
from raft_actors.kit.election import AsyncElection, Elected, Election, Term
from raft_actors.kit.errors import (
    ConfigurationConflict,
    Conflict,
    Forgotten,
    KitError,
    LeaseLost,
    LockLost,
)
from raft_actors.kit.flag import AsyncFlag, Flag
from raft_actors.kit.kit import Kit
from raft_actors.kit.lease import Lease
from raft_actors.kit.lock import AsyncLock, Lock, LockInfo
from raft_actors.kit.membership import AsyncMembership, Membership
from raft_actors.kit.queue import AsyncJob, AsyncQueue, Job, Queue
from raft_actors.kit.queues import Counts, DeadJob
from raft_actors.kit.rwlock import AsyncRWLock, RWLock
from raft_actors.kit.semaphore import AsyncSemaphore, Semaphore, SemaphoreInfo
from raft_actors.kit.transaction import Transaction

__all__ = [
    "AsyncBarrier", "AsyncDict", "AsyncDictWatch", "AsyncElection", "AsyncFlag", "AsyncJob",
    "AsyncKit", "AsyncLock", "AsyncMembership", "AsyncQueue", "AsyncRWLock", "AsyncSemaphore",
    "Barrier", "Batteries", "Change", "ConfigurationConflict", "Conflict", "Counts", "DeadJob",
    "Dict", "DictWatch", "Elected", "Election", "Entry", "Flag", "Forgotten", "Job", "Kit",
    "KitError", "Lease", "LeaseLost", "Lock", "LockInfo", "LockLost", "Membership", "Queue",
    "RWLock", "Semaphore", "SemaphoreInfo", "Term", "Transaction",
]  # fmt: skip
