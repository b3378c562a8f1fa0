"""TLS of the experiment: certificates of two authorities, and both sides of a connection.

The client trusts both: that of the web, and that of the company whose proxy opens TLS.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import NamedTuple

from twin.certificates import write_wildcard

_DAYS = 1.0


class Signed(NamedTuple):
    """Files of a certificate, of its key, and of the authority that has signed it."""

    certificate: str
    key: str
    authority: str


def sign(folder: Path, zone: str) -> Signed:
    """A certificate for all names in a zone, by a new authority in a folder of its own."""
    certificate, key = write_wildcard(folder, "leaf", zone, _DAYS)
    return Signed(str(certificate), str(key), str(folder / "ca.pem"))


def server_side(signed: Signed) -> ssl.SSLContext:
    """The server's side of TLS with one certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(signed.certificate, signed.key)
    return context


def client_side(*trusted: Signed) -> ssl.SSLContext:
    """The client's side of TLS, which trusts these authorities and no other."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags |= ssl.VERIFY_X509_STRICT  # the default from Python 3.13 on
    for signed in trusted:
        context.load_verify_locations(signed.authority)
    return context
