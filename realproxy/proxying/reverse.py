"""The reverse side: the route that takes a request, and the service that answers it."""

from __future__ import annotations

from policies.reverse.trace_context import follow
from realproxy.errors import LocalReply, Termination
from realproxy.messages.headers import upstream_request
from realproxy.proxying.context import Outcome, RequestContext
from realproxy.proxying.rules import request_attributes
from realproxy.proxying.snapshot import CacheScope
from realproxy.upstream.round_trip import RoundTrip
from realproxy.upstream.target import ServiceTarget
from realproxy.upstream.upgrade import offering, wanted_protocols


def route(request: RequestContext) -> Outcome | None:
    """Find the first route that takes a request of the reverse side; raises `LocalReply` 404."""
    rules, record = request.snapshot.rules, request.record
    if record.side != "reverse":
        return None
    names, host = request.client.names, request.head.hostname
    if names is not None and host not in names and "*." + host.partition(".")[2] not in names:
        problem = "the certificate of this connection does not cover this host"
        raise LocalReply(421, Termination.REFUSED, problem)  # RFC 9110, 15.5.20
    number = record.route = rules.routes.match(
        request_attributes(request.head, record.client, request.client)
    )
    if number is None:
        raise LocalReply(404, Termination.NO_ROUTE, "no route takes this request")
    request.route = rules.settings.route[number]
    actions = request.snapshot.route_actions[number]
    return actions.begin(request) if actions is not None else None


def follow_trace(request: RequestContext) -> None:
    """Find out the trace of a request, or begin one, and be a span of it. W3C Trace Context"""
    head, record = request.head, request.record
    record.trace, record.span, record.parent, head.traceparent = follow(
        head.fields.text, request.snapshot.rules.trace_rng
    )
    head.begins_trace = not record.parent


def cache_scope(request: RequestContext) -> CacheScope | int | None:
    """Where the store keeps responses of the route; None if nowhere, or the status that the route answers."""
    route, record, head = request.route, request.record, request.head
    assert route is not None
    if route.to is None:
        return route.respond or 500
    if isinstance(route.to, str):  # else the arm was chosen in `route`
        record.service = route.to
    if b"upgrade" in head.fields.names:
        request.offers = wanted_protocols(head)
        if request.offers:
            return None
    if record.route is None:  # a service that the forward side knows
        return None
    scopes = request.snapshot.cache_scopes[record.route]
    return scopes[record.service] if scopes is not None else None


def round_trip(request: RequestContext) -> RoundTrip:
    """A request to the route's service."""
    snapshot, head, record, client = request.snapshot, request.head, request.record, request.client
    if snapshot.rules.traces and not record.trace:
        follow_trace(request)
    address, whole, offers, validators = client.address, request.whole, request.offers, request.validators
    visit, limits, changed = request.visit, snapshot.limits, head
    if visit is not None:
        limits = visit.limits
        if visit.changes:
            changed = visit.upstream_head(head)

    def head_for(upstream: str) -> bytes:  # does not name the request, which would be a cycle
        host = changed.authority if changed.host else upstream.encode()
        sent = upstream_request(changed, host, address, validators, whole=whole)
        if visit is not None and visit.changes:
            sent = visit.edit_request(sent)
        return offering(sent, offers) if offers else sent

    service, sink = snapshot.services[record.service], request.lead or client
    key = record.client if service.key_of is None else service.key_of(head, record.client)
    target = ServiceTarget(service, key, record, head_for, snapshot.waits, client.ends)
    if visit is not None and visit.trial is not None:
        target.judge = visit.judge
    trip = RoundTrip(snapshot.pool, limits, client, sink, record, head, target, offers)
    if visit is not None and request.route is not None:
        trip.try_timeout = request.route.try_timeout
    return trip
