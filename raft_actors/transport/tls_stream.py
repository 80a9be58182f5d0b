"""TlsStream: an encrypted connection that is used like a non-blocking socket.

The TLS object does not use the socket. It reads received bytes from memory, and writes the bytes to
send into memory (`MemoryBIO`). So the same threads send and receive with TLS as without it, and
never block.
"""

import contextlib
import hashlib
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from socket import SHUT_RDWR, socket
from typing import Any

from raft_actors.transport.tls_errors import TlsFailed, tls_error_text
from raft_actors.wire.tls_channel import TlsChannel

__all__ = [
    "NotTls",
    "TlsContexts",
    "TlsStream",
    "TlsStreams",
    "fingerprint",
    "looks_like_tls",
    "names_in",
]

RECORD_BYTES_MAX = 5 + 16_384 + 256  # RFC 8446, 5.2
WRITE_BYTES = 256 * 1024
"""The most bytes that are encrypted at once. What the kernel does not accept waits in memory."""
HANDSHAKE_BYTES_MAX = 128 * 1024
"""Of a TLS handshake, from one end: room for a chain of certificates."""
OVERHEAD_MAX = 64 * 1024
"""Received bytes that bring no content: see `_count_overhead`."""
STRANGER_OVERHEAD_MAX = 16 * 1024
"""The same before the other end has proven its cookie: room for session tickets."""
UNSENT_MAX = 1024 * 1024
"""Encrypted bytes that may wait for the kernel: the last `send`, and what TLS itself answers."""
ALERT, HANDSHAKE = b"\x15", b"\x16"  # the first byte of a record, RFC 8446, 5.1


class NotTls(Exception):
    """The other end does not use TLS; `data` is what it sent."""

    def __init__(self, data: bytes) -> None:
        super().__init__("no TLS")
        self.data = data


@dataclass(frozen=True, slots=True)
class TlsContexts:
    """The TLS settings and certificates for new connections.

    dial, accept    the contexts for dialed and for accepted connections
    dial_print      `fingerprint` of the certificate that this node shows as the dialer; empty if
                    it shows none
    accept_print    `fingerprint` of the certificate that this node shows as the acceptor
    authorities     the authorities that sign certificates, as a text; "" if no authority signs
                    them (`tls="auto"`): then the cookie alone proves the other node
    """

    dial: ssl.SSLContext
    accept: ssl.SSLContext
    dial_print: bytes
    accept_print: bytes
    authorities: str


def fingerprint(certificate: bytes | None) -> bytes:
    """Return the SHA-256 of a certificate (DER); b"" if there is none."""
    return hashlib.sha256(certificate).digest() if certificate else b""


def names_in(tls: ssl.SSLObject) -> tuple[tuple[str, str], ...]:
    """Return the subjectAltName of the other end's verified certificate."""
    found: Any = tls.getpeercert() or {}
    return tuple(found.get("subjectAltName", ()))


def looks_like_tls(data: bytes) -> bool:
    """Return whether these first bytes of a connection begin a TLS record. A message of our own
    handshake begins with 0, because it is short and begins with its length.
    """
    return data[:1] in {ALERT, HANDSHAKE}


class TlsStreams:
    """Makes the TLS streams of one node. Bridge thread only."""

    def __init__(self, current: Callable[[], TlsContexts], receive_bytes: int) -> None:
        """`current` returns the contexts for new connections; they may change while a node runs."""
        self._current = current
        # One record may be left from the read before: both together must fit into `receive_bytes`.
        self._scratch = memoryview(bytearray(receive_bytes - RECORD_BYTES_MAX))

    def dialed(self, sock: socket) -> "TlsStream":
        return TlsStream(sock, self._current(), self._scratch, accepts=False)

    def accepted(self, sock: socket) -> "TlsStream":
        return TlsStream(sock, self._current(), self._scratch, accepts=True)


class TlsStream:
    """One encrypted connection. One thread at a time sends; the bridge thread does everything else.

    The sending thread and the bridge thread share one TLS object, which is not safe for threads. So
    there is a lock. It is never held while a thread could block.
    """

    __slots__ = (
        "_accepts", "_contexts", "_ended", "_incoming", "_lock", "_outgoing", "_overhead",
        "_received", "_scratch", "_send_pending", "_socket", "_tls", "_unsent", "is_complete",
    )  # fmt: skip

    def __init__(
        self, sock: socket, contexts: TlsContexts, scratch: memoryview, *, accepts: bool
    ) -> None:
        self._socket = sock
        self._contexts = contexts
        self._scratch = scratch
        self._accepts = accepts
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = contexts.accept if accepts else contexts.dial
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=accepts)
        self._lock = threading.Lock()
        self._unsent = memoryview(b"")  # encrypted bytes that the kernel has not accepted yet
        self._send_pending = 0  # bytes of the last `send` that are encrypted in `_unsent`
        self._received = 0  # bytes of the TLS handshake
        self._overhead = 0  # see `_count_overhead`
        self._ended = False  # the other end has sent its last byte
        self.is_complete: bool = False
        """Whether the TLS handshake is complete."""

    @property
    def is_behind(self) -> bool:
        """Whether encrypted bytes wait until the socket is writable."""
        return bool(self._unsent)

    @property
    def has_begun(self) -> bool:
        """Whether the other end has sent a first TLS record."""
        return self._received > 0

    # The handshake.

    def begin(self) -> None:
        """Send the dialer's first message."""
        self._do_handshake()

    def advance(self) -> None:
        """Receive a part of the handshake, and answer it. Call again until `is_complete`.

        Raises NotTls, TlsFailed, OSError: BlockingIOError if nothing was received.
        """
        if self._unsent:
            self._push()
        data = self._socket.recv(RECORD_BYTES_MAX)
        if not data:
            raise ConnectionResetError
        if not self._received and not looks_like_tls(data):
            raise NotTls(data)
        self._received += len(data)
        if self._received > HANDSHAKE_BYTES_MAX:
            raise TlsFailed(f"its TLS handshake is larger than {HANDSHAKE_BYTES_MAX} bytes")
        self._incoming.write(data)
        self._do_handshake()

    def _do_handshake(self) -> None:
        try:
            self._tls.do_handshake()
            self.is_complete = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self._push_own()  # an alert
            raise self._failed(error) from None
        self._take_output()
        self._push()

    def channel(self) -> TlsChannel:
        """Return the certificates that the cookie's handshake must cover. Call this only after the
        TLS handshake is complete. Raises TlsFailed for a resumed session, in which nobody has shown
        a certificate: the one of the earlier connection may have expired since.
        """
        if self._tls.session_reused:
            raise TlsFailed("it resumes a TLS session, and nodes never do")
        theirs = fingerprint(self._tls.getpeercert(binary_form=True))
        names = names_in(self._tls) if self._contexts.authorities else None
        if self._accepts:
            return TlsChannel(theirs, self._contexts.accept_print, names)
        return TlsChannel(self._contexts.dial_print, theirs, names)

    # The methods of a socket.

    def send(self, data: bytes | memoryview) -> int:
        """Send a first part of `data`, and return its size in bytes.

        After BlockingIOError the next call must begin with the same bytes, because they are already
        encrypted and partly sent.
        """
        with self._lock:
            if not self._send_pending:
                self._send_pending = self._encrypt(memoryview(data)[:WRITE_BYTES])
                self._take_output()
            if not self._push():
                raise BlockingIOError
            sent, self._send_pending = self._send_pending, 0
            return sent

    def recv(self, _size: int) -> bytes:
        """Return what was received, two records at most; b"" at the end. It is used only during the
        handshake, whose messages are small. Raises BlockingIOError if nothing was received, and
        TlsFailed.
        """
        data = bytearray(RECORD_BYTES_MAX * 2)
        scratch = self._scratch[:RECORD_BYTES_MAX]
        return bytes(data[: self._receive(memoryview(data), scratch, STRANGER_OVERHEAD_MAX)])

    def recv_into(self, buffer: memoryview) -> int:
        """Read into `buffer`, and return the number of bytes; 0 at the end.

        Raises BlockingIOError if no whole record was received, and TlsFailed.
        """
        return self._receive(buffer, self._scratch, OVERHEAD_MAX)

    def close(self) -> None:
        """Close the socket. If it can be done without waiting, tell the other end before (a TLS
        close_notify).
        """
        with self._lock, contextlib.suppress(OSError, ValueError):
            if self.is_complete and not self._unsent:
                with contextlib.suppress(ssl.SSLError):  # it wants the other end's close_notify
                    self._tls.unwrap()
                self._take_output()
                self._push()
        self._socket.close()

    def _encrypt(self, data: memoryview) -> int:
        """Encrypt all of `data`, record by record."""
        start = 0
        try:
            while start < len(data):
                start += self._tls.write(data[start:])
        except ssl.SSLError as error:
            self._socket.shutdown(SHUT_RDWR)  # the bridge thread finds the connection broken
            raise ConnectionError(tls_error_text(error, self._contexts.authorities)) from None
        return start

    def _take_output(self) -> None:
        self._unsent = memoryview(bytes(self._unsent) + self._outgoing.read())

    def _push(self) -> bool:
        """Hand encrypted bytes to the kernel. Returns whether it has accepted all of them."""
        while self._unsent:
            try:
                sent = self._socket.send(self._unsent)
            except BlockingIOError:
                return False
            self._unsent = self._unsent[sent:]
        return True

    def _receive(self, buffer: memoryview, scratch: memoryview, overhead_max: int) -> int:
        if self._ended:
            return 0
        count = 0
        if not self._incoming.pending:  # the last read may have received more than the handshake
            count = self._socket.recv_into(scratch)
            if not count:
                return 0
            self._incoming.write(scratch[:count])
        with self._lock:
            try:
                filled = self._decrypt(buffer)
            except ssl.SSLError as error:
                raise self._failed(error) from None
            finally:
                self._push_own()
        self._count_overhead(count, filled, overhead_max)
        if not filled and not self._ended:
            raise BlockingIOError
        return filled

    def _count_overhead(self, received: int, filled: int, overhead_max: int) -> None:
        """Raise TlsFailed for a flood of records that bring no content, as KeyUpdates (RFC 8446,
        4.6.3): each costs twice as much as a small frame, and wants a record in return.

        A record is 22 bytes larger than its content, and a frame has 23 bytes at least. So a
        connection that sends frames stays at zero, but for the part of a record that is to come.
        """
        self._overhead = max(0, self._overhead + received - 2 * filled)
        if self._overhead > overhead_max:
            raise TlsFailed(f"it sent {self._overhead} bytes of TLS records without content")
        if len(self._unsent) > UNSENT_MAX:
            raise TlsFailed("it makes TLS answer, and does not read the answers")

    def _decrypt(self, buffer: memoryview) -> int:
        filled = 0
        with contextlib.suppress(ssl.SSLWantReadError):  # the rest of a record was not received yet
            while filled < len(buffer) and (self._incoming.pending or self._tls.pending()):
                count = self._read(buffer[filled:])
                if not count:
                    self._ended = True
                    self._incoming.read()
                    break
                filled += count
        return filled

    def _read(self, buffer: memoryview) -> int:
        """Decrypt bytes into `buffer`, and return their number; 0 if the other end has closed."""
        try:
            count: Any = self._tls.read(len(buffer), buffer)
        except ssl.SSLZeroReturnError:  # close_notify, after this end has sent its own
            return 0
        return int(count)

    def _push_own(self) -> None:
        """Send the records that TLS itself has made, such as alerts, after the waiting bytes."""
        if self._outgoing.pending:
            with contextlib.suppress(OSError):
                self._take_output()
                self._push()

    def _failed(self, error: ssl.SSLError) -> TlsFailed:
        return TlsFailed(tls_error_text(error, self._contexts.authorities))
