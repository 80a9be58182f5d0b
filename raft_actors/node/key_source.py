"""KeySource: the cookies of a running node. Cookie files are read again when they change.

The cookies come from the argument, else from RAFT_ACTORS_COOKIE, else from the user's files.
"""

import logging
import os
import threading
from pathlib import Path

from raft_actors.audit import audit
from raft_actors.node.cookie_file import cookie_directory, keys_in, path_of
from raft_actors.wire.cookie import CHARACTERS_MIN, Cookie, UnsafeCookie
from raft_actors.wire.keyring import Keyring
from raft_actors.wire.roles import ROLES

__all__ = ["KeySource"]

logger: logging.Logger = logging.getLogger("raft_actors.node")


class KeySource:
    """The cookies for new connections."""

    def __init__(self, secret: str | bytes | Cookie | None = None) -> None:
        """Use `secret`, else the cookie in the environment, else the user's files. Log a warning
        for a short cookie.

        Raises UnsafeCookie if a file is readable for other users, or can't be read or made.
        """
        self._directory: Path | None = None
        self._is_reading = False
        chosen = os.environ.get("RAFT_ACTORS_COOKIE")
        if secret is not None:
            self._keys, origin = Keyring.of(secret), "that was given"
        elif chosen is not None:
            self._keys, origin = Keyring.of(chosen), "in RAFT_ACTORS_COOKIE"
        else:
            directory = cookie_directory()
            keys_in(directory, create=True)  # first, because it may make the file
            self._directory, self._seen = directory, look_at(directory)
            self._keys, path = keys_in(directory)
            origin = f"in {path}"
        warn_of_short(self._keys, origin)

    def current(self) -> Keyring:
        """Return the cookies. If the files have changed, another thread reads them, because scrypt
        takes a while: connections made after that use the new cookies.
        """
        directory = self._directory
        if directory is None or self._is_reading or look_at(directory) == self._seen:
            return self._keys
        try:
            self._is_reading = True
            threading.Thread(target=self._read, name="raft_actors-cookie", daemon=True).start()
        except RuntimeError:  # the system has no thread left: the next call tries again
            self._is_reading = False
            logger.debug("no thread to read %s again", directory)
        return self._keys

    def _read(self) -> None:
        """Read the files, and use their cookies, unless there is an error in them."""
        directory = self._directory
        assert directory is not None
        seen = look_at(directory)
        try:
            keys, path = self._keys_in(directory)
        except UnsafeCookie as error:
            logger.warning("this node keeps the cookies that it has: %s", error)
        else:
            self._keys = keys
            warn_of_short(keys, f"in {path}")
            accepted = [cookie.id.hex() for cookie in keys.accepted]
            logger.info(
                "cookies were read again: %s is used first, and accepted are %s",
                keys.own[0].id.hex(), ", ".join(accepted),
            )  # fmt: skip
            audit("cookies", first=keys.own[0].id.hex(), accepted=accepted)
        finally:
            self._seen = seen
            self._is_reading = False

    def _keys_in(self, directory: Path) -> tuple[Keyring, Path]:
        keys, path = keys_in(directory)
        if keys.role != self._keys.role:
            raise UnsafeCookie(
                f"this node is a {self._keys.role}, and {path} makes it a {keys.role}: restart "
                "the node"
            )
        return keys, path


def look_at(directory: Path) -> list[tuple[int, ...]]:
    """Return the times, sizes and numbers of the files: they differ after a change of any file."""
    seen: list[tuple[int, ...]] = []
    for role in ROLES:
        try:
            status = path_of(role, directory).stat()
            # The ctime changes with owner and mode, too.
            seen.append((status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino))
        except OSError:
            seen.append(())
    return seen


def warn_of_short(keys: Keyring, origin: str) -> None:
    if any(cookie.is_short for cookie in keys.own):
        logger.warning(
            "the cookie %s has fewer than %d characters, so a node that is dialed once can guess "
            "it: use a long random one, as openssl rand -hex 32 prints", origin, CHARACTERS_MIN,
        )  # fmt: skip
