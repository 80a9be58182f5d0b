"""Collecting frames, and Python processes that run a script."""

import signal
import socket
import subprocess
import sys
import textwrap
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from random import SystemRandom

import msgpack

from raft_actors.wire.frame_mac import FrameMac
from raft_actors.wire.frames import HEADER_BYTES, header
from raft_actors.wire.handshake import AcceptorHandshake, DialerHandshake, Identity
from raft_actors.wire.keyring import Keyring
from tests.helpers import eventually

ROOT = Path(__file__).parent.parent

KIND = 16

PACKAGE = str(ROOT / "raft_actors")
CHANCE = SystemRandom()  # every worker seeds the other alike


def free_port(host="127.0.0.1"):
    """Return a port that nobody has, and that the system gives to no other process meanwhile.

    It gives ports from 32768 on, as long as nobody binds to one that is named.
    """
    while True:
        port = CHANCE.randrange(10_000, 32_000)
        with socket.socket() as free, suppress(OSError):
            free.bind((host, port))
            return port


def hold(node):
    """Have the bridge thread wait, after a round in which nothing was ready: what is so first from
    now on, it finds first. Returns how to let it go on.
    """
    gate, passed, held = threading.Event(), threading.Event(), threading.Event()
    node.post(passed.set)
    assert passed.wait(10)
    node.post(lambda: (held.set(), gate.wait(10)))
    assert held.wait(10)
    return gate.set


def dial_of(node, name):
    """What the node's dialer knows of the node called `name`."""
    dials = node._bridge.handshakes.dialer._dials
    eventually(lambda: name in dials)
    return dials[name]


def open_files():
    """How many descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


class Collector:
    """Handles frames: keeps the bodies in order, and answers calls with what they said."""

    def __init__(self, node, kind=KIND):
        self.bodies = []
        self.batches = []
        node.on_frames(kind, self)

    def __call__(self, frames):
        self.batches.append(len(frames))
        for frame in frames:
            self.bodies.append((frame.node, frame.body))
            if frame.call is not None:
                frame.reply(["said", frame.body])


def ask(node, to, body, timeout=10.0, kind=KIND):
    answer = node.call(to, kind, body)
    node.flush()
    return answer.get(timeout)


def send(node, to, body, kind=KIND):
    queued = node.cast(to, kind, body)
    node.flush()
    return queued


def overheard_hello(node):
    """The first message of somebody who does not know the node's cookie, but has heard by which id
    it is offered."""
    keys = node.access._keys.current()
    return DialerHandshake(Identity("x@evil", b"12345678", 2**24), keys, node.name).hello


class Insider:
    """A peer that knows the cookie and otherwise does as it likes, over a socket of its own.

    `say` and `hear` are for messages of the handshake, and for what should be none.
    """

    def __init__(self, sock, name, cookie, incarnation=b"12345678"):
        self.sock = sock
        self.me = Identity(name, incarnation, 2**24)
        self.cookie = Keyring.of(cookie)

    def say(self, payload):
        self.sock.sendall(header(len(payload)) + payload)

    def hear(self):
        size = int.from_bytes(self.sock.recv(HEADER_BYTES, socket.MSG_WAITALL), "big")
        return self.sock.recv(size, socket.MSG_WAITALL)

    def knock(self, node, **known):
        """Dial as far as the proof; returns the DialerHandshake, which waits for its welcome."""
        dialer = DialerHandshake(self.me, self.cookie, node.name, **known)
        self.say(dialer.hello)
        self.say(dialer.receive(self.hear()))
        return dialer

    def enter(self, node, **known):
        """Dial, and return what the node turned out to be, a RemoteNode."""
        return self.prove(self.knock(node, **known).receive(self.hear()))

    def admit(self):
        """Accept the node that has dialed this socket; returns its RemoteNode."""
        acceptor = AcceptorHandshake(self.me, self.cookie)
        self.say(acceptor.receive(self.hear()))
        peer = acceptor.receive(self.hear())
        self.say(acceptor.welcome())
        return self.prove(peer)

    def prove(self, peer):
        """Go on with frames."""
        self.sending, self.receiving = FrameMac(peer.send_key), FrameMac(peer.receive_key)
        return peer

    def framed(self, payload):
        """Return the next frame to be sent, with its tag."""
        return payload + self.sending.tag(payload)

    def send_frame(self, frame):
        self.say(self.framed(msgpack.packb(frame)))

    def next_frame(self):
        """Receive one payload: a frame, or a list of frames that were sent together."""
        return msgpack.unpackb(self.receiving.checked(memoryview(self.hear())))


class Script:
    """A process that runs `source`, which prints lines and reads commands from its stdin."""

    def __init__(self, source, *arguments):
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-c", textwrap.dedent(source), *map(str, arguments)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            cwd=ROOT,
        )  # fmt: skip
        self.errors = []
        self._reader = threading.Thread(target=self._read_errors, daemon=True)
        self._reader.start()

    def _read_errors(self):
        self.errors.extend(self.process.stderr)

    def line(self):
        """Return the next line that it prints."""
        line = self.process.stdout.readline()
        assert line, "it ended: " + "".join(self.errors)
        return line.rstrip("\n")

    def say(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()
        return self.line()

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        if self.process.poll() is None:
            self.signal(signal.SIGKILL)
        self.process.wait()
        self._reader.join()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            pipe.close()


NODE = """
    import sys
    from raft_actors.node.node import Node
    print(Node.start(sys.argv[1]))
    for line in sys.stdin:
        print(eval(line))
"""
"""A node that answers with the value of each line it is given."""


@contextmanager
def interrupted_at(turn):
    """Raise KeyboardInterrupt at the instant `turn` within; yield a list of those there were."""
    seen = []

    def on_event(frame, event, called):
        if event not in {"call", "c_return"} or not frame.f_code.co_filename.startswith(PACKAGE):
            return
        seen.append((frame.f_code.co_name, event, getattr(called, "__name__", "")))
        if len(seen) == turn:
            sys.setprofile(None)
            raise KeyboardInterrupt

    try:
        sys.setprofile(on_event)
        yield seen
    except KeyboardInterrupt:
        pass
    finally:
        sys.setprofile(None)
