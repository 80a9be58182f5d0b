"""The handshake: two nodes prove to each other that they hold the same cookie.

    dialer                                                  acceptor
      HELLO   names, versions, limit, nonce, cookies' ids   ->
                        <-  CHALLENGE   version, name, limit, nonce, a cookie's id
      PROOF   mac("dialer", both messages)   ->
                                              <-  WELCOME     mac("acceptor", both messages)
      Instead of CHALLENGE or WELCOME the acceptor may send REFUSE, with a code and a text.

The MAC covers the exact bytes of HELLO and CHALLENGE. So it covers both nonces, both node names and
incarnations, the offered and the chosen versions and cookies, and both frame limits. The label in a
MAC ("dialer", "acceptor") names the side that made the MAC, so no message can be sent back to its
author. The dialer proves its cookie first: a stranger that only connects gets nothing that was
signed with a cookie.

The acceptor chooses the first of the dialer's cookies that the acceptor has, too. The role of this
cookie decides what the two nodes may ask of each other. Both nodes then make a key for the frames
of each direction: the key is a MAC of the same two messages with another label. On an encrypted
connection, MACs and keys also cover the certificates of both ends (`TlsChannel`).

A client that has no name of its own (`Identity.is_client`) may know only the address of the other
node. Then it names no target, and takes whoever has the cookie. It is never dialed.

This module does no I/O: payloads go in, payloads come out.
"""

import hashlib
import hmac
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from raft_actors.errors import BadName
from raft_actors.names import check_node_name
from raft_actors.wire import versions
from raft_actors.wire.clean_text import clean
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
LISTS_DEEP = 2  # the message is a list, and holds the list of versions
NONCE_BYTES = 32
INCARNATION_BYTES = 8
LINK_ID_BYTES = 16
FROM_DIALER, FROM_ACCEPTOR = b"frames of the dialer", b"frames of the acceptor"
COOKIES_DIFFER = (
    "the cookies differ: nodes of one cluster share the cookie file or RAFT_ACTORS_COOKIE"
)


class Local(threading.local):
    """The packer of each thread. A packer is kept, because each new one allocates 256 KiB."""

    def __init__(self) -> None:
        self.pack: Callable[[Any], bytes] = make_packer()


local: Local = Local()


class Refusal(Exception):
    """One node refuses the other. `code` is for programs, `str(refusal)` for people."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Identity:
    """What a node sends about itself. A restarted node has the same name and a new incarnation."""

    name: str
    incarnation: bytes
    frame_bytes_max: int
    require_version: int = 0
    """The oldest protocol version that the node uses, although it knows older ones."""
    is_client: bool = False
    """Whether it only asks: its name is made up, and other nodes do not count it as a node."""

    @property
    def versions(self) -> list[int]:
        """The protocol versions that the node offers and accepts."""
        return versions.supported_from(self.require_version)


@dataclass(frozen=True, slots=True)
class RemoteNode:
    """The node at the other end of a connection, after both ends have proven their cookie."""

    name: str
    incarnation: bytes
    frame_bytes_max: int
    """The smaller of the limits of the two ends."""
    link_id: bytes
    """Identifies this connection. Both ends compute the same bytes from HELLO and CHALLENGE."""
    version: int
    """The protocol version of this connection: the newest that both ends support."""
    dial: int = 0
    """The number of this dial: the dialer counts its dials. Only the acceptor has it."""
    last_link_id: bytes = b""
    """`link_id` of the last connection between the two nodes that the dialer saw established.
    Only the acceptor has it."""
    role: str = MEMBER
    """The role of the cookie that both ends have proven: what they may ask of each other."""
    is_client: bool = False
    """See `Identity.is_client`. Only the acceptor has it."""
    send_key: bytes = field(default=b"", repr=False)
    receive_key: bytes = field(default=b"", repr=False)
    """The keys for the MACs of frames, one for each direction. No other connection has them."""


def refusal_message(code: str, text: str) -> bytes:
    """Return the payload of a REFUSE message."""
    return local.pack(["refuse", code, text])


class DialerHandshake:
    """The handshake at the node that opened the connection.

    Send `hello`, then give each payload that arrives to `receive`.

    target  the node that is dialed; "" if its name is not known
    """

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
             dial, last_link_id, keys.ids, me.is_client]
        )  # fmt: skip
        self._challenge: bytes | None = None
        self._remote: RemoteNode | None = None
        self._channel: TlsChannel | None = None
        self.refusal: Refusal | None = None
        """When set, the acceptor's next message is refused with it. A REFUSE of the acceptor goes
        first, because its text says more."""

    @property
    def answered_by(self) -> str:
        """The name in the CHALLENGE, which is not proven before the WELCOME."""
        return "" if self._remote is None else self._remote.name

    def use_tls(self, channel: TlsChannel) -> None:
        """The connection is encrypted from now on. Raises Refusal if the certificate is of another
        node than the target.
        """
        if self.target and (problem := channel.name_problem(self.target)):
            raise Refusal("certificate", problem)
        self._channel = channel

    def receive(self, payload: bytes) -> bytes | RemoteNode:
        """Return the payload to send next, or the RemoteNode when the acceptor has proven its
        cookie.

        Raises Refusal, by the acceptor or by this node, and ProtocolError.
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
                raise ProtocolError("expected a CHALLENGE, received another message")
        if version not in self.me.versions:
            raise Refusal(
                "version", f"the acceptor chose protocol version {version}, which was not offered"
            )
        check_side(name, incarnation, limit, nonce)
        if self.target and name != self.target:
            raise Refusal("name", f"dialed {self.target}, but {name} answered")
        if self._channel is not None and (problem := self._channel.name_problem(name)):
            raise Refusal("certificate", problem)
        cookie = self._keys.own_with_id(cookie_id)
        if cookie is None:
            raise ProtocolError("a CHALLENGE names a cookie that was not offered")
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
    """The handshake at the node that accepted the connection.

    `receive` returns the CHALLENGE, and then the RemoteNode, whose cookie is proven. The acceptor
    may still drop the connection; if it uses the connection, it sends `welcome()`.
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
        """When set, every dialer is refused with it after its HELLO."""

    def use_tls(self, channel: TlsChannel) -> None:
        """The connection is encrypted from now on."""
        self._channel = channel

    @property
    def claimed_name(self) -> str:
        """The node name in the dialer's HELLO, proven or not; "" before a HELLO."""
        return self._remote.name if self._remote else ""

    def receive(self, payload: bytes) -> bytes | RemoteNode:
        """Return the payload to send next, or the RemoteNode when the dialer has proven its cookie.

        Raises Refusal, which the caller should send to the dialer, and ProtocolError.
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
            raise ProtocolError("not a HELLO of a raft_actors node")
        version = versions.newest_common(self.me.versions, message[1])
        if version is None:
            raise Refusal("version", self._no_common_version(clean(message[1])))
        match message:
            case [
                _, _, name, incarnation, limit, nonce, target, int(dial), bytes(last),
                list(offered), bool(is_client),
            ]:  # fmt: skip
                pass
            case _:
                raise ProtocolError("a HELLO with missing fields or fields of a wrong type")
        check_side(name, incarnation, limit, nonce)
        if target != self.me.name and not (is_client and target == ""):
            raise Refusal("name", f"this is {self.me.name}, not {clean(target)}")
        if name == self.me.name:
            raise Refusal("name", f"{name} is this node's own name")
        # The name of a client is made up, so no certificate has it.
        named_channel = None if is_client else self._channel
        if named_channel is not None and (problem := named_channel.name_problem(name)):
            raise Refusal("certificate", problem)
        cookie = self._keys.first_known(offered)
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
            is_client,
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
            f"{self.me.name} dials the members (if the dialer is a {self._keys.role} too, their "
            "cookies differ)"
        )

    def _no_common_version(self, offered: str) -> str:
        supported = versions.described(self.me.versions)
        if self.me.versions != versions.SUPPORTED:
            return (
                f"{self.me.name} demands {supported} (Config.require_version), and was offered "
                f"{offered}: install a newer release of raft_actors on the other node, or set a "
                f"lower require_version on {self.me.name}"
            )
        return (
            f"{self.me.name} supports {supported}, and was offered {offered}: install the same "
            "release of raft_actors on both nodes, or two consecutive releases"
        )


def message_of(payload: bytes) -> list[Any]:
    check_depth(payload, LISTS_DEEP)
    message = unpack(payload, ITEMS_MAX)
    if not isinstance(message, list) or not message:
        raise ProtocolError("a handshake message that is not a list, or is an empty list")
    return message


def check_side(name: object, incarnation: object, limit: object, nonce: object) -> None:
    try:
        check_node_name(name)
    except BadName as error:
        raise ProtocolError("a handshake message without a legal node name") from error
    if (
        type(incarnation) is not bytes
        or len(incarnation) != INCARNATION_BYTES
        or type(nonce) is not bytes
        or len(nonce) != NONCE_BYTES
        or type(limit) is not int
        or limit < HANDSHAKE_BYTES_MAX
    ):
        raise ProtocolError("a handshake message with fields of a wrong type or length")


def transcript(hello: bytes, challenge: bytes, channel: TlsChannel | None) -> tuple[bytes, ...]:
    """Return the bytes that every MAC covers: both messages, and the certificates if there are."""
    if channel is None:
        return hello, challenge
    return hello, challenge, channel.dialer, channel.acceptor


def check_mac(message: list[Any], kind: str, expected: bytes, channel: TlsChannel | None) -> None:
    match message:
        case [str(received), bytes(mac)] if received == kind:
            if not hmac.compare_digest(mac, expected):
                middle = ""
                if channel is not None:
                    middle = ", or something between the two nodes decrypts their TLS"
                raise Refusal("cookie", f"{COOKIES_DIFFER}{middle}")
        case _:
            raise ProtocolError(f"expected a {kind.upper()}, received another message")


def link_id(hello: bytes, challenge: bytes) -> bytes:
    both = len(hello).to_bytes(4, "big") + hello + challenge
    return hashlib.sha256(both).digest()[:LINK_ID_BYTES]
