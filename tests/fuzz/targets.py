"""Targets: each takes any bytes and raises only when a promise is broken.

The fuzzer and Hypothesis call them alike (`python -m tests.fuzz`, `test_targets.py`), so a target
is quick, keeps nothing between two calls and needs no socket. What it may raise inside it names;
everything else is a finding.
"""

import socket
import tempfile
import time
from collections.abc import Callable
from inspect import signature
from itertools import pairwise
from pathlib import Path
from unittest import mock

from raft_actors import encoding
from raft_actors.core.configuration import Configuration
from raft_actors.core.entry import COMMAND, encode
from raft_actors.core.messages import Configure, Message, Propose, Query, Transfer
from raft_actors.core.server import TERMS_AT_ONCE
from raft_actors.errors import BadName, HostError
from raft_actors.names import check_node_name
from raft_actors.node.port_files import PortFiles
from raft_actors.node.port_mapper import QUESTION_BYTES_MAX, answer, ask_mapper
from raft_actors.peer import message_codec as messages
from raft_actors.replica.inspection import Inspection
from raft_actors.replica.questions import EndCalls, ParkedCall, SourceLost, question_of
from raft_actors.replica.requests import Ask, event_of
from raft_actors.testing.simulation.world import World as SimulatedWorld
from raft_actors.wire.cookie import Cookie
from raft_actors.wire.frame_codec import make_packer, unpack, unpack_frames
from raft_actors.wire.frames import HEADER_BYTES, FrameReader, ProtocolError
from raft_actors.wire.handshake import (
    HANDSHAKE_BYTES_MAX,
    AcceptorHandshake,
    DialerHandshake,
    Identity,
    Refusal,
    RemoteNode,
)
from raft_actors.wire.keyring import Keyring
from raft_actors.wire.versions import newest
from tests.core.world import World, address
from tests.ground.test_encoding import alike

__all__ = ["TARGETS"]

HERE, THERE = Identity("a@one", b"aaaaaaaa", 1 << 20), Identity("b@two", b"bbbbbbbb", 1 << 21)
SECONDS_MAX = 1.0
KEY = Cookie("the fuzzer does not know it")
COOKIE = Keyring.of(KEY)


def frames(data: bytes) -> None:
    """A stream gives the same payloads however it is cut, and a reader keeps no more than it must.

    The first byte is the limit, the second how many of the next are the sizes of pieces.
    """
    if len(data) < 2:
        return
    limit, cuts = data[0], data[2 : 2 + data[1] % 16]
    stream = data[2 + len(cuts) :]
    reader = FrameReader(limit)
    found: list[bytes] = []
    complaint = False
    try:
        for piece in cut(stream, cuts):
            found += map(bytes, reader.feed(piece))
            assert len(reader._partial) < HEADER_BYTES + limit + 1, "it keeps more than one frame"
    except ProtocolError:
        complaint = True
    assert (found, complaint) == plain_frames(stream, limit)


def cut(stream: bytes, sizes: bytes) -> list[bytes]:
    edges = [0]
    for size in sizes:
        edges.append(min(edges[-1] + size, len(stream)))
    return [stream[start:stop] for start, stop in pairwise([*edges, len(stream)])]


def plain_frames(stream: bytes, limit: int) -> tuple[list[bytes], bool]:
    """What a decoder with the whole stream at hand finds."""
    found = []
    while len(stream) >= HEADER_BYTES:
        length = int.from_bytes(stream[:HEADER_BYTES], "big")
        if length > limit:
            return found, True
        if HEADER_BYTES + length > len(stream):
            break
        found.append(stream[HEADER_BYTES : HEADER_BYTES + length])
        stream = stream[HEADER_BYTES + length :]
    return found, False


def codec(data: bytes) -> None:
    """A payload is frames of the wire, which pack again, or a ProtocolError."""
    try:
        frames = unpack_frames(data)
    except ProtocolError:
        return
    assert frames
    for frame in frames:
        assert 2 <= len(frame) <= 3
        assert all(type(number) is int for number in frame[::2])


def acceptor(data: bytes) -> None:
    """A stranger who connects gets at most a challenge, and with the right proof is a legal peer.

    `data` is the stream of the dialer; where it has the word PROOF a true proof is put.
    """
    side = AcceptorHandshake(THERE, COOKIE)
    challenge = b""
    hello = b""
    for payload in payloads(data):
        genuine = payload == b"PROOF" and challenge != b""
        if genuine:
            payload = make_packer()(["proof", KEY.sign(b"dialer", hello, challenge)])
        try:
            said = side.receive(payload)
        except (Refusal, ProtocolError) as refusal:
            check_words(str(refusal))
            return
        if isinstance(said, RemoteNode):
            assert genuine, "let in without the cookie"
            check_remote(said)
            return
        assert challenge == b"", "two challenges"
        assert len(said) <= HANDSHAKE_BYTES_MAX
        hello, challenge = payload, said


def dialer(data: bytes) -> None:
    """Whoever answers a dial is believed only with the right welcome, and signs of little use.

    `data` is the stream of the acceptor; where it has the word WELCOME a true welcome is put.
    """
    side = DialerHandshake(HERE, COOKIE, THERE.name)
    challenge = b""
    for payload in payloads(data):
        genuine = payload == b"WELCOME" and challenge != b""
        if genuine:
            payload = make_packer()(["welcome", KEY.sign(b"acceptor", side.hello, challenge)])
        try:
            said = side.receive(payload)
        except (Refusal, ProtocolError) as refusal:
            check_words(str(refusal))
            return
        if isinstance(said, RemoteNode):
            assert genuine, "believed without the cookie"
            assert said.name == THERE.name
            check_remote(said)
            return
        assert challenge == b"", "two proofs"
        challenge = payload


def payloads(data: bytes) -> list[bytes]:
    try:
        return [bytes(payload) for payload in FrameReader(HANDSHAKE_BYTES_MAX).feed(data)]
    except ProtocolError:
        return []


def check_words(words: str) -> None:
    assert len(words) < HANDSHAKE_BYTES_MAX, "a refusal must fit a message"
    assert words.isprintable(), "a stranger's words could forge a line of the log"


def check_remote(peer: RemoteNode) -> None:
    check_node_name(peer.name)
    assert HANDSHAKE_BYTES_MAX <= peer.frame_bytes_max <= THERE.frame_bytes_max
    assert len(peer.link_id) == 16
    assert -(1 << 63) <= peer.dial < 1 << 64


def loaded_terms(data: bytes) -> None:
    """Bytes are no term, or one that is written and read again as it is, soon, and in a state too.

    Where a key needs the offset of an unknown time zone, HostError ends who reads it.
    """
    began = time.thread_time()
    try:
        encoding.unknown_here(data)
        value = encoding.loads(data)
    except (ValueError, HostError):
        return
    finally:
        assert time.thread_time() - began < SECONDS_MAX, "it takes long for so few bytes"
    kept = [{"a command": value}, (value,)]
    written = encoding.dumps_stored(kept)
    again = encoding.loads_stored(written)
    assert alike(again, kept), (again, kept)
    assert encoding.dumps_stored(again) == written
    try:
        travels = encoding.dumps(value)
    except ValueError:
        return  # it ends in a date, which is one level when it is written
    assert alike(encoding.loads(travels), value)


def peer_messages(data: bytes) -> None:
    """What comes from another node is a list of peer messages that pack as they came, or refused.

    The steps are those of `Router.on_raft_frames`.
    """
    try:
        name, source, group, theirs, ours, packed = unpack(data)
        batch = [messages.unpack(each, (source, "a@one"), (name, "b@two"), group, (theirs, ours))
                 for each in packed]  # fmt: skip
    except (ProtocolError, ValueError, TypeError):
        return
    for message, each in zip(batch, packed, strict=True):
        assert isinstance(message, Message)
        assert type(message.term) is int
        assert 0 <= message.term < 1 << 64
        packed = messages.pack(message, newest())
        assert packed[: len(each)] == each, "fields that came later may be missing"
        make_packer()(packed)


def stepped(data: bytes) -> None:
    """Whatever a stranger or another member tells a member of a group, that goes on, with all that
    is committed.

    The group "g" in the data is taken for the member's, and the sources "a", "b" and "c" are.
    """
    world = World("abc")
    world.configure("a")
    world.settle()
    world.propose("a", b"kept")
    world.settle()
    world.ring(0.2)
    try:
        name, source, group, theirs, ours, packed = unpack(data)
        target = address("abc"[len(name) % 3])
        server = world.servers[target[0]]
        group = server.ballot.group if group == "g" else group
        sender = address(source) if source in ("a", "b", "c") else (source, "z@z")
        batch = [messages.unpack(each, sender, target, group, (theirs, ours))
                 for each in packed]  # fmt: skip
    except (ProtocolError, ValueError, TypeError):
        return
    index, term = server.commit_index, server.term
    committed = server.log.between(1, index)
    for message in batch:
        server.step(message)
        server.flush()
    assert server.log.between(1, index) == committed
    assert server.term <= term + len(batch) * TERMS_AT_ONCE
    assert group == server.ballot.group or server.log.last_index == index, "of no member"


def requests(data: bytes) -> None:
    """What a client on another node asks is an event, or refused by ValueError or TypeError.

    The steps are those of `Router.on_client_frames`.
    """
    try:
        operation, _name, payload, session, sequence = unpack(data)
        event = event_of(operation, payload, (session, sequence), None)  # type: ignore[arg-type]
    except (ProtocolError, ValueError, TypeError):
        return
    match event:
        case Propose():
            encode(1, COMMAND, event.command, event.request, index=1)
        case Query():
            assert type(event.query) is bytes
            assert event.staleness_s is None or event.staleness_s >= 0
            assert event.after >= 0
        case Configure():
            founded = Configuration.founding(event.members, event.learners, event.witnesses)
            assert Configuration.decode(founded.encode(), 1).members == founded.members
        case Transfer():
            assert event.target in {None, event.target}, "it is looked up among the members"
        case Ask():
            signature(getattr(Inspection, event.what)).bind(None, *event.arguments)
            assert all(type(argument) is int for argument in event.arguments)
        case ParkedCall() | EndCalls():
            parked_and_taken_out(event)


def parked_and_taken_out(event: ParkedCall | EndCalls) -> None:
    """A question is the same when it travels again; a call of it is kept, or answered once, and
    nothing of it is left when its asker is gone.
    """
    replica, answers = SimulatedWorld("a").peers["a"].replica, []
    if isinstance(event, ParkedCall):
        again = encoding.loads(encoding.dumps(event.question.encodable()))
        assert question_of(again) == event.question
        event.ticket = mock.Mock(set=answers.append)
    replica.handle([event, event])
    replica.flush()
    assert len(answers) + len(replica.parked.calls) in {0, 2}
    replica.handle([SourceLost(event.source)])
    replica.flush()
    parked = replica.parked
    assert (parked.calls, parked.by_source, parked.sizes, parked.size) == ({}, {}, {}, 0)
    assert not any(waiting.calls for waiting in parked.kinds.values())  # type: ignore[attr-defined]


def mapper(data: bytes) -> None:
    """Any line that asks the port mapper gets the port of a node that runs, or `none`."""
    line = data[:QUESTION_BYTES_MAX].partition(b"\n")[0]
    with tempfile.TemporaryDirectory(prefix="raft_actors-fuzz-") as directory:
        files = PortFiles(Path(directory))
        files.claim("a@one", "127.0.0.1", 40123)
        said = answer(line, "127.0.0.1", files)
    assert said in {b"none\n", b"40123\n"}
    if said != b"none\n":
        assert b"a@one" in line


def mapper_answers(data: bytes) -> None:
    """Whatever stands at the mapper's port says a port, none, or is an OSError."""
    here, there = socket.socketpair()
    with here, there:
        here.sendall(data[:64])
        here.shutdown(socket.SHUT_WR)
        with mock.patch("socket.create_connection", return_value=there):
            try:
                port = ask_mapper("127.0.0.1", 1, "a@one", 1.0)
            except OSError:
                return
    assert port is None or 0 < port <= 65535


def node_names(data: bytes) -> None:
    """A name that passes is a plain file name, and one word in a log line."""
    text = data.decode("utf-8", "replace")
    try:
        check_node_name(text)
    except BadName:
        return
    assert text.isprintable()
    assert not set(text) & set("/\\ \n\0")
    assert text not in {".", ".."}


TARGETS: dict[str, Callable[[bytes], None]] = {
    "frames": frames,
    "codec": codec,
    "acceptor": acceptor,
    "dialer": dialer,
    "terms": loaded_terms,
    "messages": peer_messages,
    "stepped": stepped,
    "requests": requests,
    "mapper": mapper,
    "mapper_answers": mapper_answers,
    "names": node_names,
}
