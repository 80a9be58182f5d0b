"""Cookie: the secret that the nodes of one cluster share, as a key. Never travels, never prints."""

import hashlib
import hmac
from typing import NoReturn

from raft_actors.errors import RaftError

__all__ = ["Cookie", "UnsafeCookie"]

CHARACTERS_MIN = 20


class UnsafeCookie(RaftError):
    """The cookie is empty, or its file may be read by others, or by nobody; says the remedy."""


class Cookie:
    """A shared secret as the key of HMAC-SHA256. Knows how to sign, and nothing else."""

    __slots__ = ("_key",)

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
        self._key = key.strip()
        if not self._key:
            raise UnsafeCookie("the cookie is empty: give a long random string")

    @property
    def is_short(self) -> bool:
        """Whether it can be guessed: whoever is dialled once may try at leisure."""
        return len(self._key) < CHARACTERS_MIN

    def __repr__(self) -> str:
        return "<Cookie>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a cookie does not travel")

    def sign(self, *parts: bytes) -> bytes:
        """Return the 32-byte MAC of `parts`; no other way to cut the same bytes has this MAC."""
        mac = hmac.new(self._key, digestmod=hashlib.sha256)
        for part in parts:
            mac.update(len(part).to_bytes(4, "big"))
            mac.update(part)
        return mac.digest()
