"""Depth check: refuse msgpack whose lists are nested too deep, or too many, before decoding it.

The msgpack library allocates memory for all items of a list when it reads the head of the list. A
stranger can nest such heads: one kilobyte of heads costs about 180 kilobytes of memory. And one
byte is a whole list: a frame of 16 MiB can be 16 million lists, which take 1 GB of memory and some
seconds of the bridge thread. So these checks read the heads first, and allocate nothing.
"""

from raft_actors.wire.frames import ProtocolError

__all__ = ["check_containers", "check_depth"]

FIXED = {
    0xC0: 0, 0xC2: 0, 0xC3: 0,  # nil, false, true
    0xCA: 4, 0xCB: 8,  # floats
    0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8,  # ints
}  # fmt: skip
"""By first byte: the size of the value that follows, in bytes."""
COUNTED = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
"""By first byte of a bytes or str: the size of the length that follows, in bytes."""
LISTS = {0xDC: 2, 0xDD: 4}
"""By first byte of a list: the size of the count that follows, in bytes."""
MAPS = {0xDE: 2, 0xDF: 4}
EXTS = {0xC7: 1, 0xC8: 2, 0xC9: 4}
"""By first byte of an ext: the size of the length; the type takes one more byte."""
FIXED_EXTS = {0xD4: 2, 0xD5: 3, 0xD6: 5, 0xD7: 9, 0xD8: 17}
NEVER_USED = 0xC1
NOT_CONTAINERS = bytes({*range(256)} - {*range(0x80, 0xA0), *range(0xDC, 0xE0)})
"""The bytes with which no list or map begins."""


def check_depth(payload: bytes, depth: int) -> None:
    """Raise ProtocolError for lists that are nested deeper than `depth`, and for maps and exts.

    Bytes that are not msgpack, or end too early, pass: decoding refuses them later.
    """
    position = 0
    left = [1]  # for each open list, outermost first: how many of its values are still to come
    while position < len(payload) and left:
        head = payload[position]
        position += 1
        left[-1] -= 1
        if head < 0x80 or head >= 0xE0:  # a small int
            size = 0
        elif 0xA0 <= head <= 0xBF:  # a short str
            size = head & 0x1F
        elif head in FIXED:
            size = FIXED[head]
        elif head in COUNTED:
            size = COUNTED[head] + number(payload, position, COUNTED[head])
        elif 0x90 <= head <= 0x9F or head in LISTS:
            size = LISTS.get(head, 0)
            left.append(number(payload, position, size) if size else head & 0x0F)
            if len(left) > depth + 1:
                raise ProtocolError(f"lists nested deeper than {depth}, the most in a handshake")
        elif head == NEVER_USED:
            return
        else:
            raise ProtocolError("a map or an ext, which no handshake message has")
        position += size
        while left and not left[-1]:
            left.pop()


def check_containers(payload: bytes | memoryview, most: int) -> None:
    """Raise ProtocolError if `payload` has more than `most` lists and maps.

    Bytes that are not msgpack pass, as in `check_depth`.
    """
    if len(payload) <= most or len(bytes(payload).translate(None, NOT_CONTAINERS)) <= most:
        return  # most bytes are inside of strings: what follows reads each head
    position = count = 0
    while position < len(payload):
        head = payload[position]
        position += 1
        if 0x80 <= head <= 0x9F or head in LISTS or head in MAPS:
            count += 1
            if count > most:
                raise ProtocolError(f"a payload of more than {most} lists and maps")
            position += LISTS.get(head) or MAPS.get(head) or 0
        elif 0xA0 <= head <= 0xBF:
            position += head & 0x1F
        elif head in COUNTED:
            position += COUNTED[head] + number(payload, position, COUNTED[head])
        elif head in EXTS:
            position += EXTS[head] + 1 + number(payload, position, EXTS[head])
        elif head == NEVER_USED:
            return
        else:
            position += FIXED.get(head) or FIXED_EXTS.get(head) or 0


def number(payload: bytes | memoryview, position: int, size: int) -> int:
    return int.from_bytes(payload[position : position + size], "big")
