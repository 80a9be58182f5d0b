"""Every target on its corpus, on past findings and on what Hypothesis thinks of: quick, no atheris.

The promises are checked themselves: `test_a_planted_bug_breaks_a_promise`.
"""

import importlib.util
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raft_actors import encoding
from raft_actors.core.entry import COMMAND, encode
from raft_actors.core.messages import Propose
from raft_actors.peer import message_codec as messages
from raft_actors.replica.requests import event_of
from raft_actors.wire.frames import FrameReader, header
from raft_actors.wire.versions import newest
from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SEEDS = seeds()

some = settings(max_examples=100)


def corpus():
    return sorted(path for path in (HERE / "corpus").rglob("*") if path.is_file())


def mutated(seed, draw):
    """A seed with some bytes changed, left out or added, as a fuzzer does it."""
    data = bytearray(seed)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        cut = draw(st.integers(0, 3))
        data[at : at + cut] = draw(st.binary(max_size=4))
    return bytes(data)


@pytest.mark.parametrize("path", corpus(), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_corpus_passes(path):
    TARGETS[path.parent.name](path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_has_seeds(name):
    assert SEEDS[name]
    assert list((HERE / "corpus" / name).iterdir())


@pytest.mark.parametrize("name", TARGETS)
@some
@given(data=st.data())
def test_any_bytes_and_any_damage_keep_the_promises(name, data):
    seed = data.draw(st.sampled_from(SEEDS[name]))
    TARGETS[name](mutated(seed, data.draw))
    TARGETS[name](data.draw(st.binary(max_size=200)))


@some
@given(st.data())
def test_any_damage_of_a_single_handshake_message_keeps_the_promises(data):
    """With the lengths right, so that the damage is past the frames."""
    name = data.draw(st.sampled_from(["acceptor", "dialer"]))
    stream = SEEDS[name][0]
    size = int.from_bytes(stream[:4], "big")
    message = mutated(stream[4 : 4 + size], data.draw)
    TARGETS[name](header(len(message)) + message + stream[4 + size :])


# Findings, each as small as it got.

ONE, TWO = ("kv", "a@one"), ("kv", "b@two")


@pytest.mark.parametrize("kind", messages.KINDS)
def test_every_kind_of_message_packs_and_comes_back(kind):
    """Found by the seeds: a kind with no field but the term could not be packed (TimeoutNow)."""
    falling = count(20, -1)  # so that a snapshot's size is more than the offset, a later field
    of_type = {
        int: lambda: next(falling),
        bool: bool,
        bytes: lambda: b"x",
        list: lambda: [encode(19, COMMAND, index=1)],
    }
    number = messages.KINDS.index(kind)
    packed = [number, *[of_type[each]() for each in messages.TYPES[number]]]
    message = messages.unpack(packed, ONE, TWO, "g")
    assert type(message) is kind
    assert messages.pack(message, newest()) == packed


@pytest.mark.parametrize("number", [-1, -8, True, 1.0, None, "1", [], 2**63])
def test_a_message_of_no_known_kind_is_refused(number):
    """Found by reading: -1 counted from the end of the table, and True was taken for 1."""
    values = [1 for _ in messages.NAMES[-1]]
    with pytest.raises(ValueError, match="this version has no peer message"):
        messages.unpack([number, *values], ONE, TWO, "")


@pytest.mark.parametrize(
    ("source", "target", "group"),
    [((["kv"], "a@one"), TWO, ""), (ONE, (7, "b@two"), ""), (ONE, TWO, ["g"]), (ONE, TWO, None)],
)
def test_a_batch_of_no_known_sender_receiver_or_group_is_refused(source, target, group):
    """Found by reading: a list for a name went into the core, where it is no key of a dict."""
    with pytest.raises(ValueError, match="not a str"):
        messages.unpack([3, 4, True], source, target, group)


@pytest.mark.parametrize(
    ("operation", "payload", "request_id"),
    [
        (0, 7, (1, 2)),
        (0, b"", (-1, 2)),
        (0, b"", (1, 1 << 64)),
        (0, b"", (1, "2")),
        (1, None, (1, 2)),
        (2, encoding.dumps("kv"), (1, 2)),
        (2, encoding.dumps((("kv", "a@one"), "b")), (1, 2)),
        (2, encoding.dumps((([], "a@one"),)), (1, 2)),
        (3, encoding.dumps((1,)), (1, 2)),
        (4, encoding.dumps(None), (1, 2)),
        (5, encoding.dumps(()), (1, 2)),
        (5, encoding.dumps(("x",)), (1, 2)),
        (7, encoding.dumps(["kv", "a@one"]), (1, 2)),
        (8, encoding.dumps(()), (1, 2)),
        (8, encoding.dumps((b"", "eventual", None, 0)), (1, 2)),
        (8, encoding.dumps((b"", "stale", float("nan"), 0)), (1, 2)),
        (8, encoding.dumps((b"", "stale", None, -1)), (1, 2)),
        (9, encoding.dumps((1,)), (1, 2)),
        (10, encoding.dumps(()), (1, 2)),
        (-1, encoding.dumps(()), (1, 2)),
    ],
)
def test_a_request_that_would_end_the_peer_is_refused(operation, payload, request_id):
    """Found by `requests` (a query that is no bytes) and by reading: these got to the peer.

    One of them by way of `Raft.get_entry(peer, "x")`; three in five seconds, and its supervisor
    gave the peer up.
    """
    with pytest.raises(ValueError, match=r"request|version"):
        event_of(operation, payload, request_id, None)


# The targets and the fuzzer themselves.


class WithoutLimit(FrameReader):
    def feed(self, data):
        self.limit = 1 << 32
        yield from super().feed(data)


PLANTED = {
    "frames": (
        "tests.fuzz.targets.FrameReader",
        WithoutLimit,
    ),
    "codec": ("tests.fuzz.targets.unpack_frames", lambda data: [[data]]),
    "acceptor": ("raft_actors.wire.handshake.check_mac", lambda *_arguments: None),
    "dialer": ("raft_actors.wire.handshake.check_mac", lambda *_arguments: None),
    "terms": ("raft_actors.encoding.loads", lambda data: [data]),
    "messages": ("raft_actors.peer.message_codec.pack", lambda message: [message.term]),
    "stepped": ("raft_actors.core.follower.are_a_leaders", lambda *_arguments: True),
    "requests": ("tests.fuzz.targets.event_of", lambda _o, payload, ids, _t: Propose(None, 0, ids)),
    "mapper": ("tests.fuzz.targets.answer", lambda *_arguments: b"40123\n"),
    "mapper_answers": ("tests.fuzz.targets.ask_mapper", lambda *_arguments: 70000),
    "names": ("tests.fuzz.targets.check_node_name", lambda text: text),
}


@pytest.mark.parametrize("name", TARGETS)
def test_a_planted_bug_breaks_a_promise(name, monkeypatch):
    place, bug = PLANTED[name]
    monkeypatch.setattr(place, bug)

    def all_seeds():
        for data in SEEDS[name]:
            TARGETS[name](data)

    with pytest.raises((AssertionError, TypeError)):
        all_seeds()


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed")
def test_the_fuzzer_finds_a_planted_bug(tmp_path):
    """A decoder that trips over three bytes in a row, deep enough to need guidance."""
    code = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from tests.fuzz import __main__ as fuzzer, targets
def planted(data):
    if data[:1] == b"R":
        if data[1:2] == b"a":
            if data[2:3] == b"f":
                raise AssertionError("found it")
import atheris
targets.TARGETS["names"] = atheris.instrument_func(planted)
sys.argv = ["fuzz", "names", "--minutes", "1"]
fuzzer.main()
"""
    answer = subprocess.run(
        [sys.executable, "-c", code, str(ROOT)], capture_output=True, text=True, cwd=tmp_path
    )
    assert "found it" in answer.stdout + answer.stderr
    assert list((tmp_path / ".fuzz" / "crashers").iterdir())


def test_the_command_lists_its_targets_and_needs_no_atheris_for_it():
    answer = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--list"], capture_output=True, text=True, cwd=ROOT
    )
    assert answer.stdout.split() == list(TARGETS)
