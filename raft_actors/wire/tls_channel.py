"""TlsChannel: the certificates of an encrypted connection, which the handshake checks.

The proofs of the cookie and the keys of the frames cover both certificates. An attacker in the
middle who decrypts the traffic must show each node another certificate. Then the two nodes sign
different certificates, and the proofs do not match.
"""

from dataclasses import dataclass

from raft_actors.names import host_of
from raft_actors.wire.clean_text import clean

__all__ = ["TlsChannel"]

NAMES_MAX = 5  # in the text of a refusal


@dataclass(frozen=True, slots=True)
class TlsChannel:
    """The certificates of both ends of an encrypted connection."""

    dialer: bytes
    """SHA-256 of the dialer's certificate; empty if the dialer has none (`tls="auto"`)."""
    acceptor: bytes
    """SHA-256 of the acceptor's certificate."""
    names: tuple[tuple[str, str], ...] | None
    """The subjectAltName of the other end's certificate, which an authority has signed. None with
    `tls="auto"`: no authority signs there, and the cookie alone proves the other end."""

    def name_problem(self, node: str) -> str:
        """Return why the other end's certificate is not one of `node`; "" if it is.

        The certificate names the node itself (`email:a@one`) or the node's host (`DNS:one`, or an
        IP address). The name must be the same: wildcards and the common name do not count.
        """
        if self.names is None:
            return ""
        host = host_of(node)
        for kind, name in self.names:
            if kind == "email" and name == node:
                return ""
            if kind in {"DNS", "IP Address"} and name.lower() == host.lower():
                return ""
        found = ", ".join(clean(f"{kind}:{name}") for kind, name in self.names[:NAMES_MAX])
        return (
            f"the certificate of {node} must have DNS:{host} or email:{node} as subjectAltName, "
            f"and has {found or 'none'}"
        )
