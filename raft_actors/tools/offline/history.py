"""History: a copy of what a stopped peer's directory, or a backup, knows of its group.

Everything is read from the copy, in a temporary directory: opening a store writes to it (RocksDB
begins a new write-ahead log), and recovery may, too.
"""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any

from raft_actors.config import Config
from raft_actors.core.configuration import Configuration
from raft_actors.core.entry import CONFIG, kind_of, payload_of
from raft_actors.core.snapshot import NO_SNAPSHOT, Snapshot
from raft_actors.errors import REJOIN, RaftError, StoreCorrupt, StoreError
from raft_actors.machine.replicated_state import WITNESS
from raft_actors.names import Address
from raft_actors.replica.recovery import recover
from raft_actors.stores.backup_file import ENTRIES, SNAPSHOT, BackupHeader, read_backup
from raft_actors.stores.data_directory import kept_closed
from raft_actors.stores.durable import DurableStore
from raft_actors.stores.files import DiskFiles, advice_on
from raft_actors.stores.snapshots import Snapshots
from raft_actors.tools.offline.backup import verify_backup
from raft_actors.tools.offline.examine import examine
from raft_actors.tools.offline.stopped_peer import batches, kind_in, refused_in_words, stopped

__all__ = ["CannotReplay", "History", "open_history"]

LEFT_OUT = {"lock", "holder.json", "machine"}
"""Not copied: who has the directory open, and the newest state of a machine whose state is on disk,
which is too new to start from."""

ANOTHER = "take the directory of another member, or a backup"


class CannotReplay(RaftError):
    """The state that was asked for can't be had from this directory or backup."""


@dataclass(frozen=True, slots=True)
class History:
    """The entries and snapshots that a state can be made of.

    path         the directory or backup, as it was named
    peer         whose it is
    scratch      a directory for what a replay needs; it is removed at the end
    snapshots    the files of the snapshots
    starts       the snapshots, oldest first
    first, last  the entries that are there; none if `last` is `first` - 1
    committed    the last entry that is known to be committed from this directory alone
    batches      yields (index, entries from there on) for all entries from one index to another
    """

    path: Path
    peer: Address
    scratch: Path
    snapshots: Snapshots
    starts: list[Snapshot]
    first: int
    last: int
    committed: int
    batches: Callable[[int, int], Iterator[tuple[int, list[bytes]]]]

    def start_for(self, index: int, *, uncommitted: bool) -> Snapshot:
        """Return the newest snapshot from which the state after `index` can be made; NO_SNAPSHOT
        for the beginning of the log. `uncommitted` allows entries beyond `committed`.

        Raises CannotReplay.
        """
        if index > self.last:
            raise CannotReplay(f"{self.path} ends at entry {self.last}: it has no entry {index}")
        if index > self.committed and not uncommitted:
            raise CannotReplay(
                f"entry {index} of {self.path} may never have been committed: this directory "
                f"alone shows it up to entry {self.committed}. Look at a running member: if its "
                f"commit_index is {index} or more, and its entry {index} has the same term as "
                "here, it is committed; then add --uncommitted"
            )
        start = NO_SNAPSHOT
        for each in self.starts:
            if each.index <= index:
                start = each
        if start.index < index and start.index + 1 < self.first:
            later = [each.index for each in self.starts if each.index > index]
            instead = f"the next state that can be had is that after entry {later[0]}; or "
            raise CannotReplay(
                f"the state after entry {index} can't be had from {self.path}: entries "
                f"{start.index + 1} to {self.first - 1} are compacted, and no snapshot there "
                f"stands for them; {instead if later else ''}{ANOTHER}, from before they were"
            )
        return start

    def refuse_compacted(self, first: int, last: int) -> None:
        """Raise CannotReplay unless the entries `first..last` are there."""
        if first <= last and first < self.first:
            raise CannotReplay(
                f"entries {first} to {min(last, self.first - 1)} of {self.path} are compacted: "
                f"what changed there can't be shown; {ANOTHER}, from before they were"
            )


@contextmanager
def open_history(path: Path, store: str | None = None) -> Iterator[History]:
    """Copy what is in a stopped peer's directory, or in a backup, and remove the copy at the end.

    store  the kind of the directory's store, where the user has named it; see `stopped`

    Raises DataDirInUse while a peer has the directory; CannotReplay for one that holds no state;
    StoreCorrupt for what is damaged; StoreError for what the operating system refuses.
    """
    with refused_in_words(path):
        is_backup = path.is_file()
    with refused_in_words(Path(gettempdir())):
        temporary = TemporaryDirectory(prefix="raft-actors-replay-")
    with temporary as name:
        scratch = Path(name)
        if is_backup:
            yield of_backup(path, scratch)
            return
        copy = scratch / "peer"
        with named_as(path, copy):
            make_copy(path, copy, store)
            with stopped(copy, store) as opened:
                yield of_directory(path, scratch, opened)


@contextmanager
def named_as(path: Path, copy: Path) -> Iterator[None]:
    """Let errors name the directory and not the copy, which is gone when they are read."""
    try:
        yield
    except (StoreCorrupt, StoreError) as error:
        text = str(error).replace(str(copy), str(path))
        raise type(error)(text.replace(REJOIN, ANOTHER)) from error


def make_copy(path: Path, copy: Path, store: str | None) -> None:
    with refused_in_words(path), kept_closed(path, kind_in(path, store)):
        each = path
        try:
            copy.mkdir(mode=0o700)
            for each in path.iterdir():
                if each.name in LEFT_OUT:
                    continue
                if each.is_dir():
                    shutil.copytree(each, copy / each.name, copy_function=shutil.copyfile)
                else:
                    shutil.copyfile(each, copy / each.name)
        except OSError as error:
            raise StoreError(
                f"{each} can't be copied to {copy.parent}: {error.strerror or error}; "
                f"{advice_on(error)}, or let TMPDIR name another place for temporary files"
            ) from error


def of_directory(path: Path, scratch: Path, store: DurableStore[Any]) -> History:
    examined = examine(store)
    if examined.problems:
        raise StoreCorrupt(
            f"nothing is replayed, for {path} is damaged: {examined.problems[0]}; {ANOTHER}"
        )
    owner = examined.store["owner"]
    found = recover(store, Config())  # as the peer would start from it
    configuration = found.configuration
    if owner is None or not configuration.members:
        raise CannotReplay(f"{path} is of no group: there is nothing to replay")
    peer: Address = tuple(owner)
    newest, last = found.snapshot, found.log.last_index
    proofs = [
        each["previous"] for each in examined.configurations
        if newest.index < each["index"] <= last and "forced" not in each
    ]  # fmt: skip
    history = History(
        path, peer, scratch, store.snapshots, starts_in(store.snapshots),
        found.log.base + 1, last,
        committed_in(newest.index, last, configuration, peer, proofs),
        lambda first, last: batches(store, first, last),
    )  # fmt: skip
    refuse_witness(history, is_witness=configuration.makes_stateless(peer, found.incarnation))
    return history


def of_backup(path: Path, scratch: Path) -> History:
    header = verify_backup(path)
    snapshots = Snapshots(DiskFiles(scratch / "snapshots"))
    incoming, offset = header.incoming, 0
    proofs: list[int] = []
    for kind, content in read_backup(path):
        if kind == SNAPSHOT:
            snapshots.receive(incoming, offset, content)
            offset += len(content)
        else:
            configurations = [json.loads(payload_of(e)) for e in content if kind_of(e) == CONFIG]
            proofs += [each["previous"] for each in configurations if "forced" not in each]
    if incoming.index:
        snapshots.finish(incoming)
    configuration = Configuration.decode(header.configuration, header.configured)
    history = History(
        path, header.peer, scratch, snapshots, starts_in(snapshots), header.first, header.last,
        committed_in(incoming.index, header.last, configuration, header.peer, proofs),
        lambda first, last: batches_of_backup(path, header, first, last),
    )  # fmt: skip
    refuse_witness(history, is_witness=False)
    return history


def batches_of_backup(
    path: Path, header: BackupHeader, first: int, last: int
) -> Iterator[tuple[int, list[bytes]]]:
    index = header.first
    for kind, content in read_backup(path):
        if kind != ENTRIES:
            continue
        some = content[max(first - index, 0) : max(last - index + 1, 0)]
        if some:
            yield max(first, index), some
        index += len(content)


def starts_in(snapshots: Snapshots) -> list[Snapshot]:
    """Return the snapshots, oldest first."""
    names = [name for name in snapshots.files.names() if name.endswith(".snapshot")]
    return [
        Snapshot(index, term, size=size, checksum=checksum)
        for index, term, size, checksum in sorted(map(snapshots.numbers, names))
    ]


def committed_in(
    snapshot: int, last: int, configuration: Configuration, peer: Address, proofs: Iterable[int]
) -> int:
    """Return the last entry that is known to be committed.

    No peer writes down what is committed. A snapshot stands for committed entries only. A leader
    begins a change of members when the configuration before it is committed (thesis 4.1); `proofs`
    are those. And the log of a group's only voter is all that any leader of the group can have.
    """
    if configuration.members == (peer,) and not configuration.old:
        return last
    return max([snapshot, *proofs])


def refuse_witness(history: History, *, is_witness: bool) -> None:
    kinds = {history.snapshots.header(each).kind for each in history.starts}
    if is_witness or WITNESS in kinds:
        raise CannotReplay(f"{history.path} is a witness's, which keeps no state: {ANOTHER}")
