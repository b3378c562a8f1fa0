"""The life of a request: its phases, in order. Read this first.

`run` takes a request through `PHASES`. A phase returns None to go on, or an `Outcome`. A thread that must
not wait (`may_block` is False) runs the same phases: a phase that would wait raises `WouldBlock` before it
has changed anything, and a worker enters that phase again. So every phase starts from what the request
holds already, and nothing is done twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from policies.contract import blamed
from policies.http_cache.collapsing import FlightResult
from policies.reverse.forwarded import client_of, told_host, told_proto
from realproxy.downstream.connection import Door
from realproxy.errors import Aborted, LocalReply, Termination, WouldBlock
from realproxy.http1 import Malformed, TargetForm
from realproxy.messages import deadline
from realproxy.messages.headers import MOST_PASSAGES, via_count
from realproxy.messages.max_forwards import decrement
from realproxy.messages.proxy_status import proxy_status
from realproxy.proxying import forward, reverse
from realproxy.proxying.cache_lookup import look_up
from realproxy.proxying.context import Outcome, RequestContext
from realproxy.proxying.forward import authorise
from realproxy.proxying.reply import reply_as_last_recipient, send_local_reply, send_unreadable
from realproxy.proxying.response import respond, send_stored
from realproxy.proxying.reverse import route
from realproxy.proxying.rules import expected_form, is_forward_request
from realproxy.runtime.isolation import say

# To name a member by its class is slow before Python 3.12.
_WORKER, _AWAITED, _PARKED, _RETRY = Outcome.WORKER, Outcome.AWAITED, Outcome.PARKED, Outcome.RETRY
_ORIGIN, _FORWARD = TargetForm.ORIGIN, Door.FORWARD


def identify(request: RequestContext) -> Outcome | None:
    """Is the request in a loop or too late? Which side is it for, from which client, and in which trace?"""
    head, record, fields = request.head, request.record, request.head.fields
    if b"via" in fields.names and via_count(fields) >= MOST_PASSAGES:  # RFC 9110, 7.6.3
        raise LocalReply(508, Termination.LOOP, f"this request came through here {MOST_PASSAGES} times")
    if deadline.FIELD in fields.names:
        deadline.refuse_late(head, record.arrived, time.monotonic())
    if head.form is not _ORIGIN or request.client.door is _FORWARD:
        choose_side(request)
    if b"max-forwards" in fields.names and record.side != "tunnel" and not decrement(head):
        return reply_as_last_recipient(request)
    if record.side == "reverse":
        rules = request.snapshot.rules
        if rules.trusted_hops:
            record.client = client_of(request.client.address, rules.trusted_hops, fields.text)
            head.proto = told_proto(rules.trusted_hops, fields.text)
            head.origin = told_host(rules.trusted_hops, fields.text)
        if rules.logs_traces:
            reverse.follow_trace(request)
    return None


def choose_side(request: RequestContext) -> None:
    """The forward side takes CONNECT, and absolute-form unless it is off. RFC 9112, 3.2

    A listener of its own serves it alone; there, services may also be named in Host.
    """
    head, record, access = request.head, request.record, request.snapshot.rules.forward
    door = request.client.door
    if door is Door.REVERSE:
        access = None
    if head.form is TargetForm.AUTHORITY:
        record.side, request.access = "tunnel", access
    elif head.form is TargetForm.ABSOLUTE:
        settings = access.settings if access is not None else None
        if is_forward_request(head, settings, head.scheme):
            record.side, request.access = "forward", access
            # "A proxy server MUST NOT maintain a persistent connection with an HTTP/1.0 client"; the
            # reverse side is a gateway, which counts as an origin server. RFC 9112, 9.3; RFC 9110, 3.7
            request.keep = request.keep and head.minor == 1
    if door is _FORWARD and record.side == "reverse":
        assert access is not None  # `forward.listen` never changes
        record.side, request.access = "forward", access
        if access.service_of(head.hostname) is None:
            raise expected_form(access)


def inject_faults(request: RequestContext) -> Outcome | None:
    """Inject the faults of the route."""
    found, inject = request.route, request.snapshot.inject_faults
    if inject is not None and found is not None and found.fault:
        if not request.may_block:
            raise WouldBlock
        inject(found.fault, request.client, request.record)
    return None


def open_upstream(request: RequestContext) -> Outcome | None:
    """Take a slot, pick an upstream, and connect to it."""
    if request.record.side == "tunnel":
        return forward.open_tunnel(request)
    trip = request.round_trip
    if trip is None:
        side = reverse if request.access is None else forward
        trip = request.round_trip = side.round_trip(request)
    if not request.may_block and not request.has_slot:
        slots = request.thread.slots
        if slots is None or not slots.try_acquire():
            raise WouldBlock
        request.has_slot = True
    trip.open(request.may_block)
    return None


def send_request(request: RequestContext) -> Outcome | None:
    """Send the head, and what has arrived of the body."""
    assert request.round_trip is not None
    request.round_trip.send(request.may_block)
    return None


def await_response(request: RequestContext) -> Outcome | None:
    """Wait for the head of the final response, or ask another upstream."""
    trip = request.round_trip
    assert trip is not None
    response = trip.wait_for_head() if request.may_block else trip.try_receive_head()
    if response is None:
        return _AWAITED
    if trip.failed and trip.fail_over(response.status):
        return _retry(request)
    request.response, request.record.answered = response, time.monotonic()
    if request.visit is not None and request.visit.mirrors:
        request.visit.answered(request)
    return None


PHASES: tuple[Callable[[RequestContext], Outcome | None], ...] = (
    identify,  # a loop? which side? which client behind trusted proxies? which trace?
    route,  # reverse side: the first route that matches
    authorise,  # forward side: user, port and name
    inject_faults,  # those of the route
    look_up,  # a hit is sent; a miss waits for another request's fetch, or begins one
    open_upstream,  # a slot, an upstream, and a connection to it
    send_request,  # its head, and what has arrived of the body
    await_response,  # the final head; a failure goes to another upstream
    respond,  # head and body to the client, and to the store
)
OPEN_UPSTREAM, RESPOND = PHASES.index(open_upstream), PHASES.index(respond)


def run(request: RequestContext) -> Outcome:
    """Run the phases of a request as far as this thread can.

    ``AWAITED``, ``SENDING`` and ``WORKER`` only come if `request.may_block` is False; `run` is called again
    then. After ``PARKED`` another thread owns the request.
    """
    client = request.client
    client.may_block = request.may_block
    try:
        outcome = request.outcome
        if client.unsent and (request.may_block or outcome is not None):
            client.flush()
        while outcome is None or outcome is _RETRY:
            try:
                outcome = PHASES[request.phase](request)
            except WouldBlock:
                return _WORKER
            except (LocalReply, Malformed) as trouble:
                outcome = _recover(request, trouble)
            if outcome is None:  # else it may be another thread's already
                request.phase += 1
    except Exception as ending:  # noqa: BLE001 - what no policy has done is raised again
        outcome = _end(request, ending)
    if outcome is _AWAITED or outcome is _WORKER or outcome is _PARKED:
        return outcome
    if client.unsent:  # this thread must not wait for the client
        request.outcome = outcome
        return Outcome.SENDING
    if request.lead is not None:
        request.lead.complete(FlightResult.FAILED)
    client.send_filters.clear()
    return outcome


def _recover(request: RequestContext, trouble: LocalReply | Malformed) -> Outcome:
    """Ask another upstream, send a stale response, or refuse the request."""
    phase = request.phase
    if phase < OPEN_UPSTREAM:
        if isinstance(trouble, Malformed):
            return send_unreadable(request.client, request.record, trouble)
        return _refuse(request, trouble)
    trip, writer = request.round_trip, request.writer
    if trip is not None and phase < RESPOND and trip.recover(trouble):
        return _retry(request)
    request.end_upstream()
    refusal = _as_reply(trouble)
    if writer is not None and refusal.status >= 500 and (entry := writer.stale_if_error()) is not None:
        request.record.end, request.record.detail = refusal.end, refusal.detail
        return send_stored(request, entry)
    return _refuse(request, refusal)


def _retry(request: RequestContext) -> Outcome:
    """Go on with another connection or another upstream, which the round trip has chosen."""
    request.phase = OPEN_UPSTREAM
    return _RETRY


def _as_reply(trouble: LocalReply | Malformed) -> LocalReply:
    """The reply to a malformed message; a 502 if the upstream has sent it."""
    if isinstance(trouble, LocalReply):
        return trouble
    end = Termination.UPSTREAM_BAD if trouble.status == 502 else Termination.CLIENT_BAD
    return LocalReply(trouble.status, end, trouble.problem)


def _refuse(request: RequestContext, refusal: LocalReply) -> Outcome:
    """Send an error status; tell the requests that wait for this one's fetch."""
    request.record.end, request.record.detail = refusal.end, refusal.detail
    if request.lead is not None:
        request.lead.complete(FlightResult.FAILED, refusal)
    if request.head.form is TargetForm.AUTHORITY and refusal.status != 407:
        request.keep = False  # what follows is meant for the tunnel, and is not a request
    return send_local_reply(request, refusal.status, refusal.detail, refusal.fields + proxy_status(refusal))


def _end(request: RequestContext, ending: Exception) -> Outcome:
    """Cut the request off; or, if an own policy has erred, say it and send a 500 if nothing was sent yet."""
    if isinstance(ending, Aborted):
        return _cut_off(request, ending)
    fault = blamed(ending)
    if fault is None or request.record.status:
        raise ending
    say(fault)
    request.end_upstream()
    detail = f"{fault.key}: {fault.problem}"
    try:
        return _refuse(request, LocalReply(500, Termination.FAULT, detail, fault="proxy_internal_error"))
    except Aborted as aborted:
        return _cut_off(request, aborted)


def _cut_off(request: RequestContext, aborted: Aborted) -> Outcome:
    """Nothing more can be sent to the client."""
    request.end_upstream()
    if request.lead is not None:
        request.lead.complete(FlightResult.FAILED)
        if request.lead.away:
            request.cut_references()
            return Outcome.PARKED
    request.record.end = aborted.end
    request.client.unsent = []
    return Outcome.CLOSE
