"""No input of a stranger allocates more than a few KiB, blocks a thread, or reaches an actor.

A real node in a process of its own, real sockets; the node measures itself with tracemalloc. Its
two doors are the listener of nodes and the port mapper.
"""

import contextlib
import itertools
import os
import random
import socket
import struct

import msgpack
import pytest

from raft_actors.wire.frames import header
from raft_actors.wire.handshake import HANDSHAKE_BYTES_MAX, DialerHandshake, Identity
from raft_actors.wire.keyring import Keyring
from tests.helpers import eventually
from tests.node_helpers import Script, free_port

KIB = 1024
COOKIE = "the strangers do not know it"
KEYS = Keyring.of(COOKIE)
"""Of what they have heard others offer: they make no proof with it."""
ONE_STRANGER = 20 * KIB
"""What one may cost at its peak: a connection, its largest message, a line of the log."""
PEERS_NAME = "victim@here"
MAPPER = "127.0.0.1"

NODE = """
import gc, sys, threading, tracemalloc
from raft_actors.node.local_node import LocalNode
from supervision import Process

class Actor(Process):
    heard = []
    def on_receive(self, message):
        self.heard.append(message)

node = LocalNode("victim@here").start()
node.register("actor", Actor.start())
frames = []
for kind in range(16, 32):
    node.on_frames(kind, frames.extend)
bridge = node._bridge

def strangers():
    return len(bridge.handshakes.listener.strangers) + len(node.access.mapper._askers)

def collect():
    gc.collect()
    # Python's cache of attributes keeps a text for each `case bytes(x)`: up to 4,096 of them.
    sys._clear_type_cache()

def measure():
    collect()
    tracemalloc.reset_peak()
    return tracemalloc.get_traced_memory()[0]

print(node.port)
tracemalloc.start()
base = 0
for line in sys.stdin:
    match line.strip():
        case "measure": base = measure(); print("ok")
        case "peak": print(tracemalloc.get_traced_memory()[1] - base)
        case "held": collect(); print(tracemalloc.get_traced_memory()[0] - base)
        case "strangers": print(strangers())
        case "reached": print(len(frames) + len(Actor.heard) + len(node.list()))
        case "threads": print(threading.active_count())
"""


@pytest.fixture(scope="module")
def victim(tmp_path_factory):
    directory = tmp_path_factory.mktemp("victim")
    mapper = free_port(MAPPER)
    environment = {
        "RAFT_ACTORS_RUNTIME_DIR": str(directory / "run"),
        "XDG_CONFIG_HOME": str(directory / "config"),
        "RAFT_ACTORS_COOKIE": COOKIE,
        "RAFT_ACTORS_MAPPER_PORT": str(mapper),
    }
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    script = Script(NODE)
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})
    try:
        script.port = int(script.line())
        script.mapper = mapper
        yield script
    finally:
        script.kill()


def connect(port):
    sock = socket.create_connection((MAPPER, port), timeout=10)
    # Closing resets the connection: no port of this host stays taken for a minute.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return sock


def visit(victim, port, data, chunk=0):
    """Say `data` and hang up when nothing more is said; return what was answered."""
    said = b""
    with connect(port) as sock, contextlib.suppress(ConnectionError):
        for start in range(0, len(data), chunk or len(data) or 1):
            sock.sendall(data[start : start + (chunk or len(data))])
        with contextlib.suppress(OSError):  # it has hung up already
            sock.shutdown(socket.SHUT_WR)
        while piece := sock.recv(4096):
            said += piece
    while int(victim.say("strangers")):
        pass
    return said


def cost(victim, port, data, chunk=0):
    """Return what a visit costs at its peak.

    The node looks after its port file now and then, which only adds to it: where it is much, two
    visits more are measured, and the cheapest counts.
    """
    costs = []
    while len(costs) < 3 and min(costs, default=ONE_STRANGER) >= ONE_STRANGER:
        victim.say("measure")
        visit(victim, port, data, chunk)
        costs.append(int(victim.say("peak")))
    return min(costs)


def framed(payload):
    return header(len(payload)) + payload


HELLO = DialerHandshake(Identity("x@evil", b"12345678", 2**24), KEYS, PEERS_NAME).hello
FRAME = framed(msgpack.packb([16, "sneaked in"])) + framed(
    msgpack.packb([4, ["tell", "actor", b"\xa2hi"]])
)


def full(payload):
    """As long as a handshake message may be."""
    return framed(payload[:HANDSHAKE_BYTES_MAX].ljust(HANDSHAKE_BYTES_MAX, b"\x00"))


INPUTS = {
    "nothing": b"",
    "a header of 4 GiB": b"\xff\xff\xff\xff" + b"x" * 100_000,
    "a megabyte of zeros": bytes(1 << 20),
    "a megabyte of ones": b"\xff" * (1 << 20),
    "lists in lists": full(b"\x9f" * 1000),
    "lists that claim 1000 items": full(b"\xdc\x03\xe8" * 400),
    "lists that claim 4 Gi items": full(b"\xdd\xff\xff\xff\xff" * 250),
    "maps that claim 65535 pairs": full(b"\xde\xff\xff" * 400),
    "maps in maps": full(b"\x81\x01" * 600),
    "a str that claims 4 GiB": full(b"\xdb\xff\xff\xff\xff"),
    "an ext that claims 4 GiB": full(b"\xc9\xff\xff\xff\xff\x01"),
    "many small frames": framed(b"\x90") * 20_000,
    "a hello": framed(HELLO),
    "a hello and a frame": framed(HELLO) + FRAME,
    "a hello and a megabyte": framed(HELLO) + bytes(1 << 20),
    "a hello and a false proof": framed(HELLO)
    + framed(msgpack.packb(["proof", bytes(32)]))
    + FRAME,
    "a hello twice": framed(HELLO) * 2,
    "a frame": FRAME,
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 100,
}


@pytest.mark.parametrize("chunk", [0, 7], ids=["at once", "in pieces of 7 bytes"])
@pytest.mark.parametrize("name", INPUTS)
def test_no_input_costs_more_than_a_few_kib(victim, name, chunk):
    """Planted: a reader that makes room for what a header claims; a payload unpacked unbounded."""
    data = INPUTS[name] if not chunk else INPUTS[name][:4000]
    visit(victim, victim.port, data, chunk)  # what is made once is made
    assert cost(victim, victim.port, data, chunk) < ONE_STRANGER
    assert victim.say("reached") == "0"


def test_no_random_input_costs_more_or_reaches_anybody(victim):
    luck = random.Random(7)
    seeds = list(INPUTS.values())
    for data in seeds:
        visit(victim, victim.port, data[:3000])  # what is made once is made
    worst = 0
    for _ in range(150):
        data = bytearray(luck.choice(seeds)[:3000])
        for _ in range(luck.randint(1, 10)):
            at = luck.randint(0, len(data))
            data[at : at + luck.randint(0, 3)] = luck.randbytes(luck.randint(0, 4))
        worst = max(worst, cost(victim, victim.port, bytes(data)))
    assert worst < ONE_STRANGER
    assert victim.say("reached") == "0"


@pytest.mark.parametrize(
    "data",
    [b"", b"port victim@here\n", b"port " + b"x" * 5000, bytes(1 << 20), b"\n" * 100_000,
     b"port ../../etc/passwd\n", b"port \xff@\xfe\n", b"x"],
    ids=lambda data: repr(data[:20]),
)  # fmt: skip
def test_no_question_to_the_port_mapper_costs_more(victim, data):
    said = visit(victim, victim.mapper, data)
    # A port file is read, and /proc.
    assert cost(victim, victim.mapper, data) < ONE_STRANGER + 16 * KIB
    assert said in {b"", b"none\n", b"%d\n" % victim.port}


def test_a_thousand_strangers_leave_nothing_behind(victim):
    for data in INPUTS.values():
        visit(victim, victim.port, data[:2000])  # what is made once is made
    victim.say("measure")
    for data in itertools.islice(itertools.cycle(INPUTS.values()), 300):
        visit(victim, victim.port, data[:2000])
    eventually(lambda: int(victim.say("held")) < 16 * KIB)


def test_strangers_who_do_nothing_block_no_thread_and_start_none(victim):
    """Silent ones, ones in the middle of a message, ones who never read, at both doors."""
    threads = victim.say("threads")
    with contextlib.ExitStack() as stack:
        for port, data in itertools.product(
            (victim.port, victim.mapper), (b"", b"\x00", framed(HELLO), header(1000), b"port ")
        ):
            for _ in range(5):
                sock = stack.enter_context(connect(port))
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
                sock.sendall(data)
        assert b"challenge" in answered(victim, framed(HELLO))
        assert victim.say("threads") == threads
    assert victim.say("reached") == "0"


def answered(victim, data):
    """Return the first answer to `data`, at a door where others stand in the way."""
    with connect(victim.port) as sock:
        sock.sendall(data)
        return sock.recv(4096)


def test_the_measurement_sees_what_it_is_for(victim):
    """Sixty strangers at once are more than one may cost, and are seen."""
    quiet = cost(victim, victim.port, b"")
    victim.say("measure")
    with contextlib.ExitStack() as stack:
        for _ in range(60):
            stack.enter_context(connect(victim.port)).sendall(header(1000) + b"x" * 990)
        while int(victim.say("strangers")) < 60:
            pass
        loud = int(victim.say("peak"))
    assert quiet < ONE_STRANGER < loud
