"""Mutual TLS: both sides of a connection prove their names by certificates of one authority.

A context never changes. A reload reads the files again and makes other ones.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from typing import Any

from policies.bad_input import BadInput
from policies.settings.transport import Identity
from realproxy.net.certificates import check_file, load_chain
from realproxy.net.tls import ServerTls, server_context


def accepting_context(identity: Identity, where: str) -> ssl.SSLContext:
    """A context for a listener that demands a certificate of every client; raises `BadInput`."""
    context = _loaded(server_context(), identity, where)
    context.verify_mode = ssl.CERT_REQUIRED
    context.num_tickets = 0  # a resumed session would let in a certificate that has expired meanwhile
    context.sni_callback = _note_server_name
    return context


def calling_context(identity: Identity, where: str) -> ssl.SSLContext:
    """A context for connections to others of the same authority; raises `BadInput`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return _loaded(context, identity, where)


def check_identity(identity: Identity | None, where: str) -> Iterator[BadInput]:
    """The first problem of the files of an identity."""
    try:
        if identity is not None:
            calling_context(identity, where)
    except BadInput as problem:
        yield problem


def _loaded(context: ssl.SSLContext, identity: Identity, where: str) -> ssl.SSLContext:
    key = "identity.folder"
    load_chain(context, identity.certificate, identity.key, where, (key, key))
    check_file(identity.authorities, "CERTIFICATE", where, key)
    try:
        context.load_verify_locations(identity.authorities)
    except ssl.SSLError as error:
        reason = (error.reason or str(error)).lower().replace("_", " ")
        raise BadInput(where, key, f"{identity.authorities!r} cannot be used: {reason}") from None
    return context


def _note_server_name(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
    """Keep what the client asked for. Its name in the request may be another one: it has proven who it is."""
    if name is not None and isinstance(connection, ServerTls):
        connection.sni = name.lower().removesuffix(".")


def name_in(certificate: Mapping[str, Any]) -> str:
    """The name that a verified certificate proves: its first DNS name, else its first URI, else its CN.

    Parameters
    ----------
    certificate : mapping
        As `ssl.SSLObject.getpeercert` returns it; empty without a certificate.

    Returns
    -------
    str
        In lower case, but for a URI; empty if there is none. RFC 9525, 6; SPIFFE X.509-SVID, 2

    Examples
    --------
    >>> name_in({"subject": ((("commonName", "Old"),),), "subjectAltName": (("DNS", "Front"),)})
    'front'
    """
    names = certificate.get("subjectAltName", ())
    for kind in ("DNS", "URI"):
        for found, value in names:
            if found == kind:
                return str(value).lower() if kind == "DNS" else str(value)
    if names:
        return ""
    parts = [part for parts in certificate.get("subject", ()) for part in parts]
    return next((str(value).lower() for kind, value in parts if kind == "commonName"), "")
