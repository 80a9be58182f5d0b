"""The physical floor: what one synced append and one loopback round trip cost here, now."""

import os
import socket
import tempfile
import threading
import time
from pathlib import Path

__all__ = ["fdatasync_s", "round_trip_s"]

ROUNDS = 300


def fdatasync_s() -> float:
    """Median seconds of a 128-byte append and its fdatasync."""
    took = []
    with tempfile.TemporaryDirectory() as directory:
        file = os.open(Path(directory) / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for _ in range(ROUNDS):
            began = time.perf_counter()
            os.write(file, b"x" * 128)
            os.fdatasync(file)
            took.append(time.perf_counter() - began)
        os.close(file)
    return sorted(took)[ROUNDS // 2]


def round_trip_s() -> float:
    """Median seconds of 64 bytes there and back between two threads over loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
    for end in (near, far):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def echo() -> None:
        while data := far.recv(64):
            far.sendall(data)

    thread = threading.Thread(target=echo, daemon=True)
    thread.start()
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        near.sendall(b"x" * 64)
        near.recv(64)
        took.append(time.perf_counter() - began)
    near.close()
    thread.join()
    far.close()
    return sorted(took)[ROUNDS // 2]
