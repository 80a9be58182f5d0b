"""Data directory: the files beside the database of a durable store, the same for every kind.

store.json      see `raft_actors.stores.store_record`; it is written last when the store is made
holder.json     the process that has the store open, for messages
lock            locked while the store is open
log.KIND        the database
snapshots/      see `raft_actors.stores.snapshots`
"""

import contextlib
import fcntl
import json
import logging
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakSet

from raft_actors.errors import REJOIN, DataDirInUse, StoreCorrupt, StoreError
from raft_actors.paths import make_private, open_private, open_regular, read_regular
from raft_actors.stores.files import absent, sync_directory, sync_names, translated
from raft_actors.stores.log_store import Mark, new_incarnation
from raft_actors.stores.store_record import FORMAT, MAGIC, has_a_log, read_record, write_record

__all__ = ["DataDirectory", "Owner", "is_in_use", "kept_closed", "of_another"]

logger: logging.Logger = logging.getLogger("raft_actors.stores")

Owner = tuple[str, str]
"""The (name, node) of the peer whose vote is in the directory."""


class DataDirectory:
    """The directory `path` of one store of this `kind`. `open` checks it, locks it, and makes it if
    it is new.

    The lock is a `flock`, which ends with the process, also if the process is killed.
    """

    locked: ClassVar[WeakSet["DataDirectory"]] = WeakSet()

    def __init__(self, path: str | Path, kind: str) -> None:
        self.path: Path = Path(path).absolute()
        self.kind = kind
        self.database: Path = self.path / f"log.{kind}"
        self.snapshots: Path = self.path / "snapshots"
        self.lock: int | None = None
        self.is_new: bool = False
        self.incarnation: int = 0
        self.opened: list[tuple[str, tuple[int, int]]] = []

    def open(self, owner: Owner | None, mark: Mark | None = None) -> None:
        """Lock the directory; make it if it does not exist. If `is_new` is set afterwards, the
        caller must make the database and then call `finish`.

        owner   the peer that wants to use the directory; None: no peer, for tools
        mark    the mark of the store that must be there; None: any store, or none yet

        Raises DataDirInUse, StoreCorrupt, StoreError or OSError; then nothing is locked.
        """
        if mark and not self.format_file.exists():
            raise self.gone()  # before a new store is made in its place
        self.absent: list[Path] = absent(self.path)
        make_private(self.path)
        self.check_format(owner)  # before a file is written into a directory that is not ours
        self.take_lock()
        try:
            self.is_new = self.check_format(owner)
            self.refuse_other(mark)
            self.warn_if_others_may_read()
            self.write_holder(owner)
            if self.is_new:
                self.incarnation = new_incarnation()
        except BaseException:
            self.close()
            raise

    def finish(self, owner: Owner | None) -> None:
        """Write `store.json`: the database is complete. Before this is on the disk, nothing is
        saved in the store.
        """
        write_record(
            self.format_file,
            {
                "what": MAGIC,
                "format": FORMAT,
                "kind": self.kind,
                "owner": owner,
                "incarnation": self.incarnation,
            },
        )
        sync_directory(self.path)
        sync_names(self.path, self.absent)

    def remember(self) -> None:
        """Note the identity of the files, once the database is open, for `check`."""
        self.opened = [(str(path), identity(path)) for path in (self.lock_file, self.database)]

    def check(self) -> None:
        """Raise StoreError unless the directory and the database are those that were opened.

        The check is needed because the operating system lets a process write to files that were
        removed.
        """
        try:
            for path, known in self.opened:
                if identity(path) != known:
                    break
            else:
                return
        except FileNotFoundError:
            pass
        except OSError as error:
            raise translated(self.path, error) from error
        raise self.gone()

    @property
    def mark(self) -> Mark:
        # Without the device number, which may change when the disk is mounted again.
        return self.incarnation, identity(self.lock_file)[1]

    def refuse_other(self, mark: Mark | None) -> None:
        if mark and mark != self.mark:
            raise self.gone()

    def gone(self) -> StoreError:
        return StoreError(
            f"{self.path} was removed, or replaced by another, while its peer ran: bring back the "
            f"directory, and the peer continues; or else {REJOIN}"
        )

    def close(self) -> None:
        """Unlock the directory. A second call does nothing."""
        lock, self.lock = self.lock, None
        if lock is not None:
            with contextlib.suppress(OSError):
                if os.path.samestat(os.fstat(lock), self.lock_file.stat()):
                    self.holder_file.unlink()
            os.close(lock)

    def remove(self) -> None:
        """Remove the files beside the database, which was removed before. Files of others stay."""
        shutil.rmtree(self.snapshots, ignore_errors=True)
        self.format_file.unlink()
        for file in (self.holder_file, self.lock_file):
            file.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # the directory has files that are not ours
            self.path.rmdir()

    @property
    def format_file(self) -> Path:
        return self.path / "store.json"

    @property
    def holder_file(self) -> Path:
        return self.path / "holder.json"

    @property
    def lock_file(self) -> Path:
        return self.path / "lock"

    def switch(self, kind: str) -> None:
        """Write into `store.json` that the log is in a database of this kind from now on."""
        write_record(self.format_file, self.record() | {"kind": kind})
        sync_directory(self.path)

    # The owner.

    def record(self) -> dict[str, Any]:
        """Return the content of `store.json`. Raises FileNotFoundError and StoreCorrupt."""
        return read_record(self.path)

    def check_format(self, owner: Owner | None) -> bool:
        """Return whether the database must still be made. Raise if the directory is no data
        directory, or one of another kind or owner.
        """
        try:
            record = self.record()
        except FileNotFoundError:
            ours = {"store.json.draft", "holder.json", "lock", self.database.name}
            strange = sorted(set(os.listdir(self.path)) - ours)  # noqa: PTH208
            if strange and has_a_log(self.path):
                raise StoreCorrupt(f"{self.format_file} is missing; {REJOIN}") from None
            if strange:
                raise StoreCorrupt(
                    f"{self.path} is no data directory of raft_actors (it holds {strange[0]!r}): "
                    "choose a new one, or an empty one"
                ) from None
            return True
        kind = record.get("kind")
        if kind != self.kind:
            raise StoreError(
                f"{self.path} holds a store of the kind {kind!r}: start the peer with "
                f'Config(log_store="{kind}"), or run: raft-actors migrate {self.path} '
                f"--to {self.kind}{f' --store {kind}' if ':' in str(kind) else ''}"
            )
        known = record.get("owner", "nobody knows")
        if known is not None and not is_owner(known):
            raise StoreCorrupt(f"{self.format_file} names no owner; {REJOIN}")
        if owner is not None and known is not None and known != list(owner):
            raise of_another(self.path, known, owner)
        incarnation = record.get("incarnation")
        if type(incarnation) is not int or incarnation < 1:
            raise StoreCorrupt(f"{self.format_file} names no incarnation; {REJOIN}")
        self.incarnation = incarnation
        return False

    # The lock.

    def take_lock(self) -> None:
        """Lock the directory. Raises DataDirInUse, which names the process that has locked it.

        The lock file may be removed, with its directory, before it is locked. So the locked file
        must still be the one in the directory; otherwise try again.
        """
        while True:
            lock = open_regular(self.lock_file, os.O_RDWR | os.O_CREAT)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(lock), self.lock_file.stat()):
                    break
            except BlockingIOError:
                os.close(lock)
                raise self.in_use() from None
            except BaseException:
                os.close(lock)
                raise
            os.close(lock)
        self.lock = lock
        self.locked.add(self)

    def write_holder(self, owner: Owner | None) -> None:
        with open_private(self.holder_file, "w") as file:
            file.write(json.dumps({"pid": os.getpid(), "owner": owner}) + "\n")

    def warn_if_others_may_read(self) -> None:
        mode = stat.S_IMODE(self.path.stat().st_mode)
        if mode & 0o077:
            logger.warning(
                "%s is open to other users of this machine (its mode is %04o), with all that the "
                "group replicates in it: run chmod -R go= %s", self.path, mode, self.path,
            )  # fmt: skip

    def in_use(self) -> DataDirInUse:
        return DataDirInUse(
            f"{self.path} is in use by {self.holder()}: stop that peer first, or name another "
            "directory"
        )

    def holder(self) -> str:
        """Return a text that names the process that has the store open, as far as it is known."""
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            record = json.loads(read_regular(self.holder_file))
            who = f" (peer {' on '.join(record['owner'])})" if record["owner"] else ""
            here = ", this one" if record["pid"] == os.getpid() else ""
            return f"process {record['pid']}{here}{who}"
        return "another process"

    @classmethod
    def forget_locks(cls) -> None:
        """Close the locks in a forked child. The child shares them, so they would stay locked after
        the parent has ended.
        """
        for directory in list(cls.locked):
            if directory.lock is not None:
                os.close(directory.lock)
                directory.lock = None


os.register_at_fork(after_in_child=DataDirectory.forget_locks)


def is_in_use(path: Path) -> bool:
    """Return whether a process has the directory open."""
    try:
        lock = open_regular(path / "lock", os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


@contextlib.contextmanager
def kept_closed(path: Path, kind: str) -> Iterator[None]:
    """Keep every peer from opening the directory `path`, of this `kind`, and write nothing into it.

    Raises DataDirInUse if a process has it open. If there is no lock file, the directory was never
    opened at this place; a process that opens it meanwhile makes the file, and is noticed at the
    end.
    """
    directory = DataDirectory(path, kind)
    try:
        lock = open_regular(directory.lock_file, os.O_RDONLY)
    except FileNotFoundError:
        yield
        if directory.lock_file.exists():
            raise directory.in_use() from None
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise directory.in_use() from None
    finally:
        os.close(lock)


def identity(path: Path | str) -> tuple[int, int]:
    status = os.stat(path)  # noqa: PTH116 - each save calls it, and a Path would cost more
    return status.st_dev, status.st_ino


def is_owner(known: object) -> bool:
    return isinstance(known, list) and list(map(type, known)) == [str, str]


def of_another(place: Path | str, known: Sequence[str], owner: Owner) -> DataDirInUse:
    return DataDirInUse(
        f"{place} belongs to peer {' on '.join(known)} and holds its vote; it can't be used by "
        f"{' on '.join(owner)}: give this peer another data_dir"
    )
