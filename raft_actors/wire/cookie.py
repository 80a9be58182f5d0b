"""Cookie: a secret that nodes share, as keys. It is never sent and never printed.

A member's cookie is a text that a person may have chosen. Its keys are made from it by scrypt (RFC
7914), once in a process: an attacker who has recorded a handshake pays the cost of scrypt for each
guess. A client's or a reader's cookie is `client:` or `reader:` and a key of 32 random bytes, which
can't be guessed.
"""

import base64
import binascii
import hashlib
import hmac
from functools import lru_cache
from typing import NoReturn

from raft_actors.errors import RaftError
from raft_actors.wire.roles import CLIENT, MEMBER, READER

__all__ = ["ID_BYTES", "Cookie", "UnsafeCookie", "role_of_text", "text_of_key"]

CHARACTERS_MIN = 20
KEY_BYTES = 32
ID_BYTES = 8
SALT = b"raft_actors cookie"
COST = {"n": 1 << 14, "r": 8, "p": 1}
"""The cost of scrypt: 16 MiB of memory, and 50 to 70 ms of processor time where it was measured."""


class UnsafeCookie(RaftError):
    """The cookie is empty, or its file may be read by others, or by nobody; says the remedy."""


class Cookie:
    """One secret: what proves it in a handshake, and what makes the keys of frames.

    role  what its holder may do
    id    distinguishes this cookie from others, and does not reveal it
    """

    __slots__ = ("_frames", "_proofs", "_root", "id", "is_short", "role")

    def __init__(self, secret: str | bytes) -> None:
        """Raises UnsafeCookie, and TypeError for what is neither str nor bytes: `bytes` of a number
        would be so many zeros. No error shows the secret.
        """
        if not isinstance(secret, str | bytes):
            raise TypeError(f"a cookie is a text, or bytes, not of type {type(secret).__name__}")
        try:
            # What a command line gave that is no UTF-8 is taken as the bytes that it was.
            key = secret.encode(errors="surrogateescape") if isinstance(secret, str) else secret
        except UnicodeEncodeError:
            raise UnsafeCookie("the cookie has characters that are none: give others") from None
        key = key.strip()
        if not key:
            raise UnsafeCookie("the cookie is empty: give a long random string")
        self.role = role_of_text(key)
        self._root = stretched(key) if self.role == MEMBER else key_in(key, self.role)
        self.is_short = len(key) < CHARACTERS_MIN
        """Whether it can be guessed: whoever is dialed once may try at leisure."""
        self._proofs, self._frames = self._derived(b"proofs"), self._derived(b"frames")
        self.id = self._derived(b"id")[:ID_BYTES]

    def __repr__(self) -> str:
        return "<Cookie>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a cookie does not travel")

    def sign(self, *parts: bytes) -> bytes:
        """Return the 32-byte MAC of `parts`; no other way to cut the same bytes has this MAC."""
        return mac(self._proofs, *parts)

    def frame_key(self, *parts: bytes) -> bytes:
        """Return the key of the frames of one direction, which `parts` are about."""
        return mac(self._frames, *parts)

    def text_for(self, role: str) -> str:
        """Return the text of the cookie that this member's cookie makes for a lesser role."""
        if self.role != MEMBER or role not in (CLIENT, READER):
            raise ValueError("only a member's cookie makes others, for clients and for readers")
        return text_of_key(role, self._derived(b"cookie", role.encode()))

    def _derived(self, *parts: bytes) -> bytes:
        return mac(self._root, *parts)


@lru_cache(16)
def stretched(secret: bytes) -> bytes:
    """Return the key of a secret; each try to guess one takes as long and as much memory."""
    return hashlib.scrypt(secret, salt=SALT, maxmem=64 << 20, dklen=KEY_BYTES, **COST)


def role_of_text(secret: bytes) -> str:
    """Return the role that a cookie says it is for."""
    for role in (CLIENT, READER):
        if secret.startswith(f"{role}:".encode()):
            return role
    return MEMBER


def text_of_key(role: str, key: bytes) -> str:
    return f"{role}:{base64.urlsafe_b64encode(key).decode().rstrip('=')}"


def key_in(secret: bytes, role: str) -> bytes:
    try:
        key = base64.b64decode(secret[len(role) + 1 :] + b"=", altchars=b"-_", validate=True)
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES:
        raise UnsafeCookie(
            f"the cookie begins with {role}: and no key follows: a {role}'s cookie is not chosen, "
            f"but made by `raft-actors cookie derive {role} FILE`, or `new --role {role}`"
        )
    return key


def mac(key: bytes, *parts: bytes) -> bytes:
    digest = hmac.new(key, digestmod=hashlib.sha256)
    for part in parts:
        digest.update(len(part).to_bytes(4, "big"))
        digest.update(part)
    return digest.digest()
