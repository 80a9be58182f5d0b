"""What a disk may have after a power cut: a model, made of the calls of a `FilesStore`.

The calls are recorded at the module `os` of the store. Of the writes that were not synced, each
sector of 512 bytes is on the disk or not, independently; a file may be as long as it was last made,
or as long as it was at its sync; and of the names that were made or removed since a directory was
synced, the first ones have changed and the later ones have not.
"""

import os
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from raft_actors.stores import files, segment, segments

SECTOR = 512


class Recorder:
    """Stands in the place of `os`, and notes what changes a file.

    events   what was done, in order
    fail_at  the number of the call that fails, counted from 0; None: none does
    error    what it raises; an int is the number of bytes that are written instead
    """

    def __init__(self):
        self.events = []
        self.count = 0
        self.fail_at = None
        self.error = None

    def __getattr__(self, name):
        return getattr(os, name)

    def fails(self):
        number, self.count = self.count, self.count + 1
        if number != self.fail_at:
            return False
        if isinstance(self.error, OSError):
            raise self.error
        return True

    def path_of(self, handle):
        return str(Path(f"/proc/self/fd/{handle}").readlink())

    def pwrite(self, handle, data, at):
        if self.fails():
            data = bytes(data)[: self.error]
        self.events.append(("write", self.path_of(handle), at, bytes(data)))
        return os.pwrite(handle, data, at)

    def pread(self, handle, size, at):
        if self.fails():
            size = min(size, self.error)
        return os.pread(handle, size, at)

    def fdatasync(self, handle):
        self.fails()
        self.events.append(("sync", self.path_of(handle)))

    fsync = fdatasync

    def ftruncate(self, handle, size):
        self.fails()
        self.events.append(("cut", self.path_of(handle), size))
        os.ftruncate(handle, size)

    def open_regular(self, path, flags):
        self.fails()
        is_new = flags & os.O_CREAT and not Path(path).exists()
        handle = real_open(path, flags)
        if is_new:
            self.events.append(("make", str(path)))
        return handle

    def unlink(self, path, missing_ok=False):
        self.fails()
        if Path(path).exists():
            self.events.append(("remove", str(path)))
        real_unlink(path, missing_ok=missing_ok)


real_open = segment.open_regular
real_unlink = Path.unlink


@contextmanager
def recorded():
    recorder = Recorder()
    with (
        patch.object(segment, "os", recorder),
        patch.object(segments, "os", recorder),
        patch.object(files, "os", recorder),
        patch.object(segment, "open_regular", recorder.open_regular),
        patch.object(Path, "unlink", lambda path, **options: recorder.unlink(path, **options)),
    ):
        yield recorder


def left_after(events, below, luck):
    """Return {path: content} that a cut after these events may leave, drawn by `luck`."""
    kept, contents, pending = {}, {}, {}
    names, changes = set(), []
    for event in events:
        what, path = event[:2]
        if not path.startswith(str(below)):
            continue
        match what:
            case "make":
                contents[path], kept[path], pending[path] = bytearray(), b"", []
                changes.append(event)
            case "remove":
                changes.append(event)
            case "write":
                at, data = event[2:]
                content = contents[path]
                content.extend(bytes(max(at + len(data) - len(content), 0)))
                content[at : at + len(data)] = data
                pending[path].append(event)
            case "cut":
                del contents[path][event[2] :]
                pending[path].append(event)
            case "sync" if path in contents:
                kept[path], pending[path] = bytes(contents[path]), []
            case "sync":
                names = changed(
                    names, [each for each in changes if Path(each[1]).parent == Path(path)]
                )
                changes = [each for each in changes if Path(each[1]).parent != Path(path)]
    names = changed(names, changes[: luck.randint(0, len(changes))])
    share = luck.choice((0.0, 0.1, 0.5, 0.9, 1.0))
    return {path: torn(kept[path], pending[path], share, luck) for path in names}


def changed(names, changes):
    names = set(names)
    for what, path in changes:
        (names.add if what == "make" else names.discard)(path)
    return names


def torn(content, writes, share, luck):
    """Return the content after some sectors of the writes; `share` of them are on the disk."""
    content = bytearray(content)
    for write in writes:
        if write[0] == "cut":
            if luck.random() < 0.5:
                del content[write[2] :]
            continue
        at, data = write[2:]
        if luck.random() < 0.5:
            content.extend(bytes(max(at + len(data) - len(content), 0)))
        start = at
        while start < at + len(data):
            stop = min(start - start % SECTOR + SECTOR, at + len(data))
            if luck.random() < share:
                content.extend(bytes(max(stop - len(content), 0)))
                content[start:stop] = data[start - at : stop - at]
            start = stop
    return bytes(content)
