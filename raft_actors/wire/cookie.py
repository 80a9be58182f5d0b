"""Cookie: a secret that nodes share, and the keys that are made from it. Never sent, never printed.

A member's cookie is a text that a person may have chosen. Its keys are made by scrypt (RFC 7914),
once in a process: an attacker who has recorded a handshake pays the cost of scrypt for each guess.
A client's or a reader's cookie is `client:` or `reader:` and a key of 32 random bytes, which can't
be guessed.
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
"""The cost of scrypt: 16 MiB of memory, and 50 to 70 ms of processor time (measured)."""


class UnsafeCookie(RaftError):
    """The cookie is empty or malformed, or its file is readable for others, or not readable at
    all. The text says what to do.
    """


class Cookie:
    """One secret. It makes the proofs of a handshake and the keys of frames.

    role  what a node with this cookie may do
    id    distinguishes this cookie from others, and does not reveal the secret
    """

    __slots__ = ("_frames", "_proofs", "_root", "id", "is_short", "role")

    def __init__(self, secret: str | bytes) -> None:
        """Raises UnsafeCookie; TypeError if `secret` is neither str nor bytes (`bytes(20)` would
        make 20 zero bytes of a number). No error shows the secret.
        """
        if not isinstance(secret, str | bytes):
            raise TypeError(f"a cookie is a text, or bytes, not of type {type(secret).__name__}")
        try:
            # Python decodes arguments that are not UTF-8 with surrogateescape: get the bytes back.
            key = secret.encode(errors="surrogateescape") if isinstance(secret, str) else secret
        except UnicodeEncodeError:
            raise UnsafeCookie(
                "the cookie has characters that can't be encoded as UTF-8: use other characters"
            ) from None
        key = key.strip()
        if not key:
            raise UnsafeCookie("the cookie is empty: give a long random string")
        self.role: str = role_of_text(key)
        self._root = stretched(key) if self.role == MEMBER else key_in(key, self.role)
        self.is_short: bool = len(key) < CHARACTERS_MIN
        """Whether the cookie can be guessed: a node that was dialed once has a MAC with which it
        can try cookies without any connection."""
        self._proofs, self._frames = self._derived(b"proofs"), self._derived(b"frames")
        self.id: bytes = self._derived(b"id")[:ID_BYTES]

    def __repr__(self) -> str:
        return "<Cookie>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a cookie can't be pickled or sent: it is a secret")

    def sign(self, *parts: bytes) -> bytes:
        """Return the 32-byte MAC of `parts`. The same bytes in other parts have another MAC."""
        return mac(self._proofs, *parts)

    def frame_key(self, *parts: bytes) -> bytes:
        """Return the key for the frames of one direction; `parts` name connection and direction."""
        return mac(self._frames, *parts)

    def text_for(self, role: str) -> str:
        """Return the text of the client's or reader's cookie that this member's cookie makes."""
        if self.role != MEMBER or role not in (CLIENT, READER):
            raise ValueError("only a member's cookie makes others, for clients and for readers")
        return text_of_key(role, self._derived(b"cookie", role.encode()))

    def _derived(self, *parts: bytes) -> bytes:
        return mac(self._root, *parts)


@lru_cache(16)
def stretched(secret: bytes) -> bytes:
    """Return the key of a secret. An attacker pays the same time and memory for each guess."""
    return hashlib.scrypt(secret, salt=SALT, maxmem=64 << 20, dklen=KEY_BYTES, **COST)


def role_of_text(secret: bytes) -> str:
    """Return the role of a cookie by its prefix; without a prefix it is a member's."""
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
            f"the cookie begins with {role}: and no key follows: make a {role}'s cookie by "
            f"`raft-actors cookie derive {role} FILE` or by `raft-actors cookie new --role {role}`"
        )
    return key


def mac(key: bytes, *parts: bytes) -> bytes:
    digest = hmac.new(key, digestmod=hashlib.sha256)
    for part in parts:
        digest.update(len(part).to_bytes(4, "big"))
        digest.update(part)
    return digest.digest()
