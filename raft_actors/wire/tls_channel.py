"""TlsChannel: what one end of an encrypted connection knows of it, for the handshake to check.

Both proofs of the cookie, and the keys of the frames, cover the certificates of the channel. Who
ends the encryption in the middle shows each node a certificate of his own. The two then sign
different certificates, and no proof fits.
"""

from dataclasses import dataclass

from raft_actors.names import host_of

__all__ = ["TlsChannel"]

NAMES_MAX = 5  # in words


@dataclass(frozen=True, slots=True)
class TlsChannel:
    """The certificates that an encrypted connection was made with."""

    dialer: bytes
    """SHA-256 of the dialer's certificate; empty where a dialer shows none (`tls="auto"`)."""
    acceptor: bytes
    """SHA-256 of the acceptor's certificate."""
    names: tuple[tuple[str, str], ...] | None
    """The subjectAltName of the other end's certificate, which an authority has signed; None where
    certificates are signed by nobody, and the cookie alone says who is there."""

    def misnamed(self, node: str) -> str:
        """Say in words why the other end can't be `node`; an empty string when it may.

        The certificate names the node itself (`email:a@one`), or its host (`DNS:one`, or an IP
        address), whole: no wildcards, no common name.
        """
        if self.names is None:
            return ""
        host = host_of(node)
        for kind, name in self.names:
            if kind == "email" and name == node:
                return ""
            if kind in {"DNS", "IP Address"} and name.lower() == host.lower():
                return ""
        found = ", ".join(f"{kind}:{name}" for kind, name in self.names[:NAMES_MAX])
        return (
            f"the certificate of {node} must have DNS:{host} or email:{node} as subjectAltName, "
            f"and has {found or 'none'}"
        )
