"""State directory: where a state on disk is kept, in a real database, and what a crash leaves.

kill       what was written to the database is there
power cut  the directory is what it was when it was synced last; before the first time, nothing
"""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from raft_actors.errors import StoreError
from raft_actors.machine.state_image import Frozen

if TYPE_CHECKING:
    from raft_actors.machine.disk_dict import DiskDict

__all__ = ["Faults", "StateDirectory"]


class Faults(Protocol):
    """What befalls a disk; see `World`.

    folder  where states on disk are kept
    full    names of peers whose disks take nothing
    """

    @property
    def folder(self) -> Path: ...

    @property
    def full(self) -> set[str]: ...

    def boundary(self) -> None:
        """A place between two effects, where a process may end."""


class StateDirectory:
    """The directory of the peer called `name`. It outlives the peer's processes.

    state  the one that is open in it, if any
    """

    __slots__ = ("name", "number", "state", "world")

    def __init__(self, world: Faults, name: str) -> None:
        self.world = world
        self.name = name
        self.number = 0
        self.state: DiskDict | None = None

    @property
    def path(self) -> Path:
        return self.world.folder / f"{self.name}{self.number}"

    @property
    def synced(self) -> Path:
        return self.path.with_suffix(".synced")

    def watch(self, state: "DiskDict") -> None:
        """Have the process end, and the disk be full, at each write of a state opened here."""
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

        def watched_frozen() -> Frozen:
            view = frozen()
            views.append(view.pieces)
            return view

        def watched_close() -> None:
            for view in views:  # one that lives keeps the database open
                view.close()
            close()
            self.state = None

        state.frozen = watched_frozen  # type: ignore[method-assign]
        state.close = watched_close  # type: ignore[method-assign]
        state.write = watched_write  # type: ignore[method-assign]
        state.sync = watched_sync  # type: ignore[method-assign]

    def keep(self, state: "DiskDict") -> None:
        """Keep what was just synced. The database compacts by itself: its files come and go."""
        from rocksdict import Checkpoint

        shutil.rmtree(self.synced, ignore_errors=True)
        Checkpoint(state.db).create_checkpoint(str(self.synced))

    def crash(self, *, power: bool) -> None:
        """End the owner's process; without power, what was not synced is gone."""
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
