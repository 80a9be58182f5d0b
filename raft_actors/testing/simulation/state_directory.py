"""State directory: the real database of a state on disk, and what is left of it after a crash.

After a kill, everything that was written to the database is there. After a power cut, the directory
is as it was at the last sync; it is empty if there was none.
"""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from raft_actors.errors import StoreError
from raft_actors.machine.state_image import FrozenItems

if TYPE_CHECKING:
    from raft_actors.machine.disk_dict import DiskTable

__all__ = ["Faults", "StateDirectory"]


class Faults(Protocol):
    """The faults of a disk; see `World`.

    folder  the directory of all states that are on disk
    full    the names of the peers whose disks are full
    """

    @property
    def folder(self) -> Path: ...

    @property
    def full(self) -> set[str]: ...

    def boundary(self) -> None:
        """Called between two effects: the process may end here."""


class StateDirectory:
    """The directory of the peer called `name`. It stays when the peer's process ends.

    state  the state that is open in it; None if none is
    """

    __slots__ = ("name", "number", "state", "world")

    def __init__(self, world: Faults, name: str) -> None:
        self.world: Faults = world
        self.name: str = name
        self.number: int = 0
        self.state: DiskTable | None = None

    @property
    def path(self) -> Path:
        return self.world.folder / f"{self.name}{self.number}"

    @property
    def synced(self) -> Path:
        return self.path.with_suffix(".synced")

    def watch(self, state: "DiskTable") -> None:
        """Add the faults to a state opened here: at each write the process may end, and the disk
        may be full.
        """
        world, views = self.world, list[Any]()
        write, sync, frozen, close = state.write, state.sync, state.frozen, state.close
        self.state = state

        def watched_write(batch: Any) -> None:
            world.boundary()
            if self.name in world.full:
                state.failure = StoreError(f"no space left on the disk of {self.name}")
                raise state.failure
            write(batch)
            world.boundary()

        def watched_sync() -> None:
            world.boundary()
            sync()
            self.keep(state)
            world.boundary()

        def watched_frozen() -> FrozenItems:
            view = frozen()
            views.append(view.pieces)
            return view

        def watched_close() -> None:
            for view in views:  # an open view keeps the database open
                view.close()
            close()
            self.state = None

        state.frozen = watched_frozen  # type: ignore[method-assign]
        state.close = watched_close  # type: ignore[method-assign]
        state.write = watched_write  # type: ignore[method-assign]
        state.sync = watched_sync  # type: ignore[method-assign]

    def keep(self, state: "DiskTable") -> None:
        """Copy the state that was just synced. A checkpoint is needed, because the database
        replaces its files when it compacts.
        """
        from rocksdict import Checkpoint

        shutil.rmtree(self.synced, ignore_errors=True)
        Checkpoint(state.db).create_checkpoint(str(self.synced))

    def crash(self, *, power: bool) -> None:
        """End the peer's process. With `power`, the power fails too: what was not synced is
        lost.
        """
        if self.state is None:
            return
        self.close()
        if power:
            shutil.rmtree(self.path)
            if self.synced.exists():
                shutil.copytree(self.synced, self.path)

    def destroy(self) -> None:
        self.close()
        self.number += 1

    def close(self) -> None:
        if self.state is not None:
            self.state.close()
