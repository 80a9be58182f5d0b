"""The handshake: two nodes prove to each other that they hold the same cookie.

    dialer                                                  acceptor
      HELLO   names, versions, limit, nonce, cookies' ids   ->
                        <-  CHALLENGE   version, name, limit, nonce, a cookie's id
      PROOF   mac("dialer", both messages)   ->
                                              <-  WELCOME     mac("acceptor", both messages)
                              (REFUSE with words may take the place of either answer)

The MAC covers the exact bytes of HELLO and CHALLENGE, hence both nonces, both node names and
incarnations, the offered and the chosen versions and cookies and both frame limits; its label is
the side, so that no message can be played back to its sender. The dialer proves first: a stranger
who connects gets nothing signed by a cookie. The acceptor chooses the first of the dialer's
cookies that it knows; the role that the cookie is for says what the two may ask of each other. Both
then make a key for the frames of each direction, in the same way with labels of their own. Where
the connection is encrypted, MACs and keys cover the certificates of both ends as well
(`TlsChannel`). No I/O here: payloads in, payloads out.
"""

import hashlib
import hmac
import secrets
import threading
from dataclasses import dataclass, field, replace
from typing import Any

from raft_actors.errors import BadName
from raft_actors.names import check_node_name
from raft_actors.wire import versions
from raft_actors.wire.cookie import Cookie
from raft_actors.wire.depth_check import check_depth
from raft_actors.wire.frame_codec import make_packer, unpack
from raft_actors.wire.frames import ProtocolError
from raft_actors.wire.keyring import Keyring
from raft_actors.wire.roles import MEMBER
from raft_actors.wire.tls_channel import TlsChannel

__all__ = [
    "HANDSHAKE_BYTES_MAX",
    "AcceptorHandshake",
    "DialerHandshake",
    "Identity",
    "Refusal",
    "RemoteNode",
    "refusal_message",
]

HANDSHAKE_BYTES_MAX = 1024  # any one handshake message; the longest legal one is under 700 bytes
MAGIC = "raft_actors"
ITEMS_MAX = 16  # in any list of a handshake message
LISTS_DEEP = 2  # the message, and the versions in it
NONCE_BYTES = 32
INCARNATION_BYTES = 8
LINK_ID_BYTES = 16
FROM_DIALER, FROM_ACCEPTOR = b"frames of the dialer", b"frames of the acceptor"
COOKIES_DIFFER = (
    "the cookies differ: nodes of one cluster share the cookie file or RAFT_ACTORS_COOKIE"
)
WORDS_MAX = 200  # characters of a refusal that are believed enough to be logged


class Local(threading.local):
    """The packer of each thread. It is kept, because a new one for each stranger costs 256 KiB."""

    def __init__(self) -> None:
        self.pack = make_packer()


local = Local()


class Refusal(Exception):
    """One node refuses the other. `code` is for programs, `str(refusal)` for people."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code = code


@dataclass(frozen=True, slots=True)
class Identity:
    """How a node identifies itself to others. After a restart its incarnation is another one."""

    name: str
    incarnation: bytes
    frame_bytes_max: int
    require_version: int = 0
    """The oldest protocol version that the node uses, although it knows older ones."""

    @property
    def versions(self) -> list[int]:
        """The protocol versions that the node offers and accepts."""
        return versions.spoken_from(self.require_version)


@dataclass(frozen=True, slots=True)
class RemoteNode:
    """The other end of a proven connection."""

    name: str
    incarnation: bytes
    frame_bytes_max: int
    """The smaller of the two ends' limits."""
    link_id: bytes
    """The same at both ends and never seen before."""
    version: int
    """The protocol that the two speak: the newest that both know."""
    dial: int = 0
    """The how many-th dial of its dialer this was (known to the acceptor)."""
    last_link_id: bytes = b""
    """The last connection of these two that the dialer saw up (known to the acceptor)."""
    role: str = MEMBER
    """Of the cookie that both have proven: what the two may ask of each other."""
    send_key: bytes = field(default=b"", repr=False)
    receive_key: bytes = field(default=b"", repr=False)
    """The keys of the frames' MACs, one for each direction, of this connection only."""


def refusal_message(code: str, words: str) -> bytes:
    """Return the payload of a REFUSE message."""
    return local.pack(["refuse", code, words])


class DialerHandshake:
    """The side that connected. `hello`, then `on_challenge`, then `on_welcome`."""

    def __init__(
        self,
        me: Identity,
        keys: Keyring,
        target: str,
        *,
        dial: int = 0,
        last_link_id: bytes = b"",
    ) -> None:
        self.me = me
        self.target = target
        self._keys = keys
        self._cookie: Cookie
        nonce = secrets.token_bytes(NONCE_BYTES)
        self.hello: bytes = local.pack(
            [MAGIC, me.versions, me.name, me.incarnation, me.frame_bytes_max, nonce, target,
             dial, last_link_id, keys.ids]
        )  # fmt: skip
        self._challenge: bytes | None = None
        self._remote: RemoteNode | None = None
        self._channel: TlsChannel | None = None
        self.refusal: Refusal | None = None
        """Why the acceptor is turned down whatever it says, unless it says why itself."""

    def secured(self, channel: TlsChannel) -> None:
        """Go on over an encrypted connection. Raises Refusal when the target is not at its end."""
        if words := channel.misnamed(self.target):
            raise Refusal("certificate", words)
        self._channel = channel

    def receive(self, payload: bytes) -> bytes | RemoteNode:
        """Return what to send next, or the RemoteNode once the acceptor has proven itself.

        Raises Refusal in the acceptor's words or ours, and ProtocolError.
        """
        message = message_of(payload)
        if message[0] == "refuse" and len(message) == 3:
            raise Refusal(clean(message[1]), clean(message[2]))
        if self.refusal is not None:
            raise self.refusal
        if self._challenge is None:
            return self._on_challenge(payload, message)
        return self._on_welcome(message)

    def _on_challenge(self, payload: bytes, message: list[Any]) -> bytes:
        match message:
            case ["challenge", int(version), name, incarnation, limit, nonce, cookie_id]:
                pass
            case _:
                raise ProtocolError("no challenge where one was due")
        if version not in self.me.versions:
            raise Refusal("version", f"it chose protocol version {version}, which was not offered")
        check_side(name, incarnation, limit, nonce)
        if name != self.target:
            raise Refusal("name", f"dialed {self.target}, but {name} answered")
        cookie = self._keys.offered(cookie_id)
        if cookie is None:
            raise ProtocolError("a challenge to prove a cookie that was not offered")
        self._cookie = cookie
        self._challenge = payload
        self._remote = RemoteNode(
            name,
            incarnation,
            min(limit, self.me.frame_bytes_max),
            link_id(self.hello, payload),
            version,
            role=cookie.role,
        )
        signed = transcript(self.hello, payload, self._channel)
        return local.pack(["proof", cookie.sign(b"dialer", *signed)])

    def _on_welcome(self, message: list[Any]) -> RemoteNode:
        assert self._challenge is not None
        assert self._remote is not None
        both = transcript(self.hello, self._challenge, self._channel)
        check_mac(message, "welcome", self._cookie.sign(b"acceptor", *both), self._channel)
        return replace(
            self._remote,
            send_key=self._cookie.frame_key(FROM_DIALER, *both),
            receive_key=self._cookie.frame_key(FROM_ACCEPTOR, *both),
        )


class AcceptorHandshake:
    """The side that was connected to. `receive` gives the challenge, then the proven RemoteNode.

    `welcome` is sent when the acceptor has decided to use the connection.
    """

    def __init__(self, me: Identity, keys: Keyring) -> None:
        self.me = me
        self._keys = keys
        self._cookie: Cookie
        self._hello: bytes | None = None
        self._challenge = b""
        self._remote: RemoteNode | None = None
        self._channel: TlsChannel | None = None
        self.refusal: Refusal | None = None
        """Why the dialer is turned down whoever it is."""

    def secured(self, channel: TlsChannel) -> None:
        """Go on over an encrypted connection."""
        self._channel = channel

    @property
    def named(self) -> str:
        """What the dialer says it is called, proven or not; "" before it has said so."""
        return self._remote.name if self._remote else ""

    def receive(self, payload: bytes) -> bytes | RemoteNode:
        """Return what to send next, or the RemoteNode once the dialer has proven itself.

        Raises Refusal, whose words the dialer should be sent, and ProtocolError.
        """
        message = message_of(payload)
        if self._hello is None:
            return self._on_hello(payload, message)
        assert self._remote is not None
        both = transcript(self._hello, self._challenge, self._channel)
        check_mac(message, "proof", self._cookie.sign(b"dialer", *both), self._channel)
        return replace(
            self._remote,
            send_key=self._cookie.frame_key(FROM_ACCEPTOR, *both),
            receive_key=self._cookie.frame_key(FROM_DIALER, *both),
        )

    def welcome(self) -> bytes:
        assert self._hello is not None
        both = transcript(self._hello, self._challenge, self._channel)
        return local.pack(["welcome", self._cookie.sign(b"acceptor", *both)])

    def _on_hello(self, payload: bytes, message: list[Any]) -> bytes:
        if len(message) < 2 or message[0] != MAGIC or not isinstance(message[1], list):
            raise ProtocolError("what no raft_actors node says")
        version = versions.newest_common(self.me.versions, message[1])
        if version is None:
            raise Refusal("version", self._no_common_version(clean(message[1])))
        match message:
            case [
                _, _, name, incarnation, limit, nonce, target, int(dial), bytes(last), list(offered)
            ]:  # fmt: skip
                pass
            case _:
                raise ProtocolError("a hello of an unknown shape")
        check_side(name, incarnation, limit, nonce)
        if target != self.me.name:
            raise Refusal("name", f"this is {self.me.name}, not {clean(target)}")
        if name == self.me.name:
            raise Refusal("name", f"{name} is this node's own name")
        if self._channel is not None and (words := self._channel.misnamed(name)):
            raise Refusal("certificate", words)
        cookie = self._keys.chosen(offered)
        nonce = secrets.token_bytes(NONCE_BYTES)
        self._hello = payload
        self._challenge = local.pack(
            ["challenge", version, self.me.name, self.me.incarnation, self.me.frame_bytes_max,
             nonce, cookie and cookie.id]
        )  # fmt: skip
        self._remote = RemoteNode(
            name,
            incarnation,
            min(limit, self.me.frame_bytes_max),
            link_id(payload, self._challenge),
            version,
            dial,
            last,
            MEMBER if cookie is None else cookie.role,
        )
        if self.refusal is not None:
            raise self.refusal
        if cookie is None:
            raise Refusal("cookie", self._no_common_cookie())
        self._cookie = cookie
        return self._challenge

    def _no_common_cookie(self) -> str:
        if self._keys.role == MEMBER:
            return COOKIES_DIFFER
        return (
            f"{self.me.name} has the cookie of a {self._keys.role} and is not dialed by members: "
            f"it dials them (or, if this is a {self._keys.role}, too, the cookies differ)"
        )

    def _no_common_version(self, offered: str) -> str:
        speaks = versions.in_words(self.me.versions)
        if self.me.versions != versions.SPOKEN:
            return (
                f"{self.me.name} demands {speaks} (Config.require_version), not {offered}: run a "
                "newer release of raft_actors on the other node, or demand less of it"
            )
        return (
            f"{self.me.name} speaks {speaks}, not {offered}: run releases of raft_actors on the "
            "two that follow on each other, or the same"
        )


def message_of(payload: bytes) -> list[Any]:
    check_depth(payload, LISTS_DEEP)
    message = unpack(payload, ITEMS_MAX)
    if not isinstance(message, list) or not message:
        raise ProtocolError("a handshake message that is no list")
    return message


def check_side(name: object, incarnation: object, limit: object, nonce: object) -> None:
    try:
        check_node_name(name)
    except BadName as error:
        raise ProtocolError("a handshake with no legal node name") from error
    if (
        type(incarnation) is not bytes
        or len(incarnation) != INCARNATION_BYTES
        or type(nonce) is not bytes
        or len(nonce) != NONCE_BYTES
        or type(limit) is not int
        or limit < HANDSHAKE_BYTES_MAX
    ):
        raise ProtocolError("a handshake message with fields of the wrong shape")


def transcript(hello: bytes, challenge: bytes, channel: TlsChannel | None) -> tuple[bytes, ...]:
    """Return what is signed by both: what was said, and over which channel."""
    if channel is None:
        return hello, challenge
    return hello, challenge, channel.dialer, channel.acceptor


def check_mac(message: list[Any], kind: str, expected: bytes, channel: TlsChannel | None) -> None:
    match message:
        case [str(word), bytes(mac)] if word == kind:
            if not hmac.compare_digest(mac, expected):
                middle = "" if channel is None else ", or somebody between them ends their TLS"
                raise Refusal("cookie", f"{COOKIES_DIFFER}{middle}")
        case _:
            raise ProtocolError(f"no {kind} where one was due")


def link_id(hello: bytes, challenge: bytes) -> bytes:
    both = len(hello).to_bytes(4, "big") + hello + challenge
    return hashlib.sha256(both).digest()[:LINK_ID_BYTES]


def clean(words: object) -> str:
    """Return a stranger's words so that they can't forge log lines: short, one line, printable."""
    text = words if isinstance(words, str) else repr(words)
    return "".join(c if c.isprintable() else "?" for c in text[:WORDS_MAX])
