"""etcd: Debian's `etcd-server`, spoken to in HTTP and JSON on as many connections as asked for."""

import base64
import json
import math
import selectors
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from benchmarks.systems import System
from raft_actors.tools.bench.loads import KEYS, VALUE, Load, Measured

__all__ = ["Etcd"]

PATIENCE_S = 30.0
CATCH_UP_S = 600.0


class Etcd(System):
    name = "etcd"
    acknowledged = "disks of a majority"
    works = frozenset({"W1", "W64", "T64", "WP", "R64", "LAG", "FO", "REC"})

    @staticmethod
    def is_here() -> bool:
        return shutil.which("etcd") is not None

    def start(self) -> None:
        self.directory = tempfile.TemporaryDirectory(prefix="etcd-bench-")
        self.ports = [(free_port(), free_port()) for _ in range(3)]
        self.servers: dict[int, subprocess.Popen[bytes]] = {}
        self.filled = 0
        for number in range(3):
            self.start_server(number)
        deadline = time.monotonic() + PATIENCE_S
        while not self.leads_now():
            assert time.monotonic() < deadline, "etcd did not come up"
            time.sleep(0.1)

    def leads_now(self) -> bool:
        try:
            self.leader = self.find_leader()
        except (OSError, StopIteration):
            return False
        return True

    def start_server(self, number: int) -> None:
        client, peer = self.ports[number]
        cluster = ",".join(f"s{n}=http://127.0.0.1:{p}" for n, (_, p) in enumerate(self.ports))
        path = Path(self.directory.name)
        command = [
            "etcd", "--name", f"s{number}", "--data-dir", str(path / f"s{number}"),
            "--listen-client-urls", f"http://127.0.0.1:{client}",
            "--advertise-client-urls", f"http://127.0.0.1:{client}",
            "--listen-peer-urls", f"http://127.0.0.1:{peer}",
            "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}",
            "--initial-cluster", cluster, "--max-request-bytes", "16777216",
            "--quota-backend-bytes", "8589934592", "--log-level", "error",
        ]  # fmt: skip
        with (path / f"s{number}.log").open("ab") as log:
            self.servers[number] = subprocess.Popen(command, stdout=log, stderr=log)

    def ask(
        self, number: int, path: str, body: dict[str, Any], timeout: float = 2.0
    ) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self.ports[number][0]}{path}"
        request = urllib.request.Request(url, json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def find_leader(self) -> int:
        def leads(number: int) -> bool:
            status = self.ask(number, "/v3/maintenance/status", {})
            leader: str = status.get("leader", "0")
            return leader != "0" and leader == str(status["header"]["member_id"])

        return next(number for number in self.servers if leads(number))

    def stop(self) -> None:
        for server in self.servers.values():
            server.terminate()
        for server in self.servers.values():
            server.wait(PATIENCE_S)
        self.servers.clear()
        self.directory.cleanup()

    @property
    def pids(self) -> list[int]:
        return [server.pid for server in self.servers.values()]

    def run(self, load: Load) -> Measured:
        """One thread, which is its fastest; for T64 too."""
        path = "/v3/kv/put" if load.kind == "write" else "/v3/kv/range"
        value = {"value": encoded(load.value)} if load.kind == "write" else {}
        requests = [http(path, {"key": encoded(key), **value}) for key in KEYS[: load.keys]]
        return Loops(self.ports[self.leader][0], requests, load).run()

    def fail_over(self) -> float:
        killed = self.leader
        began = time.perf_counter()
        self.kill(killed)
        took = self.put_again(began)
        self.restore(killed)
        return took

    def kill(self, number: int) -> None:
        server = self.servers.pop(number)
        server.send_signal(signal.SIGKILL)
        server.wait()

    def put_again(self, began: float) -> float:
        put = {"key": encoded("fo"), "value": encoded("1")}
        while True:
            for number in self.servers:
                try:
                    self.ask(number, "/v3/kv/put", put, timeout=1.0)
                except OSError:
                    continue
                took = time.perf_counter() - began
                self.leader = self.find_leader()
                return took

    def restore(self, number: int) -> None:
        self.start_server(number)
        deadline = time.monotonic() + CATCH_UP_S
        while not self.answers(number):
            assert time.monotonic() < deadline, "etcd did not come back"
            time.sleep(0.02)

    def recover(self, entries: int) -> float:
        path, value = "/v3/kv/put", encoded(VALUE)
        requests = [http(path, {"key": encoded(key), "value": value}) for key in KEYS]
        load = Load("write", 1000, warm_up=0.0, seconds=CATCH_UP_S)
        Loops(self.ports[self.leader][0], requests, load).run(count=entries - self.filled)
        self.filled = entries
        follower = next(number for number in self.servers if number != self.leader)
        self.kill(follower)
        began = time.perf_counter()
        self.restore(follower)
        return time.perf_counter() - began

    def answers(self, number: int) -> bool:
        try:
            self.ask(number, "/v3/kv/range", {"key": encoded("fo")})
        except OSError:
            return False
        return True


class Loops:
    """So many connections, each with one request under way, on one thread."""

    def __init__(self, port: int, requests: list[bytes], load: Load) -> None:
        self.requests = requests
        self.load = load
        self.number = 0
        self.selector = selectors.DefaultSelector()
        self.sent: dict[socket.socket, float] = {}
        self.heard: dict[socket.socket, bytes] = {}
        for _ in range(load.outstanding):
            connection = socket.create_connection(("127.0.0.1", port))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.selector.register(connection, selectors.EVENT_READ)
            self.send(connection)

    def send(self, connection: socket.socket) -> None:
        self.heard[connection] = b""
        self.sent[connection] = time.perf_counter()
        connection.sendall(self.requests[self.number % len(self.requests)])
        self.number += 1

    def run(self, count: float = math.inf) -> Measured:
        measured = Measured()
        began = now = time.perf_counter()
        counted_from = began + self.load.warm_up
        ends = counted_from + self.load.seconds
        while now < ends and measured.count < count:
            for key, _ in self.selector.select(PATIENCE_S):
                connection = key.fileobj
                assert isinstance(connection, socket.socket)
                self.heard[connection] += connection.recv(1 << 20)
                if not is_whole(self.heard[connection]):
                    continue
                assert self.heard[connection].startswith(b"HTTP/1.1 200"), self.heard[connection]
                now = time.perf_counter()
                if now >= counted_from:
                    measured.count += 1
                    measured.latencies.append(now - self.sent[connection])
                self.send(connection)
        measured.seconds = now - counted_from
        for connection in self.sent:
            connection.close()
        self.selector.close()
        return measured


def is_whole(answer: bytes) -> bool:
    head, found, body = answer.partition(b"\r\n\r\n")
    if not found:
        return False
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            return len(body) >= int(line.split(b":")[1])
    return body.endswith(b"0\r\n\r\n")


def http(path: str, body: dict[str, Any]) -> bytes:
    data = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
