"""Requests by SOCKS: from a handshake that the front thread has finished to a tunnel or an association.

Runs in the worker that owns the client; it waits only for a name and a connection, both with a time
limit. Statuses in the log are those that HTTP would have answered.
"""

from __future__ import annotations

import errno
import socket
import time

from policies.addresses import plain_address
from realproxy.downstream.connection import Client, State
from realproxy.errors import Cut, End, Refusal, UpstreamTrouble
from realproxy.http1 import Fields, RequestHead
from realproxy.http1.request import check_block
from realproxy.messages.record import Exchange
from realproxy.net.address import Address
from realproxy.proxying.forward_access import Forwarding
from realproxy.proxying.snapshot import Site
from realproxy.socks import Command, Handshake, Reply, SocksRequest
from realproxy.tunnel.relay import Relay
from realproxy.tunnel.udp_associate import Associations

_BY_ERRNO = {
    errno.ECONNREFUSED: Reply.CONNECTION_REFUSED,
    errno.ENETUNREACH: Reply.NETWORK_UNREACHABLE,
    errno.EHOSTUNREACH: Reply.HOST_UNREACHABLE,
}


def reply_code(refusal: Refusal) -> Reply:
    """What a client is told. RFC 1928, 6"""
    if refusal.status == 501:
        return Reply.COMMAND_NOT_SUPPORTED
    if refusal.end in (End.REFUSED, End.LOOP):
        return Reply.NOT_ALLOWED
    code = _BY_ERRNO.get(refusal.errno) if isinstance(refusal, UpstreamTrouble) else None
    return code or Reply.HOST_UNREACHABLE


class SocksSide:
    """Answers what clients ask by SOCKS.

    Parameters
    ----------
    own : Address
        Where this proxy listens.
    relay : Relay
        Takes tunnels.
    associations : Associations
        Take who wants to send datagrams.
    """

    def __init__(self, own: Address, relay: Relay, associations: Associations) -> None:
        self._own, self._relay, self._associations = own, relay, associations

    def answer(self, client: Client, shake: Handshake, exchange: Exchange, site: Site) -> bool:
        """Do what was asked, or say why not; returns whether the relay thread has taken the client over."""
        exchange.side = f"socks{shake.version}"
        try:
            return self._answer(client, shake, exchange, site)
        except Cut as cut:
            exchange.end = cut.end
            return False

    def _answer(self, client: Client, shake: Handshake, exchange: Exchange, site: Site) -> bool:
        request, forwarding = shake.request, site.forwarding
        if request is None or forwarding is None:  # the client has its answer already
            exchange.end = End.UNAUTHENTICATED if shake.bad_credentials else End.CLIENT_BAD
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
        except Refusal as refusal:
            exchange.end, exchange.detail, exchange.status = refusal.end, refusal.detail, refusal.status
            client.send([request.reply(reply_code(refusal))])
            return False
        return True

    def _connect(
        self, client: Client, request: SocksRequest, exchange: Exchange, site: Site, forwarding: Forwarding
    ) -> None:
        forwarding.admit_socks(request.port)
        forwarding.admit_name(request.host)
        start = time.monotonic()
        with site.waits.unknown():
            target, first = forwarding.open(request.host, request.port, self._own)
        exchange.asked = exchange.answered = time.monotonic()
        exchange.connecting = exchange.asked - start
        try:
            client.send([request.reply(Reply.SUCCEEDED, *_bound(target))])
        except Cut:
            target.close()
            raise
        exchange.status = 200
        client.state = State.TUNNEL
        self._relay.add(client, target, exchange, first)

    def _associate(
        self, client: Client, request: SocksRequest, exchange: Exchange, site: Site, forwarding: Forwarding
    ) -> None:
        if forwarding.settings.parent is not None:
            raise Refusal(501, End.REFUSED, "forward.parent: datagrams do not go through a parent")
        try:
            here = client.sock.getsockname()[0]
            inner = socket.socket(client.sock.family, socket.SOCK_DGRAM)
        except OSError as error:
            raise Refusal(503, End.REFUSED, f"no socket for datagrams: {error.strerror}") from None
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
