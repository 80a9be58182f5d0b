"""Seeds: small good inputs of each target; `python -m tests.fuzz --sow` writes them to `corpus/`.

To be sown again when a format of the wire changes. Nonces differ each time.
"""

import json
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgpack

from raft_actors import encoding
from raft_actors.core.configuration import Configuration
from raft_actors.core.entry import COMMAND, CONFIG, encode
from raft_actors.replica.questions import Applied, Leading, Published
from raft_actors.replica.requests import PARK, UNPARK
from raft_actors.wire.frames import header
from raft_actors.wire.handshake import AcceptorHandshake, DialerHandshake
from tests.fuzz.targets import COOKIE, HERE, THERE

__all__ = ["seeds"]

REQUESTS = [
    ("set", "a", 1), ("get", "a"), ((("kv", "a@one"),), (("kv", "b@two"),), 4, False), (), (),
    (3,), (), ("kv", "a@one"),
]  # fmt: skip

QUESTIONS = [
    Leading(), Leading((3, ("kv", "a@one"), True, 4)), Applied(7),
    Published(3, ("a", "b/c"), ("d/", "")), Published(None, ("a",)),
]  # fmt: skip


def seeds() -> dict[str, list[bytes]]:
    """Small good inputs of each target, with which the corpus begins."""
    pack = msgpack.packb
    entry = bytes(8) + b"\1" + bytes(16) + b"command"
    hello = DialerHandshake(HERE, COOKIE, THERE.name).hello
    challenge = AcceptorHandshake(THERE, COOKIE).receive(hello)
    assert isinstance(challenge, bytes)

    def framed(*parts: bytes) -> bytes:
        return b"".join(header(len(part)) + part for part in parts)

    return {
        "frames": [
            b"\x20\x03\x01\x02\x05" + framed(b"one", b"", b"three"),
            b"\x02\x00" + framed(b"xxx"),
        ],
        "codec": [pack([16, "body"]), pack([2, {"a": [1, b"x"]}, 7])],
        "acceptor": [framed(hello, b"PROOF"), framed(hello, pack(["proof", bytes(32)]))],
        "dialer": [
            framed(challenge, b"WELCOME"),
            framed(challenge, pack(["welcome", bytes(32)])),
            framed(pack(["refuse", "cookie", "no"])),
        ],
        "messages": [
            pack(["kv", "kv", "0123456789abcdef", 7, 9, [
                [0, 3, 9, 2], [1, 3, 4, True], [2, 4, 9, 2, False], [3, 4, True],
                [4, 4, 8, 2, 7, 1, [entry]], [5, 4, 9, 1], [6, 4, 8, 7, 2, 1], [7, 4],
            ]]),
            pack(["kv", "kv", "", 7, 0, [[4, 1, 0, 0, 0, 0, []]]]),
        ],
        "stepped": [
            pack(["b", source, "g", 0, 0, [each]])
            for source in "zc"
            for each in (
                [4, 9, 1, 1, 2, 1, [encode(9, COMMAND, b"other", index=2)]],
                [4, 9, 2, 1, 2, 1, [encode(9, CONFIG, odd_configuration(), index=3)]],
                [4, (1 << 62) - 1, 0, 0, 0, 1, []], [2, (1 << 62) - 1, 9, 9, True], [7, 1],
                [10, 9, 9, 9, 40, 7, 0, b"x", 1], [5, 1 << 40, 1, 1],
            )
        ] + [pack(["a", "z", "", 0, 0, [[5, (1 << 62) - 1, 0, 0]]])],
        "requests": [
            pack([operation, "kv", encoding.dumps(value), 1, 2])
            for operation, value in enumerate(REQUESTS)
        ] + [
            pack([2, "kv", encoding.dumps(((("k\u00fc", "a\n@one"),), (), None, False)), 1, 2]),
            pack([0, "kv", encoding.dumps(
                datetime(2024, 2, 29, tzinfo=encoding.UnknownZone.of("No"))), 1, 2]),
        ] + [
            pack([PARK, "kv", encoding.dumps(question.encodable()), 0, 2])
            for question in QUESTIONS
        ] + [pack([UNPARK, "kv", encoding.dumps((2, 3)), 0, 0])],
        "terms": [encoding.dumps(value) for value in term_values()] + [
            encoding.dumps_stored(value) for value in kept_values()
        ],
        "mapper": [b"port a@one\n", b"port b@two\n", b"names\n", b""],
        "mapper_answers": [b"4001\n", b"none\n", b"70000\n", b" 1"],
        "names": [b"a@one", b"a", b"@", b"../a@b"],
    }  # fmt: skip


def term_values() -> list[object]:
    return [
        None, ("set", "key", 1.5), [1, [2, (3,)]], {1, 2}, frozenset({"a"}), {"a": {2: b"c"}},
        2**70, datetime(2024, 2, 29, 12, tzinfo=UTC), timedelta(days=1),
        date(2024, 2, 29), time(12, fold=1), datetime(2024, 2, 29, 12, tzinfo=ZoneInfo("Japan")),
        [{"k": [(), {}, set()]}, -1, b"", "\u00fc"],
    ]  # fmt: skip


def kept_values() -> list[object]:
    """What is kept and does not travel: `loads` refuses it, and so must all that is near it."""
    deep: object = 1
    for _ in range(encoding.DEPTH_MAX + 1):
        deep = [deep]
    modulus = (1 << 61) - 1
    return [
        deep, {2**70: 1}, [{(1, (2**64,))}],
        {5 + number * modulus: None for number in range(1, 250)},
        {datetime(2024, 2, 29, tzinfo=ZoneInfo("Japan"))},
        [time(1, tzinfo=encoding.UnknownZone.of("No/Such"))],
    ]  # fmt: skip


def odd_configuration() -> bytes:
    """One that follows on an entry that is none."""
    fields = json.loads(Configuration(members=(("z", "z@z"),), group="0123456789abcdef").encode())
    return json.dumps({**fields, "previous": 2}).encode()
