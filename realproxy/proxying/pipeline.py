"""The two sides of the proxy: where a request goes, by its target and the settings.

Runs in the worker that owns the client. The front thread runs it too, for requests whose client is
not `patient`: wherever something might be waited for, the answer is then `Outcome.WORKER`, and nothing
has been done that a worker may not do again.
"""

from __future__ import annotations

import random
import time
from functools import partial

from policies.reverse.forwarded import client_of, told_host, told_proto
from policies.reverse.trace_context import follow
from policies.settings import STALE, Route
from realproxy.cache.writer import CacheRules, CacheWriter
from realproxy.downstream.connection import State
from realproxy.errors import Aborted, LocalReply, Termination
from realproxy.http1 import Malformed, RequestHead, TargetForm
from realproxy.messages.headers import MOST_PASSAGES, upstream_request, via_count
from realproxy.messages.max_forwards import decrement
from realproxy.net.address import Address
from realproxy.proxying.cache_lookup import CachePhase
from realproxy.proxying.context import Outcome, RequestContext
from realproxy.proxying.faults import FaultTarget, inject
from realproxy.proxying.forward_access import ForwardAccess, asked_host
from realproxy.proxying.reply import answer_as_last, send_cached, send_local_reply
from realproxy.proxying.response import ReadProgress, ResponseForwarder
from realproxy.proxying.revalidation import BackgroundRevalidation
from realproxy.proxying.routing import asked_of, goes_forward
from realproxy.proxying.snapshot import ConfigSnapshot
from realproxy.tunnel.relay import TunnelRelay
from realproxy.upstream.parent_proxy import ParentRoundTrip
from realproxy.upstream.round_trip import RoundTrip
from realproxy.upstream.target import FixedTarget, ServiceTarget
from realproxy.upstream.upgrade import Switched, UpgradeRoundTrip, offering, wanted_protocols

FORWARD_RULES = CacheRules(ttl=None, stale=STALE, targeted=False)
"""For what the forward side stores: the origin alone says how long it is fresh."""

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


class Pipeline:
    """Answers requests, as the routes and the forward side's settings say.

    Parameters
    ----------
    site : ConfigSnapshot
        What the settings say.
    own : Address
        Where this proxy listens.
    refresher : BackgroundRevalidation
        Fetches what was used although it is stale.

    Attributes
    ----------
    relay : TunnelRelay
        Takes tunnels. Set before the first request.
    """

    relay: TunnelRelay

    def __init__(self, site: ConfigSnapshot, own: Address, refresher: BackgroundRevalidation) -> None:
        self._site, self._own, self._limits = site, own, site.settings.limits
        self._store = CachePhase(site, refresher)
        self._hops, self._traced = site.settings.trusted_hops, site.settings.trace
        self._rng = random.Random()
        # Which fetches the front thread can begin: those without a time limit over all they may wait for.
        self._prompt = site.settings.limits.request_timeout is None

    def answer(self, turn: RequestContext) -> Outcome:
        """Find out whether this is for the reverse or the forward side, and answer. RFC 9112, 3.2"""
        forward, head = self._site.forwarding, turn.head
        if b"via" in head.fields and via_count(head.fields) >= MOST_PASSAGES:
            raise LocalReply(508, Termination.LOOP, f"this request came through here {MOST_PASSAGES} times")
        if head.form is TargetForm.AUTHORITY:
            turn.exchange.side = "tunnel"
            return self._tunnel(turn, forward)
        elsewhere = head.form is TargetForm.ABSOLUTE and goes_forward(
            head, None if forward is None else forward.settings, head.scheme
        )
        if b"max-forwards" in head.fields and not decrement(head):
            return answer_as_last(turn, self._limits.head)
        if elsewhere and forward is not None:
            turn.exchange.side = "forward"
            return self._forward(turn, forward)
        self._trace_back(turn)
        return self._reverse(turn)

    def go_on(self, turn: RequestContext) -> Outcome:
        """Answer from an upstream, as far as the client has patience, or from the store if it fails."""
        fetch, client = turn.fetch, turn.client
        assert fetch is not None
        try:
            if not client.patient:
                then = self._at_once(turn, fetch)
                if then is not None:
                    return then
            else:
                self._flush(turn, fetch)
                fetch.run(turn.worker)
        except (Malformed, LocalReply) as error:
            if not _stand_in(turn, fetch, _refusal(error)):
                raise _refusal(error) from None  # kept by no name, which would refer back to this frame
        finally:
            turn.keep = fetch.keep
        if turn.lead is not None and turn.lead.away:
            return Outcome.AWAY
        if fetch.keep:
            return Outcome.NEXT
        return Outcome.CLOSE if fetch.all_read and not client.leaving else Outcome.LINGER

    def _at_once(self, turn: RequestContext, fetch: ResponseForwarder) -> Outcome | None:
        """As far as it goes without waiting; None if that is to the end."""
        if fetch.awaited is None:
            return Outcome.AWAITED if self._ask(turn, fetch) else Outcome.WORKER
        progress = fetch.answer_at_once()
        if progress is ReadProgress.DONE:
            return None
        return Outcome.AWAITED if progress is ReadProgress.NOTHING_YET else Outcome.WORKER

    @staticmethod
    def _ask(turn: RequestContext, fetch: ResponseForwarder) -> bool:
        """Ask without waiting, if one more request may be worked on."""
        places = turn.worker.places
        turn.placed = turn.placed or (places is not None and places.try_acquire())
        return turn.placed and fetch.ask_at_once()

    @staticmethod
    def _flush(turn: RequestContext, fetch: ResponseForwarder) -> None:
        """Send what the client did not take at once."""
        try:
            turn.client.flush()
        except Aborted:
            fetch.abandon()
            raise

    def _trace_back(self, turn: RequestContext) -> None:
        """Find out who the client is behind the proxies that are trusted, and which trace this belongs to."""
        head, exchange, field = turn.head, turn.exchange, turn.head.fields.text
        if self._hops:
            exchange.client = client_of(turn.client.address, self._hops, field)
            head.proto, head.origin = told_proto(self._hops, field), told_host(self._hops, field)
        if self._traced:
            exchange.trace, head.traceparent = follow(field, self._rng)

    # --- the reverse side -----------------------------------------------------------------------

    def _reverse(self, turn: RequestContext) -> Outcome:
        site, head, exchange = self._site, turn.head, turn.exchange
        number = exchange.route = site.routes.match(asked_of(head, exchange.client, turn.client.sni))
        if number is None:
            raise LocalReply(404, Termination.NO_ROUTE, "no route takes this request")
        route = site.settings.route[number]
        if not route.fault:
            return self._follow(turn, route)
        if not turn.client.patient:
            return Outcome.WORKER
        try:
            inject(route.fault, FaultTarget(turn.client, exchange, site.waits, site.fault_rng))
            return self._follow(turn, route)
        finally:
            turn.client.shapes.clear()

    def _follow(self, turn: RequestContext, route: Route) -> Outcome:
        """Do what a route says."""
        site, head, exchange = self._site, turn.head, turn.exchange
        if route.to is None:
            return send_local_reply(turn, route.respond or 500, "", self._limits.head)
        exchange.service = route.to
        if b"upgrade" in head.fields and (protocols := wanted_protocols(head)):
            return self._upgrade(turn, route.to, protocols)
        if route.cache is not None:
            if not turn.client.patient:
                return self._from_memory(turn, route.to)
            rules = CacheRules(route.cache.ttl, route.cache.stale, targeted=True)
            found = self._store.find(turn, route.to, rules, route.cache.wait if route.cache.coalesce else 0.0)
            if not isinstance(found, CacheWriter):
                return send_cached(turn, found, self._limits.head) if found is not None else Outcome.AWAY
            turn.recording = found
        service = site.services[route.to]
        if not turn.client.patient and not (self._prompt and service.prompt):
            return Outcome.WORKER
        recording = turn.recording
        validators, address = recording.validators if recording is not None else None, turn.client.address

        def head_for(upstream: str) -> bytes:  # does not name the turn, which would be a cycle
            host = head.authority if head.host else upstream.encode()
            return upstream_request(head, host, address, validators)

        asking = ServiceTarget(service, exchange.client, exchange, head_for, site.waits, turn.client.ends)
        receiver = turn.lead or turn.client
        hop = RoundTrip(site.pool, self._limits, receiver, exchange, head, asking)
        turn.fetch = ResponseForwarder(hop, recording, turn.keep)
        return self.go_on(turn)

    def _from_memory(self, turn: RequestContext, service: str) -> Outcome:
        """The stored answer if it can be sent without further ado; this is the front thread."""
        stored = self._store.fresh(turn, service)
        return Outcome.WORKER if stored is None else send_cached(turn, stored, self._limits.head)

    def _upgrade(self, turn: RequestContext, service: str, protocols: list[bytes]) -> Outcome:
        """Offer the upstream another protocol; if it takes the offer, the relay thread goes on."""
        site, head, client, exchange = self._site, turn.head, turn.client, turn.exchange

        def head_for(upstream: str) -> bytes:
            host = head.authority if head.host else upstream.encode()
            return offering(upstream_request(head, host, client.address), protocols)

        asking = ServiceTarget(
            site.services[service], exchange.client, exchange, head_for, site.waits, client.ends
        )
        hop = UpgradeRoundTrip(site.pool, self._limits, client, exchange, head, protocols, asking)
        turn.fetch = ResponseForwarder(hop, None, turn.keep)
        try:
            return self.go_on(turn)
        except Switched as switched:
            client.state = State.TUNNEL
            done = partial(asking.finished, False)
            self.relay.add(client, switched.upstream, exchange, switched.first, done)
            return Outcome.TUNNEL

    # --- the forward side -----------------------------------------------------------------------

    def _forward(self, turn: RequestContext, forward: ForwardAccess) -> Outcome:
        head, patient = turn.head, turn.client.patient
        turn.exchange.user = forward.authorise(head)
        forward.admit_name(asked_host(head))
        if forward.settings.cache:
            if not patient:
                return self._from_memory(turn, "")
            wait = forward.settings.wait if forward.settings.coalesce else 0.0
            found = self._store.find(turn, "", FORWARD_RULES, wait)
            if not isinstance(found, CacheWriter):
                return send_cached(turn, found, self._limits.head) if found is not None else Outcome.AWAY
            turn.recording = found
        if not patient and not (self._prompt and forward.is_prompt(asked_host(head))):
            return Outcome.WORKER
        recording = turn.recording
        addresses = self._permitted(head, forward)
        turn.exchange.upstream = forward.upstream(head.authority.decode())
        validators = recording.validators if recording is not None else None
        way = FixedTarget(addresses, forward.request(head, turn.client.address, validators))
        kind = ParentRoundTrip if forward.asks_parent else RoundTrip
        receiver = turn.lead or turn.client
        hop = kind(self._site.pool, self._limits, receiver, turn.exchange, head, way)
        turn.fetch = ResponseForwarder(hop, recording, turn.keep)
        return self.go_on(turn)

    def _tunnel(self, turn: RequestContext, forward: ForwardAccess | None) -> Outcome:
        head, exchange, client = turn.head, turn.exchange, turn.client
        if forward is None or "connect" not in forward.settings.protocols:
            raise LocalReply(405, Termination.REFUSED, "no tunnels here")
        exchange.user = forward.authorise(head)
        if head.framing:
            raise LocalReply(400, Termination.CLIENT_BAD, "CONNECT with a body")
        forward.admit_tunnel(head)
        forward.admit_name(asked_host(head))
        exchange.upstream = forward.upstream(head.target.decode())
        start = time.monotonic()
        with self._site.waits.blocking():
            target, first = forward.open(asked_host(head), head.port, self._own, head)
        exchange.asked = exchange.answered = time.monotonic()
        exchange.connecting = exchange.asked - start
        try:
            client.send([ESTABLISHED])
        except Aborted:
            target.close()
            raise
        exchange.status = 200
        client.state = State.TUNNEL
        self.relay.add(client, target, exchange, first)
        return Outcome.TUNNEL

    def _permitted(self, head: RequestHead, forward: ForwardAccess) -> list[Address]:
        with self._site.waits.blocking():
            return forward.places(asked_host(head), head.port, self._own)


def _stand_in(turn: RequestContext, fetch: ResponseForwarder, refusal: LocalReply) -> bool:
    """Answer from the store in place of an upstream that fails, if that may be."""
    recording = turn.recording
    stored = recording.stand_in() if recording is not None and refusal.status >= 500 else None
    if stored is None:
        return False
    turn.exchange.end, turn.exchange.detail = refusal.end, refusal.detail
    fetch.send_stored(stored)
    return True


def _refusal(error: Malformed | LocalReply) -> LocalReply:
    """What a failed fetch is answered with."""
    if isinstance(error, LocalReply):
        return error
    end = Termination.UPSTREAM_BAD if error.status == 502 else Termination.CLIENT_BAD
    return LocalReply(error.status, end, error.problem)
