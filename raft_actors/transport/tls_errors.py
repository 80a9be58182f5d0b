"""TLS errors as texts for people: they name the certificate, and say what to do."""

import ssl

from raft_actors.wire.frames import ProtocolError

__all__ = ["TlsFailed", "tls_error_text"]


class TlsFailed(ProtocolError):
    """TLS refuses the other end or its bytes, or the other end refuses this one."""


NOT_YET_VALID, EXPIRED = 9, 10
OTHER_USE = 26
UNSIGNED = {18, 19, 20, 21}
"""X509_V_ERR_... numbers for certificates that no authority known to this node has signed."""

BOTH_USES = "a node's must allow both serverAuth and clientAuth, or name no extendedKeyUsage"
OLD = "it speaks no TLS 1.3"
CHANGED = "a TLS record that was changed, left out, repeated or inserted on the way"
REFUSED = "it refuses this node's certificate"
BY_REASON = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        'it has no certificate (does it run with tls="auto", and this node with certificates?)',
    "TLSV13_ALERT_CERTIFICATE_REQUIRED":
        'it demands a certificate, and this node has none (does this node run with tls="auto", and '
        "the other with certificates?)",
    "TLSV1_ALERT_UNKNOWN_CA": f"{REFUSED}: none of its authorities has signed it",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": f"{REFUSED}: it has expired",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": f"{REFUSED}: it was revoked",
    "SSLV3_ALERT_BAD_CERTIFICATE": REFUSED,
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": REFUSED,
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": f"{REFUSED}: {BOTH_USES}",
    "TLSV1_ALERT_PROTOCOL_VERSION": OLD,
    "UNSUPPORTED_PROTOCOL": OLD,
    "WRONG_VERSION_NUMBER": "a record of no known version of TLS",
    "DECRYPTION_FAILED_OR_BAD_RECORD_MAC": CHANGED,
    "SSLV3_ALERT_BAD_RECORD_MAC": "an alert: a TLS record of this node was changed on the way",
    "BAD_RECORD_TYPE": CHANGED,
}  # fmt: skip
"""Texts for the reasons in OpenSSL's errors."""


def tls_error_text(error: ssl.SSLError, authorities: str) -> str:
    """Return what went wrong. `authorities` names the authorities that this node trusts."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code == EXPIRED:
            return "its certificate has expired"
        if error.verify_code == NOT_YET_VALID:
            return "its certificate is not valid yet, or a clock is wrong"
        if error.verify_code in UNSIGNED:
            return f"its certificate is signed by none of {authorities}"
        if error.verify_code == OTHER_USE:
            return f"its certificate is not for this use: {BOTH_USES}"
        return f"its certificate can't be used: {error.verify_message}"
    reason = error.reason or str(error)
    return BY_REASON.get(reason, f"TLS failed: {reason.lower().replace('_', ' ')}")
