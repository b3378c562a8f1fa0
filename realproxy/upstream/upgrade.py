"""Upgrade: a request that may turn its connection into one of another protocol, such as WebSocket.

Runs in the worker that owns the client. Once the upstream has agreed, the worker gives both
sockets to the relay thread. RFC 9110, 7.8 and 15.2.2
"""

from __future__ import annotations

import socket
from collections.abc import Sequence

from policies.settings import Limits
from realproxy.downstream.connection import DownstreamConnection
from realproxy.errors import LocalReply, Termination
from realproxy.http1 import UNTIL_CLOSE, RequestHead, ResponseHead
from realproxy.messages.headers import client_response
from realproxy.messages.record import RequestRecord
from realproxy.upstream.pool import ConnectionPool
from realproxy.upstream.round_trip import RoundTrip
from realproxy.upstream.target import UpstreamTarget

# HTTP/2 would carry further requests past every route and rule; TLS would hide them.
NEVER_OFFERED = frozenset({b"h2c", b"h2", b"tls"})


class Switched(Exception):
    """The upstream speaks another protocol from here on, and the client knows.

    Parameters
    ----------
    upstream : socket.socket
        Its connection; it belongs to who catches this.
    first : bytes
        What it has said in the new protocol already.
    """

    def __init__(self, upstream: socket.socket, first: bytes) -> None:
        super().__init__("the protocol was switched")
        self.upstream, self.first = upstream, first


def wanted_protocols(head: RequestHead) -> list[bytes]:
    """The protocols that a request offers and that may be offered to an upstream.

    None in HTTP/1.0, without the connection option, or with a body: the offer is then ignored, as
    RFC 9110, 7.8 allows or demands.
    """
    if head.minor == 0 or head.framing or b"upgrade" not in head.fields.elements(b"connection"):
        return []
    offered = head.fields.elements(b"upgrade")
    return [name for name in offered if name and name.partition(b"/")[0] not in NEVER_OFFERED]


def _fields(protocols: Sequence[bytes]) -> bytes:
    return b"Connection: Upgrade\r\nUpgrade: %b\r\n" % b", ".join(protocols)


def offering(request: bytes, protocols: list[bytes]) -> bytes:
    """A request head for an upstream, with the offer in it."""
    return request[:-2] + _fields(protocols) + b"\r\n"


class UpgradeRoundTrip(RoundTrip):
    """One request that offers other protocols; raises `Switched` if the upstream takes one.

    Parameters
    ----------
    protocols : list of bytes
        What is offered, in lower case.
    """

    def __init__(
        self,
        pool: ConnectionPool,
        limits: Limits,
        client: DownstreamConnection,
        exchange: RequestRecord,
        head: RequestHead,
        protocols: list[bytes],
        way: UpstreamTarget,
    ) -> None:
        super().__init__(pool, limits, client, exchange, head, way)
        self._hedge_after = None
        self._protocols = protocols
        self._switched = False

    def _switch(self, answer: ResponseHead) -> None:
        chosen = answer.fields.elements(b"upgrade")
        if not chosen or not set(chosen) <= set(self._protocols):  # RFC 9110, 7.8
            raise LocalReply(
                502, Termination.UPSTREAM_BAD, "the upstream switched to a protocol that was not offered"
            )
        connection = self.connection
        assert connection is not None
        self.exchange.status = 101
        self.client.send([client_response(answer, UNTIL_CLOSE, _fields(chosen))])
        self._switched, self.connection = True, None
        self._way.settled(False)
        raise Switched(self._pool.detach(connection), connection.buffer)

    def release(self, reusable: bool) -> None:
        """See `RoundTrip`."""
        if not self._switched:  # otherwise the upstream is done when the tunnel ends
            super().release(reusable)
