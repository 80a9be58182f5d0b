"""Port files: how the nodes of one user on one host find each other.

Each node has a file in the user's runtime directory. The file has the name of the node, and says
which process listens where:

    {"node": "a@one", "pid": 4711, "started": "8153", "host": "127.0.0.1", "port": 40123}

`started` is the start time of the process. If the process is dead and its pid is in use again, the
start time is another one: so a file of a dead node is recognized.
"""

import contextlib
import errno
import fcntl
import json
import os
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from io import BufferedWriter
from ipaddress import ip_address
from pathlib import Path

from raft_actors.errors import NameTaken, RaftError
from raft_actors.names import check_node_name
from raft_actors.paths import absolute, make_private, open_private, open_regular

__all__ = ["PortEntry", "PortFiles", "runtime_dir"]

FILE_BYTES_MAX = 4096


@dataclass(frozen=True, slots=True)
class PortEntry:
    """The entry of one node in its port file."""

    node: str
    pid: int
    started: str
    host: str
    port: int


class PortFiles:
    """The port files of one runtime directory."""

    def __init__(self, directory: Path | None = None) -> None:
        self.directory: Path = absolute(directory or runtime_dir())

    def claim(self, node: str, host: str, port: int) -> PortEntry:
        """Write the port file of `node`. The file of a dead node is replaced.

        Raises NameTaken if a live process has the name, and RaftError if the directory can't be
        used.
        """
        entry: PortEntry | None = None
        try:
            entry = PortEntry(node, os.getpid(), start_time(os.getpid()) or "", host, port)
            make_own(self.directory)
            with self._lock_file() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                holder = self.read(node)
                if holder is not None:
                    raise NameTaken(
                        f"node {node} runs already on this host, as process {holder.pid}: "
                        "stop it or use another name"
                    )
                self._write(entry)
        except KeyboardInterrupt:  # the file may have been written
            if entry is not None:
                self.release(entry)
            raise
        except OSError as error:
            raise RaftError(
                f"nodes of this host can't find each other ({error}): repair that directory, or "
                "set RAFT_ACTORS_RUNTIME_DIR to another one"
            ) from error
        return entry

    def keep(self, entry: PortEntry) -> str:
        """Write the port file again if it is missing. If another process has the name now, return a
        text that says so; else "".

        Raises OSError if the file can't be written, and RaftError as `claim`. Does not block.
        """
        if parse(self.directory / entry.node) == entry:
            return ""
        make_own(self.directory)
        try:
            with self._lock_file() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                holder = self.read(entry.node)
                if holder is None:
                    self._write(entry)
        except BlockingIOError:  # another process holds the lock: the next call will do it
            return ""
        if holder in {None, entry}:
            return ""
        return (
            f"process {holder.pid} has the name {entry.node}, too. The port file of this node was "
            "missing when that process started, and new connections from this host go to that "
            "process: stop one of the two"
        )

    def _write(self, entry: PortEntry) -> None:
        draft = self.directory / f".draft.{os.getpid()}"  # the node's name may fill a file name
        with open_private(draft, "w", encoding="utf-8") as file:
            file.write(json.dumps(asdict(entry)) + "\n")
        draft.replace(self.directory / entry.node)

    def release(self, entry: PortEntry) -> None:
        """Remove the port file, unless another process has it now."""
        with contextlib.suppress(OSError), self._lock_file() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if parse(self.directory / entry.node) == entry:
                (self.directory / entry.node).unlink()

    def read(self, node: str) -> PortEntry | None:
        """Return the entry of `node` if its process is alive. Raises OSError, BadName."""
        check_node_name(node)
        entry = parse(self.directory / node)
        if entry is None or entry.node != node or start_time(entry.pid) != entry.started:
            return None
        return entry

    def _lock_file(self) -> BufferedWriter:
        """Open the lock file. As a file object it is closed, and the lock is released, even after a
        Ctrl-C.
        """
        return open(self.directory / ".lock", "ab", opener=open_regular)


def runtime_dir() -> Path:
    """Return this user's runtime directory; RAFT_ACTORS_RUNTIME_DIR overrides it."""
    chosen = os.environ.get("RAFT_ACTORS_RUNTIME_DIR")
    if chosen:
        return Path(chosen)
    session = os.environ.get("XDG_RUNTIME_DIR")
    if session:
        return Path(session) / "raft_actors"
    try:
        return Path(tempfile.gettempdir()) / f"raft_actors-{os.geteuid()}"
    except FileNotFoundError as error:
        raise RaftError(
            f"there is no directory for the files by which nodes of this host find each other "
            f"({error.strerror}): set RAFT_ACTORS_RUNTIME_DIR to a directory"
        ) from None


def make_own(directory: Path) -> None:
    """Make `directory` if it is missing. Raises RaftError if other users could write into it.

    In a shared temporary directory another user could have made it first, and could put wrong
    addresses into it.
    """
    make_private(directory)
    status = directory.lstat()
    if status.st_uid != os.geteuid() or status.st_mode & 0o022 or directory.is_symlink():
        raise RaftError(
            f"{directory} belongs to another user, or others may write to it: remove it, or set "
            "RAFT_ACTORS_RUNTIME_DIR to a directory of mode 0700"
        )


def parse(path: Path) -> PortEntry | None:
    """Return the entry in a port file; None if the file is missing or has no valid entry.

    Raises other OSErrors: if no file descriptor is left, for example, the node may still run.
    """
    try:
        with open(path, encoding="utf-8", opener=open_regular) as file:
            fields = json.loads(file.read(FILE_BYTES_MAX))
        entry = PortEntry(**fields)
        ip_address(entry.host)
    except (FileNotFoundError, ValueError, TypeError, RecursionError):
        return None
    except OSError as error:
        if error.errno == errno.ENXIO:  # a named pipe or a socket, which no node has put there
            return None
        raise
    kinds = (entry.node, str), (entry.pid, int), (entry.host, str), (entry.port, int)
    is_valid = all(isinstance(value, kind) for value, kind in kinds)
    return entry if is_valid and 0 < entry.port <= 65535 else None


def start_time(pid: int) -> str | None:
    """Return when the process `pid` started, in the units of the system; None if it is dead.

    A zombie counts as dead, because it does not listen any more. Raises OSError if the start time
    can't be read.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None if Path("/proc/self/stat").exists() else start_time_by_ps(pid)
    except ProcessLookupError:  # the process ended between open and read
        return None
    # The fields after the command. The command is in brackets, and may contain any text: proc(5).
    state, *fields = text[text.rindex(")") + 2 :].split()
    return None if state in "ZX" else fields[18]


def start_time_by_ps(pid: int) -> str | None:
    """As `start_time`, for systems without /proc."""
    answer = subprocess.run(  # noqa: S603
        ["/bin/ps", "-o", "lstart=", "-p", str(int(pid))],
        capture_output=True, text=True, timeout=5, check=False, env={"LC_ALL": "C"},
    )  # fmt: skip
    return answer.stdout.strip() or None
