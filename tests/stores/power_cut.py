"""Power cuts: what a disk has at any moment of a program, told from the program's system calls.

The program runs once under strace. Its calls are played on a pretended file system that keeps a
file's content when that is synced. Names are kept in one of two ways, for file systems differ:

    as synced   a name is there once its directory was synced
    at once     a name is there at once, whatever becomes of the content: ext4 may do so

Everything that was not kept is gone. The program says `acknowledge(n)` for what must survive.
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

CALLS = (
    "open,openat,creat,close,dup,dup2,dup3,lseek,write,pwrite64,writev,pwritev,ftruncate,fallocate,"
    "rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,rmdir,fsync,fdatasync"
)
CALL = re.compile(r"(\w+)\((.*)\) += (-?\d+)")
TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
HANDLE = re.compile(r"^(\d+|AT_FDCWD)(?:<([^>]*)>)?")
MARK = b"ACKNOWLEDGED "


def acknowledge(number):
    """Say that everything up to here was told to somebody."""
    os.write(2, MARK + b"%d\n" % number)


def traced(directory, code, *arguments):
    """Run a program under strace; return the lines of the trace."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    trace = directory / "trace"
    strace = ["strace", "-f", "-y", "-xx", "-s", "99999999", "-e", f"trace={CALLS}", "-o"]
    command = [sys.executable, "-c", code, *map(str, arguments)]
    child = subprocess.run([*strace, str(trace), *command], capture_output=True, text=True)
    if "ptrace" in child.stderr:
        pytest.skip("strace is not allowed here")
    assert child.returncode == 0, child.stderr
    return trace.read_text().splitlines()


@dataclass(eq=False)
class File:
    content: bytearray = field(default_factory=bytearray)
    kept: bytes = b""


@dataclass(eq=False)
class Directory:
    names: dict = field(default_factory=dict)
    kept: dict = field(default_factory=dict)


@dataclass
class Handle:
    """An open file or directory."""

    inode: object
    path: str
    appends: bool = False
    synced: bool = False
    at: int = 0


class Disk:
    """The file system below `root`, which was there before.

    acknowledged   what the program has said last
    changed        the path of which something was kept last
    """

    def __init__(self, root, *, names_at_once):
        self.root = str(root)
        self.names_at_once = names_at_once
        self.top = Directory()
        self.handles = {}
        self.acknowledged = 0
        self.changed = ""
        self.count = 0

    # Cuts.

    def cuts(self, lines):
        """Play a trace; yield wherever what is kept, or acknowledged, has changed."""
        for name, text, result in calls(lines):
            before = self.count, self.acknowledged
            play = getattr(self, name, None)
            if play is not None and result >= 0:
                play(text, result)
            if (self.count, self.acknowledged) != before:
                yield self

    def left_in(self, target):
        """Make `target` what is left after a power cut."""
        shutil.rmtree(target, ignore_errors=True)
        copy(self.top, target)
        return target

    def keep(self, path):
        self.count += 1
        self.changed = path.removeprefix(self.root).lstrip("/")

    # Paths.

    def parts(self, path):
        """Return the names from the root on; None outside."""
        path = os.path.normpath(path)
        if path != self.root and not path.startswith(self.root + "/"):
            return None
        return [part for part in path[len(self.root) :].split("/") if part]

    def parent(self, path):
        parts = self.parts(path)
        inode = self.top if parts else None
        for part in (parts or [])[:-1]:
            inode = inode.names.get(part) if isinstance(inode, Directory) else None
        return inode

    def find(self, path):
        parts = self.parts(path)
        if parts == []:
            return self.top
        parent = self.parent(path)
        return parent.names.get(parts[-1]) if isinstance(parent, Directory) else None

    def set_name(self, path, inode):
        parent = self.parent(path)
        if parent is None:
            return
        name = self.parts(path)[-1]
        for names in (parent.names, parent.kept) if self.names_at_once else (parent.names,):
            if inode is None:
                names.pop(name, None)
            else:
                names[name] = inode
        if self.names_at_once:
            self.keep(path)

    # Calls. What they get is their arguments as strace tells them.

    def openat(self, text, result):
        handle, rest = text.split(", ", 1)
        path = absolute(handle, texts_in(rest)[0])
        flags = rest.split(", ")[1]
        inode = self.find(path)
        if self.parts(path) is None:
            self.handles.pop(result, None)
            return
        if inode is None:
            assert "O_CREAT" in flags, text
            inode = File()
            self.set_name(path, inode)
        if "O_TRUNC" in flags:
            del inode.content[:]
        synced = "O_DSYNC" in flags or "O_SYNC" in flags
        self.handles[result] = Handle(inode, path, "O_APPEND" in flags, synced)

    def open(self, text, result):
        self.openat(f"AT_FDCWD, {text}", result)

    def creat(self, text, result):
        self.openat(f"AT_FDCWD, {text.split(', ')[0]}, O_CREAT|O_TRUNC", result)

    def close(self, text, _result):
        self.handles.pop(number_of(text), None)

    def dup(self, text, result):
        if (handle := self.handles.get(number_of(text))) is not None:
            self.handles[result] = handle
        else:
            self.handles.pop(result, None)

    dup2 = dup3 = dup

    def lseek(self, text, result):
        if (handle := self.handles.get(number_of(text))) is not None:
            handle.at = result

    def write(self, text, result):
        data = b"".join(texts_in(text))[:result]
        if number_of(text) == 2 and data.startswith(MARK):
            self.acknowledged = int(data[len(MARK) :])
        handle = self.handles.get(number_of(text))
        if handle is not None:
            at = len(handle.inode.content) if handle.appends else handle.at
            self.put(handle, at, data)
            handle.at = at + len(data)

    writev = write

    def pwrite64(self, text, result):
        handle = self.handles.get(number_of(text))
        if handle is not None:
            at = int(text.rsplit(", ", 1)[1])
            self.put(handle, at, b"".join(texts_in(text))[:result])

    pwritev = pwrite64

    def put(self, handle, at, data):
        content = handle.inode.content
        content.extend(bytes(max(at - len(content), 0)))
        content[at : at + len(data)] = data
        if handle.synced:
            kept = bytearray(handle.inode.kept)
            kept.extend(bytes(max(at - len(kept), 0)))
            kept[at : at + len(data)] = data
            handle.inode.kept = bytes(kept)
            self.keep(handle.path)

    def ftruncate(self, text, _result):
        handle = self.handles.get(number_of(text))
        if handle is not None:
            self.resize(handle.inode.content, int(text.rsplit(", ", 1)[1]))

    def fallocate(self, text, _result):
        handle = self.handles.get(number_of(text))
        if handle is not None and "KEEP_SIZE" not in text:
            offset, length = map(int, text.rsplit(", ", 2)[1:])
            content = handle.inode.content
            self.resize(content, max(len(content), offset + length))

    @staticmethod
    def resize(content, size):
        del content[size:]
        content.extend(bytes(size - len(content)))

    def fsync(self, text, _result):
        handle = self.handles.get(number_of(text))
        if handle is None:
            return
        inode = handle.inode
        if isinstance(inode, Directory):
            inode.kept = dict(inode.names)
        else:
            inode.kept = bytes(inode.content)
        self.keep(handle.path)

    fdatasync = fsync

    def rename(self, text, _result):
        old, new = (path.decode() for path in texts_in(text))
        inode = self.find(old)
        self.set_name(new, inode)
        self.set_name(old, None)

    renameat = renameat2 = rename

    def link(self, text, _result):
        old, new = (path.decode() for path in texts_in(text))
        self.set_name(new, self.find(old))

    linkat = link

    def unlink(self, text, _result):
        (path,) = texts_in(text)
        self.set_name(absolute(text, path), None)

    unlinkat = rmdir = unlink

    def mkdir(self, text, _result):
        (path,) = texts_in(text)
        self.set_name(absolute(text, path), Directory())

    mkdirat = mkdir


def copy(directory, target):
    target.mkdir(mode=0o700)
    for name, inode in directory.kept.items():
        if isinstance(inode, Directory):
            copy(inode, target / name)
        else:
            (target / name).write_bytes(inode.kept)
            (target / name).chmod(0o600)


def calls(lines):
    """Yield (name, arguments, result) of each call, where it has ended."""
    begun = {}
    for line in lines:
        process, text = line.split(None, 1)
        if text.endswith(" <unfinished ...>"):
            begun[process] = text.removesuffix(" <unfinished ...>")
            continue
        if text.startswith("<... "):
            text = begun.pop(process) + text.split(" resumed>", 1)[1]
        found = CALL.match(text)
        if found is not None:
            yield found[1], found[2], int(found[3])


def texts_in(text):
    return [decoded(found).encode("latin1") for found in TEXT.findall(text)]


def decoded(text):
    return re.sub(r"\\x([0-9a-f]{2})", lambda found: chr(int(found[1], 16)), text)


def number_of(text):
    return int(HANDLE.match(text)[1])


def absolute(text, path):
    """Return the path of a call that may name the directory from which it leads."""
    handle = HANDLE.match(text)
    return str(Path(decoded(handle[2] or "") if handle else "", path.decode()))


def cuts_of(lines, root):
    """Yield each cut of a trace, with names kept in either way."""
    for names_at_once in (False, True):
        yield from Disk(root, names_at_once=names_at_once).cuts(lines)
