"""The reverse side: the route that takes a request, and the service that answers it."""

from __future__ import annotations

from policies.reverse.trace_context import follow
from realproxy.errors import LocalReply, Termination
from realproxy.messages.headers import upstream_request
from realproxy.proxying.context import RequestContext
from realproxy.proxying.rules import request_attributes
from realproxy.proxying.snapshot import CacheScope
from realproxy.upstream.round_trip import RoundTrip
from realproxy.upstream.target import ServiceTarget
from realproxy.upstream.upgrade import offering, wanted_protocols


def route(request: RequestContext) -> None:
    """Find the first route that takes a request of the reverse side; raises `LocalReply` 404."""
    rules, record = request.snapshot.rules, request.record
    if record.side != "reverse":
        return
    number = record.route = rules.routes.match(
        request_attributes(request.head, record.client, request.client.sni)
    )
    if number is None:
        raise LocalReply(404, Termination.NO_ROUTE, "no route takes this request")
    request.route = rules.settings.route[number]


def follow_trace(request: RequestContext) -> None:
    """Find out the trace of a request, or begin one. W3C Trace Context"""
    head = request.head
    request.record.trace, head.traceparent = follow(head.fields.text, request.snapshot.rules.trace_rng)


def cache_scope(request: RequestContext) -> CacheScope | int | None:
    """Where the store keeps responses of the route; None if nowhere, or the status that the route answers."""
    route, record, head = request.route, request.record, request.head
    assert route is not None
    assert record.route is not None
    if route.to is None:
        return route.respond or 500
    record.service = route.to
    if b"upgrade" in head.fields.names:
        request.offers = wanted_protocols(head)
        if request.offers:
            return None
    return request.snapshot.cache_scopes[record.route]


def round_trip(request: RequestContext) -> RoundTrip:
    """A request to the route's service."""
    snapshot, head, record, client = request.snapshot, request.head, request.record, request.client
    if snapshot.rules.traces and not record.trace:
        follow_trace(request)
    address, whole, offers, validators = client.address, request.whole, request.offers, request.validators

    def head_for(upstream: str) -> bytes:  # does not name the request, which would be a cycle
        host = head.authority if head.host else upstream.encode()
        sent = upstream_request(head, host, address, validators, whole=whole)
        return offering(sent, offers) if offers else sent

    service, sink = snapshot.services[record.service], request.lead or client
    target = ServiceTarget(service, record.client, record, head_for, snapshot.waits, client.ends)
    return RoundTrip(snapshot.pool, snapshot.limits, client, sink, record, head, target, offers)
