"""Flipped bits in entries, on a disk and on the wire: each is noticed, and none is applied.

A hundred thousand: RAFT_ACTORS_FLIPPED_BITS=100000 python -m pytest tests/fuzz/test_flipped_bits.py
"""

import os
from random import Random

import pytest

from raft_actors.core.entry import COMMAND, CONFIG, NOOP, encode, first_damaged
from raft_actors.core.messages import AppendEntries
from raft_actors.peer.message_codec import pack, unpack
from raft_actors.replica.damage import find_damage
from raft_actors.stores import open_store
from raft_actors.stores.files import MemoryFiles
from raft_actors.stores.memory import MemoryStore
from raft_actors.stores.snapshots import PIECE, Header, Snapshots
from raft_actors.wire.frame_codec import make_packer
from raft_actors.wire.frame_codec import unpack as unpack_frame
from raft_actors.wire.versions import newest
from tests.replica.test_damage import MEMBERS

FLIPS = int(os.environ.get("RAFT_ACTORS_FLIPPED_BITS", "3000"))
ONE, TWO = ("a", "a@one"), ("b", "b@two")


def flip(content: bytes, bit: int) -> bytes:
    return content[: bit // 8] + bytes([content[bit // 8] ^ 1 << bit % 8]) + content[bit // 8 + 1 :]


def entries(luck: Random) -> list[bytes]:
    sizes = [luck.choice((0, 1, 50, 1_000)) for _ in range(8)]
    return [
        encode(1, CONFIG, MEMBERS.encode(), index=1),
        encode(2, NOOP, extensions=b"\0\1\0\3abc", index=2),
        *[
            encode(2, COMMAND, luck.randbytes(size), (7, index), 1_000 * index, index=index)
            for index, size in enumerate(sizes, 3)
        ],
    ]


@pytest.mark.parametrize("kind", ["memory", "rocksdb", "lmdb"])
def test_a_flipped_bit_of_a_stored_entry_is_found_and_nothing_else_is_taken_for_damage(
    kind: str, tmp_path
) -> None:
    luck = Random(kind)
    log = entries(luck)
    store = open_store(kind, tmp_path / "peer")
    for _ in range(FLIPS if kind == "memory" else FLIPS // 30):
        index = luck.randrange(len(log)) + 1
        spoilt = flip(log[index - 1], luck.randrange(8 * len(log[index - 1])))
        store.save(None, 1, [*log[: index - 1], spoilt, *log[index:]])
        assert find_damage(store, store.load(), 0).first == index
    store.save(None, 1, log)
    assert find_damage(store, store.load(), 0).first == 0
    store.close()


def test_no_flipped_bit_of_a_message_brings_another_entry_or_another_place() -> None:
    """What comes through has the entries that were sent, at their indexes, or is noticed."""
    luck = Random(2)
    pack_frame, came = make_packer(), 0
    for number in range(FLIPS):
        if number % 100 == 0:
            sent = entries(luck)
            message = AppendEntries(source=ONE, target=TWO, group="g", term=2, prev_index=0,
                                    prev_term=0, commit=0, round=1, entries=sent)  # fmt: skip
            frame = pack_frame(pack(message, newest()))
        try:
            packed = unpack_frame(flip(frame, luck.randrange(8 * len(frame))))
            taken = unpack(packed, ONE, TWO, "g")
        except Exception:  # refused, in one of the ways that have tests
            continue
        if type(taken) is not AppendEntries or not taken.entries:
            continue
        if first_damaged(taken.entries, taken.prev_index + 1):
            continue
        came += 1
        first = taken.prev_index
        assert taken.entries == sent[first : first + len(taken.entries)]
    assert came < FLIPS / 10, "most of a message is entries"


def test_a_flipped_bit_of_a_snapshot_is_never_restored() -> None:
    luck = Random(3)
    files = MemoryFiles()
    snapshots = Snapshots(files)
    draft = snapshots.draft(Header(5, 1, MEMBERS.encode(), 1, "term"))
    for number in range(20):
        draft.add(PIECE + b"\xc4" + bytes([100]) + luck.randbytes(99) + bytes([number]))
    snapshot = draft.finish()
    (name,) = [each for each in files.names() if each.endswith(".snapshot")]
    sound = bytes(files.contents[name])
    assert len(list(snapshots.pieces(snapshot))) == 20
    for _ in range(FLIPS // 3):
        files.contents[name] = bytearray(flip(sound, luck.randrange(8 * len(sound))))
        with pytest.raises(Exception, match=r"damaged|cut off|not what was written"):
            for _piece in snapshots.pieces(snapshot):
                pass
        assert snapshots.look_at(snapshot)


def test_blocks_of_a_snapshot_in_another_order_are_not_restored() -> None:
    """Each is whole, and there are as many as there should be."""
    files = MemoryFiles()
    snapshots = Snapshots(files)
    draft = snapshots.draft(Header(5, 1, MEMBERS.encode(), 1, "term"))
    start = draft.size
    for value in (b"\xa1a", b"\xa1b"):
        draft.add(PIECE + value)
    snapshot = draft.finish()
    (name,) = [each for each in files.names() if each.endswith(".snapshot")]
    content = files.contents[name]
    length = 8 + len(PIECE) + 2
    first, second = content[start : start + length], content[start + length : start + 2 * length]
    files.contents[name] = content[:start] + second + first + content[start + 2 * length :]
    with pytest.raises(Exception, match="not what was written"):
        list(snapshots.pieces(snapshot))


def test_a_store_in_memory_is_looked_through_as_those_on_disks_are() -> None:
    store = MemoryStore()
    store.save(None, 1, [b"?"])
    assert find_damage(store, store.load(), 0).first == 1
