"""Requests by SOCKS: from a handshake that the front thread has finished to a tunnel or an association.

Runs in the worker that owns the client; it waits only for a name and a connection, both with a time
limit. Statuses in the log are those that HTTP would have answered.
"""

from __future__ import annotations

import errno
import socket
import time

from policies.addresses import plain_address
from realproxy.downstream.connection import DownstreamConnection, State
from realproxy.errors import Aborted, LocalReply, Termination, UpstreamError
from realproxy.http1 import Fields, RequestHead
from realproxy.http1.request import check_block
from realproxy.messages.record import RequestRecord
from realproxy.net.address import Address
from realproxy.proxying.forward_access import ForwardAccess
from realproxy.proxying.snapshot import ConfigSnapshot
from realproxy.socks import Command, Reply, ServerHandshake, SocksRequest
from realproxy.tunnel.relay import TunnelRelay
from realproxy.tunnel.udp_associate import UdpAssociations

_BY_ERRNO = {
    errno.ECONNREFUSED: Reply.CONNECTION_REFUSED,
    errno.ENETUNREACH: Reply.NETWORK_UNREACHABLE,
    errno.EHOSTUNREACH: Reply.HOST_UNREACHABLE,
}


def reply_code(refusal: LocalReply) -> Reply:
    """What a client is told. RFC 1928, 6"""
    if refusal.status == 501:
        return Reply.COMMAND_NOT_SUPPORTED
    if refusal.end in (Termination.REFUSED, Termination.LOOP):
        return Reply.NOT_ALLOWED
    code = _BY_ERRNO.get(refusal.errno) if isinstance(refusal, UpstreamError) else None
    return code or Reply.HOST_UNREACHABLE


class SocksRequests:
    """Answers what clients ask by SOCKS.

    Parameters
    ----------
    own : Address
        Where this proxy listens.
    relay : TunnelRelay
        Takes tunnels.
    associations : UdpAssociations
        Take who wants to send datagrams.
    """

    def __init__(self, own: Address, relay: TunnelRelay, associations: UdpAssociations) -> None:
        self._own, self._relay, self._associations = own, relay, associations

    def answer(
        self,
        client: DownstreamConnection,
        shake: ServerHandshake,
        exchange: RequestRecord,
        site: ConfigSnapshot,
    ) -> bool:
        """Do what was asked, or say why not; returns whether the relay thread has taken the client over."""
        exchange.side = f"socks{shake.version}"
        try:
            return self._answer(client, shake, exchange, site)
        except Aborted as cut:
            exchange.end = cut.end
            return False

    def _answer(
        self,
        client: DownstreamConnection,
        shake: ServerHandshake,
        exchange: RequestRecord,
        site: ConfigSnapshot,
    ) -> bool:
        request, forwarding = shake.request, site.forwarding
        if request is None or forwarding is None:  # the client has its answer already
            exchange.end = Termination.UNAUTHENTICATED if shake.bad_credentials else Termination.CLIENT_BAD
            exchange.status = 407 if shake.bad_credentials else 400
            exchange.detail = shake.problem
            return False
        exchange.user, exchange.head = request.user, _as_head(request)
        exchange.upstream = forwarding.upstream(exchange.head.target.decode("latin-1"))
        client.buffer = shake.rest
        try:
            if request.command is Command.CONNECT:
                self._connect(client, request, exchange, site, forwarding)
            else:
                exchange.side = "udp"
                self._associate(client, request, exchange, site, forwarding)
        except LocalReply as refusal:
            exchange.end, exchange.detail, exchange.status = refusal.end, refusal.detail, refusal.status
            client.send([request.reply(reply_code(refusal))])
            return False
        return True

    def _connect(
        self,
        client: DownstreamConnection,
        request: SocksRequest,
        exchange: RequestRecord,
        site: ConfigSnapshot,
        forwarding: ForwardAccess,
    ) -> None:
        forwarding.admit_socks(request.port)
        forwarding.admit_name(request.host)
        start = time.monotonic()
        with site.waits.blocking():
            target, first = forwarding.open(request.host, request.port, self._own)
        exchange.asked = exchange.answered = time.monotonic()
        exchange.connecting = exchange.asked - start
        try:
            client.send([request.reply(Reply.SUCCEEDED, *_bound(target))])
        except Aborted:
            target.close()
            raise
        exchange.status = 200
        client.state = State.TUNNEL
        self._relay.add(client, target, exchange, first)

    def _associate(
        self,
        client: DownstreamConnection,
        request: SocksRequest,
        exchange: RequestRecord,
        site: ConfigSnapshot,
        forwarding: ForwardAccess,
    ) -> None:
        if forwarding.settings.parent is not None:
            raise LocalReply(501, Termination.REFUSED, "forward.parent: datagrams do not go through a parent")
        try:
            here = client.sock.getsockname()[0]
            inner = socket.socket(client.sock.family, socket.SOCK_DGRAM)
        except OSError as error:
            raise LocalReply(503, Termination.REFUSED, f"no socket for datagrams: {error.strerror}") from None
        try:
            inner.setblocking(False)
            inner.bind((here, 0))
            exchange.asked = exchange.answered = time.monotonic()
            client.send([request.reply(Reply.SUCCEEDED, *_bound(inner))])
        except BaseException:
            inner.close()
            raise
        exchange.status = 200
        client.state = State.TUNNEL
        resolver, idle_timeout = site.pool.resolver, site.settings.limits.idle_timeout
        self._associations.add(client, inner, request, exchange, forwarding, resolver, idle_timeout)


def _bound(sock: socket.socket) -> Address:
    """Where the proxy's end of it is; for a client of IPv4 in its own writing, on a listener for both."""
    host, port = sock.getsockname()[:2]
    return str(plain_address(host)), port


def _as_head(request: SocksRequest) -> RequestHead:
    """The CONNECT that HTTP would have been asked: what the log shows."""
    host = f"[{request.host}]" if ":" in request.host else request.host
    target = f"{host}:{request.port}".encode("latin-1")
    return RequestHead("CONNECT", target, 1, check_block(Fields([(b"Host", target)]), 1))
