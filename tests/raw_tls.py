"""A TLS 1.3 client whose records are made by hand, once its handshake is done: Python's `ssl` sends
no KeyUpdate.
"""

import contextlib
import hashlib
import hmac
import ssl
import struct

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

__all__ = ["RawTls"]

HANDSHAKE, CONTENT = 22, 23
KEY_UPDATE = b"\x18\x00\x00\x01"  # RFC 8446, 4.6.3


def expanded(secret, label, size, digest):
    """HKDF-Expand-Label of RFC 8446, 7.1, without a context."""
    label = b"tls13 " + label
    info = struct.pack(">HB", size, len(label)) + label + b"\0"
    out = last = b""
    while len(out) < size:
        last = hmac.new(secret, last + info + bytes([len(out) // digest().digest_size + 1]), digest)
        last = last.digest()
        out += last
    return out[:size]


class RawTls:
    """Meets an acceptor by `talk(bytes) -> bytes`, which sends and returns what came back."""

    def __init__(self, talk, keylog):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.keylog_filename = str(keylog)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing)
        for _ in range(10):
            with contextlib.suppress(ssl.SSLWantReadError):
                tls.do_handshake()
                break
            incoming.write(talk(outgoing.read()))
        self.last_flight = outgoing.read()
        name, _version, bits = tls.cipher()
        self._digest = hashlib.sha384 if "SHA384" in name else hashlib.sha256
        self._key_bytes = bits // 8
        self._cipher = ChaCha20Poly1305 if "CHACHA" in name else AESGCM
        (line,) = [x for x in keylog.read_text().splitlines() if x.startswith("CLIENT_TRAFFIC_S")]
        self._use(bytes.fromhex(line.split()[2]))

    def _use(self, secret):
        self._secret = secret
        self._key = self._cipher(expanded(secret, b"key", self._key_bytes, self._digest))
        self._iv = int.from_bytes(expanded(secret, b"iv", 12, self._digest), "big")
        self._number = 0

    def record(self, content, kind=CONTENT):
        """Return one record."""
        inner = content + bytes([kind])
        head = b"\x17\x03\x03" + struct.pack(">H", len(inner) + 16)
        nonce = (self._iv ^ self._number).to_bytes(12, "big")
        self._number += 1
        return head + self._key.encrypt(nonce, inner, head)

    def key_update(self, *, wants_answer):
        """Return the record of a KeyUpdate, and use the next key from now on."""
        record = self.record(KEY_UPDATE + bytes([wants_answer]), HANDSHAKE)
        self._use(expanded(self._secret, b"traffic upd", self._digest().digest_size, self._digest))
        return record
