"""ExtType: msgpack's tuple of an extension code and its bytes, which msgpack has no type for."""

from typing import TYPE_CHECKING, NamedTuple

__all__ = ["ExtType"]

if TYPE_CHECKING:

    class ExtType(NamedTuple):
        code: int
        data: bytes

else:
    from msgpack import ExtType
