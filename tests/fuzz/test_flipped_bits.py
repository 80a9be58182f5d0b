"""Flipped bits in handshakes, frames, entries and snapshots: each is noticed, and none is used.

A hundred thousand: RAFT_ACTORS_FLIPPED_BITS=100000 python -m pytest tests/fuzz/test_flipped_bits.py
"""

import contextlib
import os
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from raft_actors.core.entry import COMMAND, CONFIG, NOOP, encode, first_damaged
from raft_actors.core.messages import AppendEntries, InstallSnapshot
from raft_actors.core.snapshot import SnapshotReceipt
from raft_actors.errors import StoreCorrupt
from raft_actors.peer.message_codec import pack, unpack
from raft_actors.replica.damage import find_damage
from raft_actors.stores import open_store
from raft_actors.stores.files import MemoryFiles
from raft_actors.stores.memory import MemoryStore
from raft_actors.stores.snapshots import PIECE, Header, Snapshots
from raft_actors.wire.frame_codec import make_packer
from raft_actors.wire.frame_codec import unpack as unpack_frame
from raft_actors.wire.frame_mac import TAG_BYTES, FrameMac
from raft_actors.wire.frames import FrameReader, ProtocolError, header
from raft_actors.wire.handshake import AcceptorHandshake, DialerHandshake, Identity, Refusal
from raft_actors.wire.keyring import Keyring
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


def whole_handshake(keys: Keyring, spoil: Callable[[int, bytes], bytes]) -> tuple[Any, Any]:
    """Return whom the acceptor and the dialer have found at the other end. Raises for a refusal."""
    dialer = DialerHandshake(Identity("b@two", b"bbbbbbbb", 1 << 20), keys, "a@one")
    acceptor = AcceptorHandshake(Identity("a@one", b"aaaaaaaa", 1 << 20), keys)
    challenge = acceptor.receive(spoil(0, dialer.hello))
    proof = dialer.receive(spoil(1, challenge))
    at_acceptor = acceptor.receive(spoil(2, proof))
    return at_acceptor, dialer.receive(spoil(3, acceptor.welcome()))


def test_no_handshake_with_a_flipped_bit_ends_well() -> None:
    """Planted: leave one of the two messages out of what is signed."""
    luck, keys = Random(4), Keyring.of("the cookie of this test")
    at_acceptor, at_dialer = whole_handshake(keys, lambda _number, message: message)
    assert at_acceptor.send_key == at_dialer.receive_key
    for _ in range(FLIPS // 3):
        spoilt = luck.randrange(4)

        def spoil(number: int, message: bytes, spoilt: int = spoilt) -> bytes:
            return flip(message, luck.randrange(8 * len(message))) if number == spoilt else message

        with pytest.raises((ProtocolError, Refusal)):
            whole_handshake(keys, spoil)


def test_no_flipped_bit_of_a_stream_of_frames_brings_another_frame() -> None:
    """Planted: take a frame with any tag."""
    luck, key = Random(5), bytes(range(32))
    sending = FrameMac(key)
    payloads = [luck.randbytes(luck.choice((0, 1, 20, 300))) for _ in range(6)]
    stream = b"".join(header(len(each) + TAG_BYTES) + each + sending.tag(each) for each in payloads)
    for _ in range(FLIPS):
        receiving, found = FrameMac(key), []
        frames = FrameReader(1 << 20).feed(flip(stream, luck.randrange(8 * len(stream))))
        with contextlib.suppress(ProtocolError):
            found.extend(bytes(receiving.checked(frame)) for frame in frames)
        assert len(found) < len(payloads)
        assert found == payloads[: len(found)]


@pytest.mark.parametrize("parts", [1, 3])
def test_no_flipped_bit_of_a_part_of_a_snapshot_is_installed(parts: int) -> None:
    """Each part is taken as `Follower.on_install_snapshot` takes it."""
    luck, files = Random(parts), MemoryFiles()
    draft = Snapshots(files).draft(Header(5, 1, MEMBERS.encode(), 1, "term"))
    for number in range(20):
        draft.add(PIECE + b"\xc4" + bytes([100]) + luck.randbytes(99) + bytes([number]))
    snapshot = draft.finish()
    (name,) = [each for each in files.names() if each.endswith(".snapshot")]
    sound, pack_frame, size = bytes(files.contents[name]), make_packer(), snapshot.size
    step = -(-size // parts)
    frames = [
        pack_frame(pack(InstallSnapshot(
            source=ONE, target=TWO, group="g", term=2, index=snapshot.index,
            last_term=snapshot.term, size=size, checksum=snapshot.checksum, offset=offset,
            data=sound[offset : offset + step], round=1,
        ), newest()))
        for offset in range(0, size, step)
    ]  # fmt: skip
    assert installed(frames) == {name: sound}
    for _ in range(FLIPS // 3):
        spoilt = luck.randrange(parts)
        flipped = flip(frames[spoilt], luck.randrange(8 * len(frames[spoilt])))
        found = installed([*frames[:spoilt], flipped, *frames[spoilt + 1 :]])
        assert found in ({}, {name: sound})


def installed(frames: list[bytes]) -> dict[str, bytes]:
    """Return the snapshots that a follower has after these parts."""
    files, incoming = MemoryFiles(), None
    snapshots = Snapshots(files)
    for frame in frames:
        try:
            chunk = unpack(unpack_frame(frame), ONE, TWO, "g")
        except Exception:  # refused, in one of the ways that have tests
            continue
        if type(chunk) is not InstallSnapshot:
            continue
        offered = SnapshotReceipt(chunk.index, chunk.last_term, chunk.size, chunk.checksum)
        if incoming is None or not incoming.is_of(offered):
            incoming = offered
        if chunk.offset != incoming.offset:
            continue
        snapshots.receive(offered, chunk.offset, chunk.data)
        incoming = replace(incoming, offset=chunk.offset + len(chunk.data))
        if incoming.offset == chunk.size:
            with contextlib.suppress(StoreCorrupt):
                snapshots.finish(offered)
    return {n: bytes(c) for n, c in files.contents.items() if n.endswith(".snapshot")}
