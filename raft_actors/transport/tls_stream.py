"""TlsStream: a socket whose bytes travel encrypted, to be used like a socket that does not block.

TLS itself touches no socket: what it wants to send and what has come in lie in memory
(`MemoryBIO`). So the threads that send and receive without TLS do it with TLS, and wait for nobody.
"""

import contextlib
import hashlib
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from socket import SHUT_RDWR, socket
from typing import Any

from raft_actors.transport.tls_errors import TlsFailed, in_words
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
"""Encrypted in one go: what the kernel does not take of it waits in memory."""
ALERT, HANDSHAKE = b"\x15", b"\x16"  # the first byte of a record, RFC 8446, 5.1


class NotTls(Exception):
    """The other end does not speak TLS; `data` is what it said."""

    def __init__(self, data: bytes) -> None:
        super().__init__("no TLS")
        self.data = data


@dataclass(frozen=True, slots=True)
class TlsContexts:
    """What new connections are made with.

    dial, accept    the two sides
    dial_print      of the certificate that a dialer shows (`fingerprint`), empty if it shows none
    accept_print    of the one that an acceptor shows
    authorities     who signs certificates, in words; "" where the cookie alone says who is there
    """

    dial: ssl.SSLContext
    accept: ssl.SSLContext
    dial_print: bytes
    accept_print: bytes
    authorities: str


def fingerprint(certificate: bytes | None) -> bytes:
    """Return the SHA-256 of a certificate (DER); of none, nothing."""
    return hashlib.sha256(certificate).digest() if certificate else b""


def names_in(tls: ssl.SSLObject) -> tuple[tuple[str, str], ...]:
    """Return the subjectAltName of the other end's certificate, which was verified."""
    found: Any = tls.getpeercert() or {}
    return tuple(found.get("subjectAltName", ()))


def looks_like_tls(data: bytes) -> bool:
    """Say whether these first bytes of a connection begin a record of TLS; no message of our own
    handshake, which are short, begins with such a byte.
    """
    return data[:1] in {ALERT, HANDSHAKE}


class TlsStreams:
    """Makes the streams of one node. Bridge thread only."""

    def __init__(self, current: Callable[[], TlsContexts], receive_bytes: int) -> None:
        """`current` returns what new connections are made with, which may change."""
        self._current = current
        # What is read at once, a rest of before included, then fits `receive_bytes` decrypted.
        self._scratch = memoryview(bytearray(receive_bytes - RECORD_BYTES_MAX))

    def dialed(self, sock: socket) -> "TlsStream":
        return TlsStream(sock, self._current(), self._scratch, accepts=False)

    def accepted(self, sock: socket) -> "TlsStream":
        return TlsStream(sock, self._current(), self._scratch, accepts=True)


class TlsStream:
    """One encrypted connection. One thread at a time sends; the bridge thread does all else.

    The two use the same state of TLS, which is not made for that: hence the lock. It is never held
    where a thread could wait.
    """

    __slots__ = (
        "_accepts", "_contexts", "_ended", "_incoming", "_is_new", "_lock", "_outgoing", "_owed",
        "_scratch", "_socket", "_tls", "_unsent", "is_complete",
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
        self._unsent = memoryview(b"")  # encrypted, and not taken by the kernel yet
        self._owed = 0  # bytes of the last `send` that are in `_unsent`
        self._is_new = True  # nothing has come in yet
        self._ended = False  # the other end sends nothing more
        self.is_complete = False
        """Whether the handshake of TLS is done."""

    @property
    def is_behind(self) -> bool:
        """Whether encrypted bytes wait until the socket is writable."""
        return bool(self._unsent)

    # The handshake.

    def begin(self) -> None:
        """Say the dialer's first message."""
        self._shake_hands()

    def go_on(self) -> None:
        """Take in what has come, and answer it, until `is_complete`.

        Raises NotTls, TlsFailed, OSError: BlockingIOError when nothing has come.
        """
        if self._unsent:
            self._push()
        data = self._socket.recv(RECORD_BYTES_MAX)
        if not data:
            raise ConnectionResetError("it hung up in the middle of the handshake")
        if self._is_new and not looks_like_tls(data):
            raise NotTls(data)
        self._is_new = False
        self._incoming.write(data)
        self._shake_hands()

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
            self.is_complete = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self._answer()  # with an alert
            raise self._failed(error) from None
        self._take_output()
        self._push()

    def channel(self) -> TlsChannel:
        """Return what the handshake of the cookie is to cover, once this one is complete."""
        theirs = fingerprint(self._tls.getpeercert(binary_form=True))
        names = names_in(self._tls) if self._contexts.authorities else None
        if self._accepts:
            return TlsChannel(theirs, self._contexts.accept_print, names)
        return TlsChannel(self._contexts.dial_print, theirs, names)

    # As of a socket.

    def send(self, data: bytes | memoryview) -> int:
        """Send some of `data`, and return how much.

        After BlockingIOError the next call must begin with the same bytes: they are encrypted, and
        partly sent.
        """
        with self._lock:
            if not self._owed:
                self._owed = self._encrypt(memoryview(data)[:WRITE_BYTES])
                self._take_output()
            if not self._push():
                raise BlockingIOError
            sent, self._owed = self._owed, 0
            return sent

    def recv(self, _size: int) -> bytes:
        """Return all that is there, which is little before a connection has proven itself; b"" at
        the end. Raises BlockingIOError when nothing is there, and TlsFailed.
        """
        data = bytearray(RECORD_BYTES_MAX * 2)
        return bytes(data[: self._receive(memoryview(data), self._scratch[:RECORD_BYTES_MAX])])

    def recv_into(self, buffer: memoryview) -> int:
        """Read into `buffer`, and return how much; 0 at the end.

        Raises BlockingIOError when nothing is there, or not the whole of a record, and TlsFailed.
        """
        return self._receive(buffer, self._scratch)

    def close(self) -> None:
        """Say that nothing more is sent, if that can be said without waiting, and close."""
        with self._lock, contextlib.suppress(OSError, ValueError):
            if self.is_complete and not self._unsent:
                with contextlib.suppress(ssl.SSLError):  # it would wait for the other end's word
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
            raise ConnectionError(in_words(error, self._contexts.authorities)) from None
        return start

    def _take_output(self) -> None:
        self._unsent = memoryview(bytes(self._unsent) + self._outgoing.read())

    def _push(self) -> bool:
        """Hand encrypted bytes to the kernel. Returns whether all are gone."""
        while self._unsent:
            try:
                sent = self._socket.send(self._unsent)
            except BlockingIOError:
                return False
            self._unsent = self._unsent[sent:]
        return True

    def _receive(self, buffer: memoryview, scratch: memoryview) -> int:
        if self._ended:
            return 0
        if not self._incoming.pending:  # else something came right behind the handshake
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
                self._answer()
        if not filled and not self._ended:
            raise BlockingIOError
        return filled

    def _decrypt(self, buffer: memoryview) -> int:
        filled = 0
        with contextlib.suppress(ssl.SSLWantReadError):  # the rest of a record is to come
            while filled < len(buffer) and (self._incoming.pending or self._tls.pending()):
                count = self._read(buffer[filled:])
                if not count:
                    self._ended = True
                    self._incoming.read()
                    break
                filled += count
        return filled

    def _read(self, buffer: memoryview) -> int:
        """Decrypt some bytes into `buffer`; 0 says that the other end sends no more."""
        try:
            count: Any = self._tls.read(len(buffer), buffer)
        except ssl.SSLZeroReturnError:  # close_notify, where this end has sent its own before
            return 0
        return int(count)

    def _answer(self) -> None:
        """Send what TLS itself has to say; where other bytes wait, behind them."""
        if self._outgoing.pending:
            with contextlib.suppress(OSError):
                self._take_output()
                self._push()

    def _failed(self, error: ssl.SSLError) -> TlsFailed:
        return TlsFailed(in_words(error, self._contexts.authorities))
