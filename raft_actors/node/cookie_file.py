"""The cookie files of a user, in `$XDG_CONFIG_HOME/raft_actors` (`~/.config/raft_actors`).

cookie         the cookies of a member; if none of the three files exists, a node makes this one
client-cookie  the cookies of a client; a member that has this file accepts clients with them
reader-cookie  the same for readers

Each line is a cookie. A node prefers the first line when it dials, and accepts all of them. So
cookies can be replaced by new ones while nodes run.
"""

import contextlib
import os
import secrets
import stat
from codecs import BOM_UTF8
from pathlib import Path

from raft_actors.paths import absolute, make_private
from raft_actors.wire.cookie import Cookie, UnsafeCookie, role_of_text, text_of_key
from raft_actors.wire.keyring import Keyring, derived
from raft_actors.wire.roles import CLIENT, MEMBER, READER, ROLES

__all__ = [
    "cookie_directory",
    "keys_in",
    "lines_in",
    "make_file",
    "new_secret",
    "path_of",
    "replace_file",
]

FILES = {MEMBER: "cookie", CLIENT: "client-cookie", READER: "reader-cookie"}
COOKIE_BYTES_MAX = 4096
RANDOM_BYTES = 32


def cookie_directory() -> Path:
    """Return the directory of the user's cookies. Raises UnsafeCookie without a home directory."""
    if chosen := os.environ.get("XDG_CONFIG_HOME"):
        return absolute(chosen) / "raft_actors"
    try:
        return absolute(Path.home()) / ".config" / "raft_actors"
    except RuntimeError:
        raise UnsafeCookie(
            "there is no cookie, because this user has no home directory for its file: set "
            "RAFT_ACTORS_COOKIE, or set HOME or XDG_CONFIG_HOME to a directory"
        ) from None


def path_of(role: str, directory: Path | None = None) -> Path:
    return (directory or cookie_directory()) / FILES[role]


def keys_in(directory: Path, *, create: bool = False) -> tuple[Keyring, Path]:
    """Return the cookies for a node of this user, and the file with the cookies that it dials with.

    create  make a member's cookie if there is no cookie of any role

    Raises UnsafeCookie for a file that other users may read, or that has a cookie of another role.
    """
    try:
        found = {role: lines_in(path_of(role, directory)) for role in ROLES}
        if create and not any(found.values()):
            make_file(path_of(MEMBER, directory), [new_secret(MEMBER)])
            found[MEMBER] = lines_in(path_of(MEMBER, directory))
    except OSError as error:
        raise UnsafeCookie(
            f"there is no cookie ({error}): repair that file, or set RAFT_ACTORS_COOKIE"
        ) from error
    cookies = {role: cookies_of(role, lines, directory) for role, lines in found.items()}
    role = next((role for role in ROLES if cookies[role]), None)
    if role is None:
        raise UnsafeCookie(f"there is no cookie in {directory}")
    if role != MEMBER:
        return Keyring(cookies[role]), path_of(role, directory)
    own = cookies[MEMBER]
    guests = [
        guest
        for guest_role in (CLIENT, READER)
        for guest in cookies[guest_role] or derived(own, guest_role)
    ]
    return Keyring(own, guests), path_of(MEMBER, directory)


def cookies_of(role: str, lines: list[bytes], directory: Path) -> list[Cookie]:
    for line in lines:
        if role_of_text(line) != role:
            raise UnsafeCookie(
                f"{path_of(role, directory)} is for cookies of role {role}, and has a cookie of "
                f"role {role_of_text(line)}: move that line to {FILES[role_of_text(line)]}"
            )
    return [Cookie(line) for line in lines]


def lines_in(path: Path) -> list[bytes]:
    """Return the cookies in a file; [] if there is no file. Raises UnsafeCookie and OSError."""
    try:
        content = read(path)
    except FileNotFoundError:
        if path.is_symlink():
            raise UnsafeCookie(f"{path} is a link to a file that is not there") from None
        return []
    lines = [line for line in map(bytes.strip, content.removeprefix(BOM_UTF8).splitlines()) if line]
    for line in lines:
        check_line(line, path)
    if not lines:
        raise UnsafeCookie(
            f"the cookie file {path} is empty: remove it, or put a long random string into it"
        )
    return lines


def check_line(line: bytes, path: Path) -> None:
    """Raise UnsafeCookie for a line that somebody else may know: every line is accepted."""
    if line.startswith(b"#"):
        raise UnsafeCookie(
            f"a line of {path} begins with #, and a comment would be a cookie, too: remove it"
        )
    if any(byte < ord(" ") for byte in line):  # UTF-16, say: its end of a line has a NUL alone
        raise UnsafeCookie(
            f"the cookie file {path} is no plain text: save it as UTF-8, or make a new cookie"
        )


def new_secret(role: str) -> bytes:
    """Return a new cookie of this role."""
    if role == MEMBER:
        return secrets.token_urlsafe(RANDOM_BYTES).encode()
    return text_of_key(role, secrets.token_bytes(RANDOM_BYTES)).encode()


def make_file(path: Path, lines: list[bytes]) -> bool:
    """Make a cookie file. Returns False if there is one already: if several nodes make it at the
    same time, all use the same file.
    """
    make_private(path.parent)
    # `os.link` fails if the name exists: so the file appears complete, or not at all.
    draft = draft_of(path, lines)
    try:
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
            return True
        return False
    finally:
        draft.unlink()


def replace_file(path: Path, lines: list[bytes]) -> None:
    """Replace the cookies in the file, in one step: running nodes may read it at any time. Where
    `path` is a link, the file that it leads to is replaced.
    """
    path = path.resolve()
    draft = draft_of(path, lines)
    try:
        draft.replace(path)
    except OSError:
        draft.unlink()
        raise


def draft_of(path: Path, lines: list[bytes]) -> Path:
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.writelines(line + b"\n" for line in lines)
        file.flush()
        os.fsync(file.fileno())
    return draft


def read(path: Path) -> bytes:
    # A pipe would be waited for.
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise UnsafeCookie(f"the cookie {path} is no file: remove it")
        if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise UnsafeCookie(
                f"other users may read the cookie {path}: run `chmod 600 {path}` (and make a new "
                "one if they may have read it)"
            )
        if status.st_uid != os.geteuid():
            raise UnsafeCookie(
                f"the cookie {path} belongs to another user: remove it, or set RAFT_ACTORS_COOKIE"
            )
        content = file.read(COOKIE_BYTES_MAX + 1)
    if len(content) > COOKIE_BYTES_MAX:
        raise UnsafeCookie(f"the cookie file {path} is larger than {COOKIE_BYTES_MAX} bytes")
    return content
