"""The certificate for `tls="auto"`: made when the node starts, and signed by no authority."""

import secrets
import ssl
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from raft_actors.errors import BadTls
from raft_actors.paths import open_private

__all__ = ["make_own_certificate"]

# Valid for every clock: nodes are authenticated by the cookie, and not by dates.
FROM, UNTIL = (datetime(year, 1, 1, tzinfo=UTC) for year in (1950, 9999))


def make_own_certificate(context: ssl.SSLContext) -> None:
    """Give `context` a new key and a certificate for it. Raises BadTls without `cryptography`."""
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError:
        raise BadTls(
            'tls="auto" makes a certificate with the package cryptography, which is not '
            "installed: pip install 'raft_actors[tls]', or give certificates, Tls(cert, key, ca)"
        ) from None
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "raft_actors")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(FROM)
        .not_valid_after(UNTIL)
        .sign(key, hashes.SHA256())
    )
    password = secrets.token_bytes(32)  # encrypts the key while it is in a file
    pem = certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password),
    )
    with tempfile.TemporaryDirectory(prefix="raft_actors-tls-") as directory:
        path = Path(directory) / "own.pem"
        with open_private(path, "wb") as file:
            file.write(pem)
        context.load_cert_chain(path, password=password)
