"""The two sides of the proxy: where a request goes, by its target and the settings.

Runs in the worker that owns the client. The front thread runs it too, for requests whose client is
not `patient`: wherever something might be waited for, the answer is then `Then.WORKER`, and nothing
has been done that a worker may not do again.
"""

from __future__ import annotations

import random
import time
from functools import partial

from policies.provenance import client_of, told_host, told_proto
from policies.settings import STALE, Route
from policies.tracing import follow
from realproxy.cache.writer import Recording, Rules
from realproxy.downstream.connection import State
from realproxy.errors import Cut, End, Refusal
from realproxy.http1 import Malformed, RequestHead, TargetForm
from realproxy.messages.headers import MOST_PASSAGES, passages, upstream_request
from realproxy.messages.max_forwards import goes_on
from realproxy.net.address import Address
from realproxy.proxying.cache_lookup import LookUp
from realproxy.proxying.context import Then, Turn
from realproxy.proxying.faults import Struck, strike
from realproxy.proxying.forward_access import Forwarding, asked_host
from realproxy.proxying.reply import answer_as_last, answer_from_store, answer_oneself
from realproxy.proxying.response import Fetch, Progress
from realproxy.proxying.revalidation import Refresher
from realproxy.proxying.routing import asked_of, goes_forward
from realproxy.proxying.snapshot import Site
from realproxy.tunnel.relay import Relay
from realproxy.upstream.parent_proxy import ParentHop
from realproxy.upstream.round_trip import NextHop
from realproxy.upstream.target import Asking, Straight
from realproxy.upstream.upgrade import Switched, UpgradeHop, offering, wanted_protocols

FORWARD_RULES = Rules(ttl=None, stale=STALE, targeted=False)
"""For what the forward side stores: the origin alone says how long it is fresh."""

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


class Sides:
    """Answers requests, as the routes and the forward side's settings say.

    Parameters
    ----------
    site : Site
        What the settings say.
    own : Address
        Where this proxy listens.
    refresher : Refresher
        Fetches what was used although it is stale.

    Attributes
    ----------
    relay : Relay
        Takes tunnels. Set before the first request.
    """

    relay: Relay

    def __init__(self, site: Site, own: Address, refresher: Refresher) -> None:
        self._site, self._own, self._limits = site, own, site.settings.limits
        self._store = LookUp(site, refresher)
        self._hops, self._traced = site.settings.trusted_hops, site.settings.trace
        self._rng = random.Random()
        # Which fetches the front thread can begin: those without a time limit over all they may wait for.
        self._prompt = site.settings.limits.request_timeout is None

    def answer(self, turn: Turn) -> Then:
        """Find out whether this is for the reverse or the forward side, and answer. RFC 9112, 3.2"""
        forward, head = self._site.forwarding, turn.head
        if b"via" in head.fields and passages(head.fields) >= MOST_PASSAGES:
            raise Refusal(508, End.LOOP, f"this request came through here {MOST_PASSAGES} times")
        if head.form is TargetForm.AUTHORITY:
            turn.exchange.side = "tunnel"
            return self._tunnel(turn, forward)
        elsewhere = head.form is TargetForm.ABSOLUTE and goes_forward(
            head, None if forward is None else forward.settings, head.scheme
        )
        if b"max-forwards" in head.fields and not goes_on(head):
            return answer_as_last(turn, self._limits.head)
        if elsewhere and forward is not None:
            turn.exchange.side = "forward"
            return self._forward(turn, forward)
        self._trace_back(turn)
        return self._reverse(turn)

    def go_on(self, turn: Turn) -> Then:
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
        except (Malformed, Refusal) as error:
            if not _stand_in(turn, fetch, _refusal(error)):
                raise _refusal(error) from None  # kept by no name, which would refer back to this frame
        finally:
            turn.keep = fetch.keep
        if turn.lead is not None and turn.lead.away:
            return Then.AWAY
        if fetch.keep:
            return Then.NEXT
        return Then.CLOSE if fetch.all_read and not client.leaving else Then.LINGER

    def _at_once(self, turn: Turn, fetch: Fetch) -> Then | None:
        """As far as it goes without waiting; None if that is to the end."""
        if fetch.awaited is None:
            return Then.AWAITED if self._ask(turn, fetch) else Then.WORKER
        progress = fetch.answer_at_once()
        if progress is Progress.DONE:
            return None
        return Then.AWAITED if progress is Progress.NOTHING_YET else Then.WORKER

    @staticmethod
    def _ask(turn: Turn, fetch: Fetch) -> bool:
        """Ask without waiting, if one more request may be worked on."""
        places = turn.worker.places
        turn.placed = turn.placed or (places is not None and places.take_one_at_once())
        return turn.placed and fetch.ask_at_once()

    @staticmethod
    def _flush(turn: Turn, fetch: Fetch) -> None:
        """Send what the client did not take at once."""
        try:
            turn.client.flush()
        except Cut:
            fetch.abandon()
            raise

    def _trace_back(self, turn: Turn) -> None:
        """Find out who the client is behind the proxies that are trusted, and which trace this belongs to."""
        head, exchange, field = turn.head, turn.exchange, turn.head.fields.text
        if self._hops:
            exchange.client = client_of(turn.client.address, self._hops, field)
            head.proto, head.origin = told_proto(self._hops, field), told_host(self._hops, field)
        if self._traced:
            exchange.trace, head.traceparent = follow(field, self._rng)

    # --- the reverse side -----------------------------------------------------------------------

    def _reverse(self, turn: Turn) -> Then:
        site, head, exchange = self._site, turn.head, turn.exchange
        number = exchange.route = site.routes.match(asked_of(head, exchange.client, turn.client.sni))
        if number is None:
            raise Refusal(404, End.NO_ROUTE, "no route takes this request")
        route = site.settings.route[number]
        if not route.fault:
            return self._follow(turn, route)
        if not turn.client.patient:
            return Then.WORKER
        try:
            strike(route.fault, Struck(turn.client, exchange, site.waits, site.fault_rng))
            return self._follow(turn, route)
        finally:
            turn.client.shapes.clear()

    def _follow(self, turn: Turn, route: Route) -> Then:
        """Do what a route says."""
        site, head, exchange = self._site, turn.head, turn.exchange
        if route.to is None:
            return answer_oneself(turn, route.respond or 500, "", self._limits.head)
        exchange.service = route.to
        if b"upgrade" in head.fields and (protocols := wanted_protocols(head)):
            return self._upgrade(turn, route.to, protocols)
        if route.cache is not None:
            if not turn.client.patient:
                return self._from_memory(turn, route.to)
            rules = Rules(route.cache.ttl, route.cache.stale, targeted=True)
            found = self._store.find(turn, route.to, rules, route.cache.wait if route.cache.coalesce else 0.0)
            if not isinstance(found, Recording):
                return answer_from_store(turn, found, self._limits.head) if found is not None else Then.AWAY
            turn.recording = found
        service = site.services[route.to]
        if not turn.client.patient and not (self._prompt and service.prompt):
            return Then.WORKER
        recording = turn.recording
        validators, address = recording.validators if recording is not None else None, turn.client.address

        def head_for(upstream: str) -> bytes:  # does not name the turn, which would be a cycle
            host = head.authority if head.host else upstream.encode()
            return upstream_request(head, host, address, validators)

        asking = Asking(service, exchange.client, exchange, head_for, site.waits, turn.client.ends)
        receiver = turn.lead or turn.client
        hop = NextHop(site.pool, self._limits, receiver, exchange, head, asking)
        turn.fetch = Fetch(hop, recording, turn.keep)
        return self.go_on(turn)

    def _from_memory(self, turn: Turn, service: str) -> Then:
        """The stored answer if it can be sent without further ado; this is the front thread."""
        stored = self._store.fresh(turn, service)
        return Then.WORKER if stored is None else answer_from_store(turn, stored, self._limits.head)

    def _upgrade(self, turn: Turn, service: str, protocols: list[bytes]) -> Then:
        """Offer the upstream another protocol; if it takes the offer, the relay thread goes on."""
        site, head, client, exchange = self._site, turn.head, turn.client, turn.exchange

        def head_for(upstream: str) -> bytes:
            host = head.authority if head.host else upstream.encode()
            return offering(upstream_request(head, host, client.address), protocols)

        asking = Asking(site.services[service], exchange.client, exchange, head_for, site.waits, client.ends)
        hop = UpgradeHop(site.pool, self._limits, client, exchange, head, protocols, asking)
        turn.fetch = Fetch(hop, None, turn.keep)
        try:
            return self.go_on(turn)
        except Switched as switched:
            client.state = State.TUNNEL
            done = partial(asking.finished, False)
            self.relay.add(client, switched.upstream, exchange, switched.first, done)
            return Then.TUNNEL

    # --- the forward side -----------------------------------------------------------------------

    def _forward(self, turn: Turn, forward: Forwarding) -> Then:
        head, patient = turn.head, turn.client.patient
        turn.exchange.user = forward.authorise(head)
        forward.admit_name(asked_host(head))
        if forward.settings.cache:
            if not patient:
                return self._from_memory(turn, "")
            wait = forward.settings.wait if forward.settings.coalesce else 0.0
            found = self._store.find(turn, "", FORWARD_RULES, wait)
            if not isinstance(found, Recording):
                return answer_from_store(turn, found, self._limits.head) if found is not None else Then.AWAY
            turn.recording = found
        if not patient and not (self._prompt and forward.is_prompt(asked_host(head))):
            return Then.WORKER
        recording = turn.recording
        addresses = self._permitted(head, forward)
        turn.exchange.upstream = forward.upstream(head.authority.decode())
        validators = recording.validators if recording is not None else None
        way = Straight(addresses, forward.request(head, turn.client.address, validators))
        kind = ParentHop if forward.asks_parent else NextHop
        receiver = turn.lead or turn.client
        hop = kind(self._site.pool, self._limits, receiver, turn.exchange, head, way)
        turn.fetch = Fetch(hop, recording, turn.keep)
        return self.go_on(turn)

    def _tunnel(self, turn: Turn, forward: Forwarding | None) -> Then:
        head, exchange, client = turn.head, turn.exchange, turn.client
        if forward is None or "connect" not in forward.settings.protocols:
            raise Refusal(405, End.REFUSED, "no tunnels here")
        exchange.user = forward.authorise(head)
        if head.framing:
            raise Refusal(400, End.CLIENT_BAD, "CONNECT with a body")
        forward.admit_tunnel(head)
        forward.admit_name(asked_host(head))
        exchange.upstream = forward.upstream(head.target.decode())
        start = time.monotonic()
        with self._site.waits.unknown():
            target, first = forward.open(asked_host(head), head.port, self._own, head)
        exchange.asked = exchange.answered = time.monotonic()
        exchange.connecting = exchange.asked - start
        try:
            client.send([ESTABLISHED])
        except Cut:
            target.close()
            raise
        exchange.status = 200
        client.state = State.TUNNEL
        self.relay.add(client, target, exchange, first)
        return Then.TUNNEL

    def _permitted(self, head: RequestHead, forward: Forwarding) -> list[Address]:
        with self._site.waits.unknown():
            return forward.places(asked_host(head), head.port, self._own)


def _stand_in(turn: Turn, fetch: Fetch, refusal: Refusal) -> bool:
    """Answer from the store in place of an upstream that fails, if that may be."""
    recording = turn.recording
    stored = recording.stand_in() if recording is not None and refusal.status >= 500 else None
    if stored is None:
        return False
    turn.exchange.end, turn.exchange.detail = refusal.end, refusal.detail
    fetch.send_stored(stored)
    return True


def _refusal(error: Malformed | Refusal) -> Refusal:
    """What a failed fetch is answered with."""
    if isinstance(error, Refusal):
        return error
    end = End.UPSTREAM_BAD if error.status == 502 else End.CLIENT_BAD
    return Refusal(error.status, end, error.problem)
