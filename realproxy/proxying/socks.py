"""SOCKS requests, from the finished handshake to a tunnel (CONNECT) or a UDP association.

Threads. All of this runs in the worker that owns the client. It waits only for a name and for a connection,
each with a time limit. The log shows the status that HTTP would have returned.
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
from realproxy.proxying.forward import establish_tunnel
from realproxy.proxying.forward_access import ForwardAccess
from realproxy.proxying.snapshot import ConfigSnapshot
from realproxy.socks import Command, Reply, ServerHandshake, SocksRequest
from realproxy.tunnel.udp_associate import UdpAssociation, UdpAssociations

_BY_ERRNO = {
    errno.ECONNREFUSED: Reply.CONNECTION_REFUSED,
    errno.ENETUNREACH: Reply.NETWORK_UNREACHABLE,
    errno.EHOSTUNREACH: Reply.HOST_UNREACHABLE,
}


def reply_code(refusal: LocalReply) -> Reply:
    """The SOCKS reply for a refusal. RFC 1928, 6"""
    if refusal.status == 501:
        return Reply.COMMAND_NOT_SUPPORTED
    if refusal.end in (Termination.REFUSED, Termination.LOOP):
        return Reply.NOT_ALLOWED
    code = _BY_ERRNO.get(refusal.errno) if isinstance(refusal, UpstreamError) else None
    return code or Reply.HOST_UNREACHABLE


class SocksRequests:
    """Serves SOCKS requests, and gives the client to the relay thread of `associations` afterwards."""

    def __init__(self, associations: UdpAssociations) -> None:
        self._associations = associations

    def answer(self, client: DownstreamConnection, record: RequestRecord, snapshot: ConfigSnapshot) -> bool:
        """Serve the request of the handshake that is the client's `opening`, or refuse it.

        Returns whether the relay thread owns the client now. If it does not, `record` is finished.
        """
        handshake = client.opening
        assert isinstance(handshake, ServerHandshake)
        record.side = f"socks{handshake.version}"
        request, access = handshake.request, snapshot.rules.forward
        if request is None or access is None:  # the handshake has sent the reply
            bad_login = handshake.bad_credentials
            record.status = 407 if bad_login else 400
            end = Termination.UNAUTHENTICATED if bad_login else Termination.CLIENT_BAD
            record.finish(end, handshake.problem)
            return False
        record.user, record.head = request.user, _as_head(request)
        record.upstream = access.upstream_name(record.head.target.decode("latin-1"))
        client.buffer = handshake.rest
        try:
            if request.command is Command.CONNECT:
                access.check_socks_port(request.port)
                access.check_name(request.host)
                establish_tunnel(
                    client, record, snapshot.waits, self._associations.relay,
                    lambda: access.open_tunnel(request.host, request.port, self._associations.own),
                    lambda target: request.reply(Reply.SUCCEEDED, *_bound(target)),
                )  # fmt: skip
            else:
                record.side = "udp"
                self._associate(client, request, record, access)
            return True
        except LocalReply as refusal:
            record.status = refusal.status
            record.finish(refusal.end, refusal.detail)
            try:
                client.send([request.reply(reply_code(refusal))])
            except Aborted as aborted:
                record.finish(aborted.end)
        except Aborted as aborted:
            record.finish(aborted.end)
        return False

    def _associate(
        self, client: DownstreamConnection, request: SocksRequest, record: RequestRecord,
        access: ForwardAccess,
    ) -> None:  # fmt: skip
        if access.settings.parent is not None:
            raise LocalReply(501, Termination.REFUSED, "forward.parent: datagrams do not go through a parent")
        try:
            own_host = client.sock.getsockname()[0]
            inner = socket.socket(client.sock.family, socket.SOCK_DGRAM)
        except OSError as error:
            raise LocalReply(503, Termination.REFUSED, f"no socket for datagrams: {error.strerror}") from None
        try:
            inner.setblocking(False)
            inner.bind((own_host, 0))
            record.asked = record.answered = time.monotonic()
            client.send([request.reply(Reply.SUCCEEDED, *_bound(inner))])
        except BaseException:
            inner.close()
            raise
        record.status = 200
        client.state = State.TUNNEL
        UdpAssociation(self._associations, client, inner, request, record, access).start()


def _bound(sock: socket.socket) -> Address:
    """The proxy's address of a socket. An IPv4-mapped IPv6 address becomes plain IPv4."""
    host, port = sock.getsockname()[:2]
    return str(plain_address(host)), port


def _as_head(request: SocksRequest) -> RequestHead:
    """The equivalent HTTP CONNECT, for the log."""
    host = f"[{request.host}]" if ":" in request.host else request.host
    target = f"{host}:{request.port}".encode("latin-1")
    return RequestHead("CONNECT", target, 1, check_block(Fields([(b"Host", target)]), 1))
