"""What encryption and tags cost by themselves: python -m benchmarks.micro.tls

Both ends are in this process, over a socket pair; the least of five runs of processor time.
"""

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from raft_actors.node.tls import own_contexts
from raft_actors.transport.tls_stream import TlsStream, TlsStreams
from raft_actors.wire.frame_mac import FrameMac

BUFFER = memoryview(bytearray(256 * 1024))
Stream = socket.socket | TlsStream


def least_us(work: Callable[[], object], count: int) -> float:
    took = []
    for _ in range(5):
        began = time.process_time()
        for _ in range(count):
            work()
        took.append((time.process_time() - began) / count * 1e6)
    return min(took)


def pair() -> tuple[socket.socket, socket.socket]:
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
    return ends


def encrypted_pair(streams: TlsStreams) -> tuple[TlsStream, TlsStream]:
    near, far = pair()
    dialed, accepted = streams.dialed(near), streams.accepted(far)
    dialed.begin()
    while not (dialed.is_complete and accepted.is_complete):
        for stream in (dialed, accepted):
            if not stream.is_complete:
                with suppress(BlockingIOError):
                    stream.advance()
    return dialed, accepted


def pass_on(data: bytes, near: Stream, far: Stream) -> None:
    rest, got = memoryview(data), 0
    while got < len(data):
        with suppress(BlockingIOError):
            rest = rest[near.send(rest) :] if rest else rest
        with suppress(BlockingIOError):
            got += far.recv_into(BUFFER)


def main() -> None:
    contexts = own_contexts()
    streams = TlsStreams(lambda: contexts, len(BUFFER))
    plain, tls, mac = pair(), encrypted_pair(streams), FrameMac(bytes(32))
    print("µs: sent and received, plain and with TLS; one tag, which each end makes")
    for size, count in ((200, 20_000), (5_000, 10_000), (1 << 20, 100)):
        data = b"x" * size
        bare = least_us(partial(pass_on, data, *plain), count)
        crypt = least_us(partial(pass_on, data, *tls), count)
        tag = least_us(partial(mac.tag, data), count)
        print(f"{size:>8} bytes  {bare:8.1f}  {crypt:8.1f}  {tag:8.1f}")

    def meet() -> None:
        for stream in encrypted_pair(streams):
            stream.close()

    print(f"a handshake of TLS, both ends: {least_us(meet, 100) / 1e3:.2f} ms")


if __name__ == "__main__":
    main()
