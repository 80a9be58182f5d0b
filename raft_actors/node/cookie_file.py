"""Where a node gets its cookie from.

Taken from the argument, else from raft_actors_COOKIE, else from the file
`$XDG_CONFIG_HOME/raft_actors/cookie` (`~/.config/...`), which the first node creates.
"""

import contextlib
import logging
import os
import secrets
import stat
from pathlib import Path

from raft_actors.paths import absolute
from raft_actors.wire.cookie import CHARACTERS_MIN, Cookie, UnsafeCookie

__all__ = ["find_cookie"]

logger = logging.getLogger("raft_actors.node")

COOKIE_BYTES_MAX = 4096


def find_cookie(secret: str | bytes | Cookie | None = None) -> Cookie:
    """Return the cookie given, or of the environment, or of the user's cookie file.

    A short one is warned of.

    Raises UnsafeCookie when the file may be read by others, or can't be read or made.
    """
    cookie, origin = find(secret)
    if cookie.is_short:
        logger.warning(
            "the cookie %s has fewer than %d characters and can be guessed by whoever is dialled "
            "once: take a long random one, as openssl rand -hex 32 gives", origin, CHARACTERS_MIN,
        )  # fmt: skip
    return cookie


def find(secret: str | bytes | Cookie | None) -> tuple[Cookie, str]:
    """Return the cookie, and where it is from, in words."""
    if secret is not None:
        return (secret if isinstance(secret, Cookie) else Cookie(secret)), "that was given"
    if (chosen := os.environ.get("RAFT_ACTORS_COOKIE")) is not None:
        return Cookie(chosen), "in RAFT_ACTORS_COOKIE"
    path = cookie_path()
    try:
        return Cookie(read_or_create(path)), f"in {path}"
    except OSError as error:
        raise UnsafeCookie(
            f"there is no cookie ({error}): see to that file, or set RAFT_ACTORS_COOKIE"
        ) from error


def cookie_path() -> Path:
    """Return where the user's cookie file is. Raises UnsafeCookie without a home directory."""
    if chosen := os.environ.get("XDG_CONFIG_HOME"):
        return absolute(chosen) / "raft_actors" / "cookie"
    try:
        return absolute(Path.home()) / ".config" / "raft_actors" / "cookie"
    except RuntimeError:
        raise UnsafeCookie(
            "there is no cookie, for this user has no home directory to keep one in: set "
            "RAFT_ACTORS_COOKIE, or HOME or XDG_CONFIG_HOME to a directory"
        ) from None


def read_or_create(path: Path) -> bytes:
    """Return the content of the cookie file. Nodes that create it at once all get the same."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        return read(path)
    # A complete file appears under the final name or none does: link refuses an existing name.
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_urlsafe(32).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    return read(path)


def read(path: Path) -> bytes:
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise UnsafeCookie(
                f"other users may read the cookie {path}: run `chmod 600 {path}` (and make a new "
                "one if they may have read it)"
            )
        if status.st_uid != os.geteuid():
            raise UnsafeCookie(
                f"the cookie {path} belongs to another user: remove it, or set RAFT_ACTORS_COOKIE"
            )
        return file.read(COOKIE_BYTES_MAX)
