"""The certificates that this proxy presents: read from files, chosen by the server name of the client."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path

from policies.bad_input import BadInput
from policies.settings import Certificate
from realproxy.net.tls import ServerTls, server_context

# Object identifier of subjectAltName, 2.5.29.17, in DER. RFC 5280, 4.2.1.6
_SUBJECT_ALT_NAME = bytes((0x55, 0x1D, 0x11))
_OID, _EXTENSIONS, _DNS_NAME, _ADDRESS = 0x06, 0xA3, 0x82, 0x87


class Certificates:
    """All certificates of a listener. Never changes: a reload makes another one.

    A client that sends no server name, or an unknown one, gets the first. `context` is for a
    `realproxy.net.tls.TlsSocket`. Raises `BadInput` if a file cannot be used.
    """

    def __init__(self, settings: Sequence[Certificate], where: str) -> None:
        self._by_name: dict[str, ssl.SSLContext] = {}
        self._names: dict[ssl.SSLContext, frozenset[str]] = {}
        contexts = [_load(settings, number, where) for number in range(len(settings))]
        for certificate, context in zip(settings, contexts, strict=True):
            names = certificate.names or names_in(Path(certificate.cert).read_text(encoding="latin-1"))
            self._names[context] = frozenset(name.lower() for name in names)
            for name in self._names[context]:
                self._by_name.setdefault(name, context)
        self.context = contexts[0]
        self.context.sni_callback = self._choose

    def _choose(self, connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        if name is not None:
            wanted = name.lower().removesuffix(".")
            wildcard = self._by_name.get(wildcard_of(wanted))
            connection.context = context = self._by_name.get(wanted) or wildcard or self.context
            if isinstance(connection, ServerTls):
                connection.sni, connection.names = wanted, self._names[context]


def wildcard_of(name: str) -> str:
    """The wildcard that covers a name. RFC 9525, 6.3"""
    return "*." + name.partition(".")[2]


def check_certificates(settings: Sequence[Certificate], where: str) -> Iterator[BadInput]:
    """The problems of the certificate files, the first one of each."""
    for number in range(len(settings)):
        try:
            _load(settings, number, where)
        except BadInput as problem:
            yield problem


def _load(settings: Sequence[Certificate], number: int, where: str) -> ssl.SSLContext:
    certificate, key = settings[number], "tls" if len(settings) == 1 else f"tls.{number}"
    context = server_context()
    load_chain(context, certificate.cert, certificate.key, where, (f"{key}.cert", f"{key}.key"))
    return context


def load_chain(context: ssl.SSLContext, cert: str, key: str, where: str, keys: tuple[str, str]) -> None:
    """Have a context show a certificate; raises `BadInput`, where `keys` are the settings of both files."""

    def encrypted() -> str:
        raise BadInput(where, keys[1], f"{key!r} is encrypted; expected a key without password")

    check_file(cert, "CERTIFICATE", where, keys[0])
    check_file(key, "PRIVATE KEY", where, keys[1])
    try:
        context.load_cert_chain(cert, key, encrypted)
    except ssl.SSLError as error:
        reason = (error.reason or str(error)).lower().replace("_", " ")
        if "mismatch" in reason:
            raise BadInput(where, keys[1], f"{key!r} is not the key of {cert!r}") from None
        raise BadInput(where, keys[0], f"{cert!r} cannot be used: {reason}") from None


def check_file(path: str, kind: str, where: str, key: str) -> None:
    """Raise `BadInput` unless a PEM file can be read and holds something of a kind."""
    try:
        text = Path(path).read_text(encoding="latin-1")
    except OSError as error:
        raise BadInput(where, key, f"{path!r} cannot be read: {(error.strerror or '').lower()}") from None
    if f"{kind}-----" not in text:
        raise BadInput(where, key, f"{path!r} holds no {kind.lower()} in PEM form")


def names_in(pem: str) -> list[str]:
    """Names and addresses in the subjectAltName of a PEM file's first certificate, in lower case."""
    start = pem.index("-----BEGIN CERTIFICATE-----")
    end = pem.index("-----END CERTIFICATE-----") + len("-----END CERTIFICATE-----")
    der = ssl.PEM_cert_to_DER_cert(pem[start:end])
    ((_, certificate),) = _items(der)
    _, signed = next(_items(certificate))
    names = []
    for extensions in (value for tag, value in _items(signed) if tag == _EXTENSIONS):
        for _, extension in _items(next(_items(extensions))[1]):
            parts = list(_items(extension))
            if parts[0] == (_OID, _SUBJECT_ALT_NAME):
                names += [
                    str(ipaddress.ip_address(value)) if tag == _ADDRESS else value.decode("latin-1").lower()
                    for tag, value in _items(next(_items(parts[-1][1]))[1])
                    if tag in (_DNS_NAME, _ADDRESS)
                ]
    return names


def _items(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of the elements of a DER sequence. ITU-T X.690, 8.1"""
    at = 0
    while at < len(der):
        tag, size, at = der[at], der[at + 1], at + 2
        if size & 0x80:
            count = size & 0x7F
            size, at = int.from_bytes(der[at : at + count]), at + count
        yield tag, der[at : at + size]
        at += size
