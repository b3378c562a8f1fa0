"""Upgrade: a request may turn its connection into one of another protocol, such as WebSocket.

RFC 9110, 7.8 and 15.2.2. Once the upstream has agreed, the relay thread owns both sockets.
"""

from __future__ import annotations

from collections.abc import Sequence

from realproxy.errors import LocalReply, Termination
from realproxy.http1 import RequestHead, ResponseHead

# HTTP/2 would carry further requests past every route and rule; TLS would hide them.
NEVER_OFFERED = frozenset({b"h2c", b"h2", b"tls"})


def wanted_protocols(head: RequestHead) -> list[bytes]:
    """The protocols that a request offers and that may be offered to an upstream, in lower case.

    There are none in HTTP/1.0, without the connection option, or with a body: the offer is then ignored, as
    RFC 9110, 7.8 allows or demands.
    """
    if head.minor == 0 or head.framing or b"upgrade" not in head.fields.elements(b"connection"):
        return []
    offered = head.fields.elements(b"upgrade")
    return [name for name in offered if name and name.partition(b"/")[0] not in NEVER_OFFERED]


def upgrade_fields(protocols: Sequence[bytes]) -> bytes:
    """The field lines that offer protocols, or name the chosen ones."""
    return b"Connection: Upgrade\r\nUpgrade: %b\r\n" % b", ".join(protocols)


def offering(request: bytes, protocols: Sequence[bytes]) -> bytes:
    """The head `request` for an upstream, with the offer added."""
    return request[:-2] + upgrade_fields(protocols) + b"\r\n"


def check_chosen(response: ResponseHead, offers: Sequence[bytes]) -> None:
    """Refuse a 101 that names a protocol which was not offered; raises `LocalReply` 502. RFC 9110, 7.8"""
    chosen = response.fields.elements(b"upgrade")
    if not chosen or not set(chosen) <= set(offers):
        how = "to a protocol that was not offered" if offers else "protocols without being asked"
        raise LocalReply(502, Termination.UPSTREAM_BAD, f"the upstream switched {how}")
