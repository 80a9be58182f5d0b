"""TLS of a node: the settings, and the certificates, which are read again when their files change.

The settings come from the argument, else from the environment: RAFT_ACTORS_TLS=auto, or
RAFT_ACTORS_TLS_CERT, RAFT_ACTORS_TLS_KEY and RAFT_ACTORS_TLS_CA. Without settings connections are
not encrypted.
"""

import contextlib
import logging
import os
import ssl
import stat
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from raft_actors.audit import audit
from raft_actors.errors import BadTls
from raft_actors.node.own_certificate import make_own_certificate
from raft_actors.paths import absolute
from raft_actors.transport.tls_errors import tls_error_text
from raft_actors.transport.tls_stream import TlsContexts, fingerprint, names_in
from raft_actors.wire.tls_channel import TlsChannel

__all__ = ["Tls", "TlsOption", "find_tls", "tls_of"]

logger: logging.Logger = logging.getLogger("raft_actors.node")

STEPS_MAX = 10  # of a handshake in memory; three are enough
LOADS_MAX = 5  # while the files keep changing


@dataclass(frozen=True, slots=True)
class Tls:
    """The certificates of a node: three PEM files, which are read again when they change.

    cert  the node's certificate, followed by the intermediate certificates, if there are any
    key   the private key of the certificate, not encrypted
    ca    the authorities that sign the certificates of this cluster's nodes

    The certificate must have the node, `email:a@one`, or its host, `DNS:one`, as subjectAltName.
    """

    cert: str | os.PathLike[str]
    key: str | os.PathLike[str]
    ca: str | os.PathLike[str]

    def __post_init__(self) -> None:
        for field in fields(self):
            path = getattr(self, field.name)
            if not isinstance(path, str | os.PathLike) or not str(path):
                raise BadTls(f"{field.name} of Tls must be the path of a file, not {path!r}")
            object.__setattr__(self, field.name, absolute(path))


TlsOption = Tls | Literal["auto"] | ssl.SSLContext | tuple[ssl.SSLContext, ssl.SSLContext]


def find_tls(option: TlsOption | None, node: str) -> Callable[[], TlsContexts] | None:
    """Return a function that returns the TLS contexts for new connections; None: no encryption.

    Raises BadTls if certificates can't be used or are not this node's.
    """
    if option is None:
        option = of_environment()
    match option:
        case None:
            return None
        case "auto":
            contexts = own_contexts()
            return lambda: contexts
        case Tls():
            return TlsFiles(option, node).current
        case ssl.SSLContext():
            contexts = given_contexts(option, option, node)
            return lambda: contexts
        case (ssl.SSLContext() as accept, ssl.SSLContext() as dial):
            contexts = given_contexts(accept, dial, node)
            return lambda: contexts
    raise BadTls(
        f'tls is "auto", Tls(cert, key, ca), or the ssl.SSLContext to accept and the one to dial '
        f"with, not {option!r}"
    )


def of_environment() -> TlsOption | None:
    names = {part: f"RAFT_ACTORS_TLS_{part.upper()}" for part in ("cert", "key", "ca")}
    found = {part: os.environ.get(name) for part, name in names.items()}
    return tls_of("RAFT_ACTORS_TLS", os.environ.get("RAFT_ACTORS_TLS"), names, found)


def tls_of(
    name: str, auto: str | None, names: dict[str, str], found: dict[str, str | None]
) -> TlsOption | None:
    """Return the TLS option for a setting and three paths.

    name, auto    the name of the setting for errors, and its value
    names, found  the names of the paths for errors, and their values
    """
    given = {part: path for part, path in found.items() if path}
    if auto:
        if auto != "auto":
            paths = ", ".join(names.values())
            raise BadTls(f'{name} can only be "auto", not {auto!r}: files are given with {paths}')
        if given:
            raise BadTls(f"give {name} or {names[next(iter(given))]}, not both")
        return "auto"
    missing = [names[part] for part in names if part not in given]
    if missing and given:
        raise BadTls(
            f"TLS needs a certificate, its key and the authorities: {' and '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} not given"
        )
    return Tls(**given) if given else None


class TlsFiles:
    """The files of a `Tls`, and the contexts made of them. After `__init__`: bridge thread only."""

    def __init__(self, paths: Tls, node: str) -> None:
        self._paths = paths
        self._node = node
        self._seen = self._look()
        self._contexts = self._load()

    def current(self) -> TlsContexts:
        """Return the contexts for new connections. If a file has changed, read the files again; if
        they can't be used, log a warning and keep the contexts.
        """
        seen = self._look()
        if seen != self._seen:
            self._seen = seen
            try:
                self._contexts = self._load()
            except BadTls as error:
                logger.warning("node %s keeps the certificate that it has: %s", self._node, error)
            else:
                logger.info("node %s has a new certificate, of %s", self._node, self._paths.cert)
                audit("certificate", node=self._node, sha256=self._contexts.accept_print.hex())
        return self._contexts

    def _look(self) -> list[tuple[int, ...]]:
        """Return times, sizes and numbers of the files: they differ after a change of any file."""
        seen: list[tuple[int, ...]] = []
        for path in (self._paths.cert, self._paths.key, self._paths.ca):
            try:
                status = os.stat(path)  # noqa: PTH116 - `absolute` has made a Path of it
                # The ctime changes with owner and mode, too.
                times = status.st_mtime_ns, status.st_ctime_ns
                seen.append((*times, status.st_size, status.st_ino))
            except OSError:
                seen.append(())
        return seen

    def _load(self) -> TlsContexts:
        paths = self._paths
        for _ in range(LOADS_MAX):
            accept, dial = loaded(paths), loaded(paths, dials=True)
            seen = self._look()
            if seen == self._seen:
                break
            self._seen = seen  # files have changed: the contexts may have different certificates
        warn_of_key(Path(paths.key))
        return proven(accept, dial, self._node, str(paths.cert), f"the authorities in {paths.ca}")


def loaded(paths: Tls, *, dials: bool = False) -> ssl.SSLContext:
    for what in ("cert", "key", "ca"):
        check_file(getattr(paths, what), NAMED[what])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT if dials else ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # `TlsChannel.name_problem` checks the names instead
    context.verify_mode = ssl.CERT_REQUIRED
    if not dials:
        context.num_tickets = 0  # no session is resumed: each connection checks the certificates
    try:
        context.load_cert_chain(paths.cert, paths.key, password="")
    except OSError as error:
        raise BadTls(
            f"certificate {paths.cert} and key {paths.key} can't be used: {reason_of(error)}"
        ) from None
    try:
        context.load_verify_locations(paths.ca)
    except OSError as error:
        raise BadTls(f"the authorities {paths.ca} can't be used: {reason_of(error)}") from None
    return context


NAMED = {"cert": "certificate", "key": "key", "ca": "file of authorities"}


def check_file(path: str | os.PathLike[str], what: str) -> None:
    """Raise BadTls for what can't be read, and for a pipe, which would be waited for."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        os.close(descriptor)
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadTls(f"the {what} {path} can't be used: {reason}") from None
    if not is_file:
        raise BadTls(f"the {what} {path} can't be used: it is no file")


NO_PEM = "one of the two is no PEM file, or the key is encrypted"  # OpenSSL gives no reason
REASONS = {
    "KEY_VALUES_MISMATCH": "the key belongs to another certificate",
    "NO_CERTIFICATE_OR_CRL_FOUND": "the file has no certificate in PEM",
}


def reason_of(error: OSError) -> str:
    if not isinstance(error, ssl.SSLError):
        return error.strerror or str(error)
    reason = error.reason or NO_PEM
    return REASONS.get(reason, reason)


def warn_of_key(path: Path) -> None:
    with contextlib.suppress(OSError):  # replaced just now
        if not path.stat().st_mode & 0o007:
            return
        logger.warning("other users may read the private key %s: run `chmod o= %s`", path, path)


def given_contexts(accept: ssl.SSLContext, dial: ssl.SSLContext, node: str) -> TlsContexts:
    """Return the user's own contexts, if they are as strict as those of `Tls`."""
    for context in (accept, dial):
        if context.minimum_version < ssl.TLSVersion.TLSv1_3:
            raise BadTls(
                "set minimum_version of the SSLContext to TLSv1_3: nodes use no older version"
            )
        if context.verify_mode != ssl.CERT_REQUIRED:
            raise BadTls(
                "set verify_mode of the SSLContext to CERT_REQUIRED: both ends need certificates"
            )
        if context.check_hostname:
            raise BadTls(
                "set check_hostname of the SSLContext to False: a node checks the names itself"
            )
    return proven(accept, dial, node, "of the SSLContext", "the authorities of the SSLContext")


def own_contexts() -> TlsContexts:
    """Return the contexts for `tls="auto"`: with a certificate that is made now, and that no
    authority signs.

    Only the acceptor shows a certificate. The dialer's proof of the cookie covers it.
    """
    accept = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    dial = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for context in (accept, dial):
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # the cookie's proofs cover the certificate instead
    accept.num_tickets = 0
    make_own_certificate(accept)
    _acceptor, dialer = meet_in_memory(accept, dial)
    return TlsContexts(dial, accept, b"", fingerprint(dialer.getpeercert(binary_form=True)), "")


def proven(
    accept: ssl.SSLContext, dial: ssl.SSLContext, node: str, certificate: str, authorities: str
) -> TlsContexts:
    """Return the two contexts after a handshake with each other, in memory. The handshake shows
    which certificates the contexts show, and whether another node would accept them.
    """
    try:
        acceptor, dialer = meet_in_memory(accept, dial)
    except ssl.SSLError as error:
        text = tls_error_text(error, authorities)
        text = text.removeprefix("its certificate can't be used: ").replace("its certificate", "it")
        raise BadTls(f"the certificate {certificate} can't be used: {text}") from None
    of_dialer, of_acceptor = (
        fingerprint(side.getpeercert(binary_form=True)) for side in (acceptor, dialer)
    )  # `getpeercert` of one side returns the certificate of the other
    for side in (acceptor, dialer):
        if problem := TlsChannel(of_dialer, of_acceptor, names_in(side)).name_problem(node):
            raise BadTls(f"the certificate {certificate} is not this node's: {problem}")
    return TlsContexts(dial, accept, of_dialer, of_acceptor, authorities)


def meet_in_memory(
    accept: ssl.SSLContext, dial: ssl.SSLContext
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Do a TLS handshake between an acceptor and a dialer, and return both, in this order.

    Raises SSLError, and BadTls if both contexts are for the same side.
    """
    to_acceptor, to_dialer = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        acceptor = accept.wrap_bio(to_acceptor, to_dialer, server_side=True)
        dialer = dial.wrap_bio(to_dialer, to_acceptor)
    except ssl.SSLError:
        raise BadTls(
            "a node accepts and dials: give tls=(accepting, dialing), one SSLContext made with "
            "PROTOCOL_TLS_SERVER and one with PROTOCOL_TLS_CLIENT"
        ) from None
    waiting = [dialer, acceptor]
    for _ in range(STEPS_MAX):
        for side in tuple(waiting):
            try:
                side.do_handshake()
                waiting.remove(side)
            except ssl.SSLWantReadError:
                pass
    return acceptor, dialer
