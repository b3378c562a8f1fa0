"""The forward side: the rules a request must pass, the target it names, and tunnels."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from realproxy.downstream.connection import DownstreamConnection, State
from realproxy.errors import LocalReply, Termination, WouldBlock
from realproxy.messages import deadline
from realproxy.messages.record import RequestRecord
from realproxy.proxying.context import Outcome, RequestContext
from realproxy.proxying.forward_access import ForwardAccess
from realproxy.proxying.snapshot import CacheScope
from realproxy.runtime.blocking import BlockedThreads
from realproxy.tunnel.relay import TunnelRelay
from realproxy.upstream.round_trip import RoundTrip
from realproxy.upstream.target import UpstreamTarget

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


def authorise(request: RequestContext) -> None:
    """Forward side: may this user ask for this name and port? Raises `LocalReply`."""
    if request.record.side != "reverse":
        check_tunnels(request)
        request.record.user = _access(request).authorise(request.head)
        if not go_to_service(request):
            check_permitted(request)


def go_to_service(request: RequestContext) -> bool:
    """Hand a request for a service to the reverse side, as a route to it would; returns whether it is one."""
    record, head = request.record, request.head
    service = _access(request).service_of(head.hostname) if record.side == "forward" else None
    if service is None:
        return False
    request.access, record.service = None, service
    request.route, actions = request.snapshot.named_services[service]
    if actions is not None:
        actions.begin(request)
    return True


def check_tunnels(request: RequestContext) -> None:
    """Refuse CONNECT where tunnels are off; raises `LocalReply` 405."""
    access = request.access
    if request.record.side == "tunnel" and (access is None or "connect" not in access.settings.protocols):
        raise LocalReply(405, Termination.REFUSED, "no tunnels here")


def check_permitted(request: RequestContext) -> None:
    """Refuse the ports and names that the settings forbid; raises `LocalReply`."""
    head, access = request.head, _access(request)
    if request.record.side == "tunnel":
        if head.framing:
            raise LocalReply(400, Termination.CLIENT_BAD, "CONNECT with a body")
        access.check_tunnel_port(head)
    access.check_name(head.hostname)


def cache_scope(request: RequestContext) -> CacheScope | None:
    """Where the store keeps the response; None if nowhere."""
    return request.snapshot.forward_cache_scope if request.record.side == "forward" else None


def round_trip(request: RequestContext) -> RoundTrip:
    """A request to the target, or to the parent proxy; raises `LocalReply` if the target is forbidden."""
    snapshot, head, record, client = request.snapshot, request.head, request.record, request.client
    access, host = _access(request), head.hostname
    if request.may_block:
        with snapshot.waits.blocking():
            endpoint = access.endpoint(host, head.port, request.generation.own)
    elif access.is_prompt(host):
        endpoint = access.endpoint(host, head.port, request.generation.own)
    else:
        raise WouldBlock
    record.upstream = access.upstream_name(head.authority.decode())
    sent = access.request_head(head, client.address, request.validators, whole=request.whole)
    parent = access.request_parent
    target = UpstreamTarget(endpoint, sent, parent.check_response if parent is not None else None)
    target.tells = deadline.FIELD in head.fields.names
    return RoundTrip(snapshot.pool, snapshot.limits, client, request.lead or client, record, head, target)


def open_tunnel(request: RequestContext) -> Outcome:
    """Connect to the target of a CONNECT, and give both ends to the relay."""
    if not request.may_block:
        raise WouldBlock
    head, record, client, access = request.head, request.record, request.client, _access(request)
    record.upstream = access.upstream_name(head.target.decode())
    host, port, own = head.hostname, head.port, request.generation.own
    establish_tunnel(
        client, record, request.snapshot.waits, request.generation.relay,
        lambda: access.open_tunnel(host, port, own, head), lambda _: ESTABLISHED,
    )  # fmt: skip
    return Outcome.TUNNEL


def establish_tunnel(
    client: DownstreamConnection, record: RequestRecord, waits: BlockedThreads, relay: TunnelRelay,
    connect: Callable[[], tuple[socket.socket, bytes]], reply: Callable[[socket.socket], bytes],
) -> None:  # fmt: skip
    """Connect to a target, send the reply to the client, and give both ends to the relay.

    `connect` returns the socket and the first bytes of the target; it may wait, and raise `LocalReply`.
    """
    start = time.monotonic()
    with waits.blocking():
        target, first = connect()
    record.asked = record.answered = time.monotonic()
    record.connecting = record.asked - start
    try:
        client.send([reply(target)])
    except Exception:  # `Aborted`, or a fault of the program
        target.close()
        raise
    record.status = 200
    client.state = State.TUNNEL
    relay.add(client, target, record, first)


def _access(request: RequestContext) -> ForwardAccess:
    assert request.access is not None
    return request.access
