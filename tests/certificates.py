"""Authorities and certificates for tests, made as a user's own authority makes them."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from raft_actors.node.tls import Tls

DAY = timedelta(days=1)


def name_of(text):
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def alt_name(text):
    """`DNS:one`, `email:a@one` or `IP:10.0.0.1`."""
    kind, _, name = text.partition(":")
    if kind == "IP":
        return x509.IPAddress(ip_address(name))
    return {"DNS": x509.DNSName, "email": x509.RFC822Name}[kind](name)


class Authority:
    """Signs certificates, and writes what nodes are given into files of `directory`."""

    def __init__(self, directory, name="ours"):
        self.directory = directory
        self.name = name
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = (
            self.begun(self.key, name)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self.key, hashes.SHA256())
        )
        self.path = directory / f"{name}.pem"
        self.path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def begun(self, key, subject, days=30):
        until = datetime.now(UTC) + days * DAY
        return (
            x509.CertificateBuilder()
            .subject_name(name_of(subject))
            .issuer_name(name_of(self.name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(until - 60 * DAY)
            .not_valid_after(until)
        )

    def issue(self, *names, file="node", days=30, usages=()):
        """Make a certificate with these subjectAltNames, and return the Tls of a node that has it.

        The files are replaced whole, one after the other, as those who renew certificates do it.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self.begun(key, "a node", days)
        if names:
            found = x509.SubjectAlternativeName([alt_name(each) for each in names])
            certificate = certificate.add_extension(found, critical=False)
        if usages:
            certificate = certificate.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        signed = certificate.sign(self.key, hashes.SHA256())
        pem = serialization.Encoding.PEM
        secret = key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        tls = Tls(self.directory / f"{file}.crt", self.directory / f"{file}.key", self.path)
        for path, content in ((tls.cert, signed.public_bytes(pem)), (tls.key, secret)):
            draft = path.with_suffix(".draft")
            draft.touch(mode=0o600)
            draft.write_bytes(content)
            draft.replace(path)
        return tls
