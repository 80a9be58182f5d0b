"""Disks: a file system that is full from one moment to the next, and files that can't grow.

A small disk is a tmpfs of its own whose size is cut to what is used. It is mounted where only
this process and its children see it, so it is gone with them, however they end. That takes Linux,
and root or user namespaces; without, `SmallDisk.mount` says so by returning None.
"""

import contextlib
import ctypes
import os
import resource
from pathlib import Path

__all__ = ["SmallDisk", "limit_file_size"]

CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000  # unshare(2)
MS_REMOUNT, MS_REC, MS_PRIVATE = 32, 16384, 1 << 18  # mount(2)
ROOMY = "4g"  # a bound only: a tmpfs takes what is in it
MNT_DETACH = 2  # umount2(2)
PAGE_BYTES = 4096


class SmallDisk:
    """A directory with a file system of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def mount(cls, path: Path) -> "SmallDisk | None":
        """Mount one at `path`. Call it before the process has any other thread."""
        path.mkdir(parents=True, exist_ok=True)
        if not hide_mounts() or not mount("tmpfs", path, "tmpfs", 0, f"size={ROOMY},mode=700"):
            return None
        return cls(path)

    def fill(self) -> None:
        """Leave no room at all."""
        status = os.statvfs(self.path)
        used = (status.f_blocks - status.f_bfree) * status.f_frsize
        for size in (used, used + PAGE_BYTES, used + 64 * PAGE_BYTES):  # it may grow meanwhile
            if mount("tmpfs", self.path, "tmpfs", MS_REMOUNT, f"size={max(size, PAGE_BYTES)}"):
                return

    def remove(self) -> None:
        """Take it away with all that is on it; its directory stays."""
        umount(self.path)

    def free(self) -> None:
        mount("tmpfs", self.path, "tmpfs", MS_REMOUNT, f"size={ROOMY}")


def limit_file_size(pid: int, size: int | None) -> None:
    """Let no file of process `pid` grow beyond `size` bytes: its writes fail. None: as before."""
    limit = resource.RLIM_INFINITY if size is None else size
    with contextlib.suppress(ProcessLookupError):
        _soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, hard))


def hide_mounts() -> bool:
    """Give this process a view of the mounts that is its own."""
    try:
        unshare = ctypes.CDLL(None, use_errno=True).unshare
    except AttributeError:  # not Linux
        return False
    if unshare(CLONE_NEWNS) != 0:
        user, group = os.geteuid(), os.getegid()
        if unshare(CLONE_NEWNS | CLONE_NEWUSER) != 0:
            return False
        try:
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
            Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
        except OSError:
            return False
    return mount("none", Path("/"), "", MS_REC | MS_PRIVATE, "")


def umount(target: Path) -> None:
    ctypes.CDLL(None, use_errno=True).umount2(os.fsencode(target), MNT_DETACH)


def mount(source: str, target: Path, kind: str, flags: int, data: str) -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    parts = [os.fsencode(part) for part in (source, target, kind)]
    return bool(libc.mount(*parts, ctypes.c_ulong(flags), os.fsencode(data)) == 0)
