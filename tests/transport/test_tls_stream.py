"""A stream of TLS over a socket that takes and gives little at a time, and ends in every way."""

import contextlib
import random

import pytest

from raft_actors.node.tls import own_contexts
from raft_actors.transport.tls_errors import TlsFailed
from raft_actors.transport.tls_stream import RECORD_BYTES_MAX, NotTls, TlsStreams

BUFFER = 256 * 1024


class End:
    """One end of a connection in memory. Never blocks; takes and gives at most so much at once."""

    def __init__(self, takes=1 << 20, gives=1 << 20):
        self.takes, self.gives = takes, gives
        self.incoming = bytearray()
        self.other = None
        self.closed = self.shut = False

    def send(self, data):
        room = min(self.takes, len(data))
        if not room:
            raise BlockingIOError
        self.other.incoming += data[:room]
        return room

    def recv_into(self, buffer):
        data = self.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def recv(self, size):
        if not self.incoming and self.other.closed:
            return b""
        if not self.incoming:
            raise BlockingIOError
        size = min(size, self.gives)
        data = bytes(self.incoming[:size])
        del self.incoming[:size]
        return data

    def shutdown(self, _how):
        self.shut = True

    def close(self):
        self.closed = True


@pytest.fixture(scope="module")
def contexts():
    return own_contexts()


def ends(contexts, **limits):
    a, b = End(**limits), End(**limits)
    a.other, b.other = b, a
    streams = TlsStreams(lambda: contexts, BUFFER)
    return a, b, streams.dialed(a), streams.accepted(b)


def meet(*streams):
    streams[0].begin()
    for _ in range(100_000):
        for stream in streams:
            if not stream.is_complete:
                with contextlib.suppress(BlockingIOError):
                    stream.advance()
        if all(stream.is_complete for stream in streams):
            return
    raise AssertionError("they did not meet")


@pytest.fixture
def met(contexts):
    a, b, dialed, accepted = ends(contexts)
    meet(dialed, accepted)
    return a, b, dialed, accepted


def received(stream):
    buffer = memoryview(bytearray(BUFFER))
    found = bytearray()
    try:
        while count := stream.recv_into(buffer):
            found += buffer[:count]
    except BlockingIOError:
        pass
    return bytes(found)


@pytest.mark.parametrize("limits", [{"gives": 1}, {"gives": 7}, {"takes": 100}, {}], ids=str)
def test_both_ends_complete_and_know_the_same_channel(contexts, limits):
    """Planted: a flight of the handshake that the kernel did not take whole is forgotten."""
    _a, _b, dialed, accepted = ends(contexts, **limits)
    meet(dialed, accepted)
    assert dialed.channel() == accepted.channel()
    assert dialed.channel().acceptor == contexts.accept_print


@pytest.mark.parametrize("gives", [1, 5, 1000, RECORD_BYTES_MAX, 1 << 20])
def test_parts_of_records_wait_for_the_rest(contexts, gives):
    """Planted: a part of a record is taken for the end."""
    _a, b, dialed, accepted = ends(contexts)
    meet(dialed, accepted)
    b.gives = gives
    sent = random.Random(1).randbytes(40_000)
    assert dialed.send(sent) == len(sent)
    found, calls = bytearray(), 0
    buffer = memoryview(bytearray(BUFFER))
    while len(found) < len(sent):
        calls += 1
        try:
            count = accepted.recv_into(buffer)
        except BlockingIOError:
            assert b.incoming, "all had come"
        else:
            assert count
            found += buffer[:count]
    assert bytes(found) == sent
    assert calls >= len(sent) // gives


def test_what_a_full_kernel_does_not_take_leaves_later_and_once(met):
    """Planted: the rest is encrypted again."""
    a, _b, dialed, accepted = met
    chance = random.Random(2)
    sent = memoryview(chance.randbytes(600_000))
    rest, found = sent, bytearray()
    while rest:
        a.takes = chance.choice((0, 0, 1, 100, 50_000))
        if a.takes:
            a.send = once(a)
        try:
            rest = rest[dialed.send(rest) :]
        except BlockingIOError:
            assert dialed.is_behind
        if "send" in vars(a):
            del a.send
        found += received(accepted)
    assert bytes(found + received(accepted)) == bytes(sent)


def once(end):
    """A `send` that takes something one time, and is full then."""
    calls = []

    def send(data):
        if calls:
            raise BlockingIOError
        calls.append(data)
        return End.send(end, data)

    return send


def test_what_came_before_the_end_is_read_and_then_the_end(met):
    _a, b, dialed, accepted = met
    dialed.send(b"the last")
    dialed.close()
    assert received(accepted) == b"the last"
    assert accepted.recv_into(memoryview(bytearray(BUFFER))) == 0
    assert not b.incoming


@pytest.mark.parametrize("before", [b"", b"the last"])
def test_what_comes_after_close_notify_is_not_read(met, before):
    """Planted: look for the end in an exception only, and read for ever: any stranger could have
    sent that.
    """
    _a, b, dialed, accepted = met
    if before:
        dialed.send(before)
    dialed.close()
    b.incoming += b"\x17\x03\x03\x00\x10" + bytes(16)
    assert received(accepted) == before
    assert accepted.recv_into(memoryview(bytearray(BUFFER))) == 0
    assert accepted.recv_into(memoryview(bytearray(BUFFER))) == 0


def test_a_connection_that_ends_without_a_word_ends(met):
    a, _b, _dialed, accepted = met
    a.close()
    assert accepted.recv_into(memoryview(bytearray(BUFFER))) == 0


def test_who_closes_waits_for_nobody(met):
    a, _b, dialed, _accepted = met
    a.takes = 0
    dialed.close()
    assert a.closed


@pytest.mark.parametrize("bit", range(0, 8 * 60, 37))
def test_a_changed_record_fails_and_the_other_end_is_told(met, bit):
    _a, b, dialed, accepted = met
    dialed.send(b"x" * 60)
    b.incoming[bit // 8] ^= 1 << bit % 8
    dialed.send(b"y" * 20_000)  # where a length was changed, that much is waited for
    with pytest.raises(TlsFailed):
        received(accepted)
    with pytest.raises(TlsFailed):
        received(dialed)


def test_a_record_that_comes_twice_or_too_early_fails(contexts):
    for order in ([0, 0], [1], [0, 2]):
        _a, b, dialed, accepted = ends(contexts)
        meet(dialed, accepted)
        records = []
        for number in range(3):
            dialed.send(b"%d" % number)
            records.append(bytes(b.incoming))
            b.incoming.clear()
        for index in order:
            b.incoming += records[index]
        with pytest.raises(TlsFailed, match="changed, left out, repeated or inserted"):
            received(accepted)


def test_who_does_not_speak_tls_is_told_apart_by_the_first_byte_alone(contexts):
    for first in range(256):
        _a, b, _dialed, accepted = ends(contexts)
        b.incoming += bytes([first])
        if first in (0x15, 0x16):
            accepted.advance()
        else:
            with pytest.raises(NotTls) as other:
                accepted.advance()
            assert other.value.data == bytes([first])


def test_any_bytes_in_a_handshake_end_it_and_nothing_else(contexts):
    chance = random.Random(3)
    for _ in range(300):
        _a, b, dialed, accepted = ends(contexts)
        dialed.begin()
        flight = bytearray(b.incoming)
        for _ in range(chance.randrange(1, 4)):
            flight[chance.randrange(len(flight))] = chance.randrange(256)
        b.incoming[:] = flight[: chance.randrange(1, len(flight) + 1)]
        try:
            accepted.advance()
        except (TlsFailed, NotTls):
            continue
        assert not accepted.is_complete
