"""The life of a request: read its head, find who answers, answer, say what comes next.

Runs in the worker that owns the client.
"""

from __future__ import annotations

import random
import time
from enum import Enum
from functools import partial

from policies.coalescing import Landing
from policies.coalescing import Turn as Next
from policies.freshness import Request, read_request
from policies.provenance import client_of, told_host, told_proto
from policies.reuse import Use
from policies.routing import Asked, normal_path
from policies.settings import STALE, Route
from policies.tracing import follow
from realproxy.accesslog import AccessLog
from realproxy.asking import Asking, Straight
from realproxy.associations import Associations
from realproxy.cache import HIT, Found, cache_key, described, status_field
from realproxy.client import Arrival, Client, State
from realproxy.exchange import Cut, End, Exchange, Refusal
from realproxy.faults import Struck, strike
from realproxy.filebody import Torn
from realproxy.follower import Follower
from realproxy.following import Following
from realproxy.forwarding import Forwarding, asked_host
from realproxy.front import Front
from realproxy.gathering import Lead
from realproxy.heads import MOST_PASSAGES, connection_field, own_answer, passages, upstream_request
from realproxy.http1 import Malformed, RequestHead, TargetForm, body_reader, parse_request
from realproxy.max_forwards import final_answer, goes_on
from realproxy.metering import Meter
from realproxy.parents import ParentFetch
from realproxy.proxy_status import refused, unreadable
from realproxy.recording import Recording, Rules
from realproxy.refreshing import Refresher
from realproxy.relaying import Fetch
from realproxy.site import Site
from realproxy.socks import Handshake
from realproxy.socks_side import SocksSide
from realproxy.stored import Stored
from realproxy.targets import Address
from realproxy.tunnel import Relay
from realproxy.upgrading import Switched, UpgradeFetch, offering, wanted_protocols
from realproxy.workers import Worker

IN_A_ROW = 32
"""Requests of one connection that are answered before others get their turn."""

FORWARD_RULES = Rules(ttl=None, stale=STALE, targeted=False)
"""For what the forward side stores: the origin alone says how long it is fresh."""

RETRY_SOON = b"Retry-After: 1\r\n"
"""For who is refused because of the load."""

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


class Then(Enum):
    """What becomes of the client's connection."""

    NEXT = "it may carry another request"
    CLOSE = "it is closed"
    LINGER = "it is closed once the client had time to read"
    TUNNEL = "the relay thread owns it"
    AWAY = "the follow thread owns it, or whoever it was given to"


def asked_of(head: RequestHead, client: str, sni: str = "") -> Asked:
    """What routes look at."""
    host = head.host.decode().removeprefix("[").removesuffix("]")
    return Asked(host, normal_path(head.path.decode("latin-1")), head.method, client, head.fields.text, sni)


class Turn:
    """What the phases of one request hand to each other.

    Attributes
    ----------
    client : Client
        Who asks.
    worker : Worker
        Who answers.
    exchange : Exchange
        The record.
    head : RequestHead
        What is asked.
    keep : bool
        Whether the client's connection may live on.
    follower : Follower or None
        What it was while it waited for another's fetch.
    lead : Lead or None
        Those who wait for what it fetches.
    """

    __slots__ = ("client", "exchange", "follower", "head", "keep", "lead", "worker")

    def __init__(
        self, client: Client, worker: Worker, exchange: Exchange, head: RequestHead, keep: bool
    ) -> None:
        self.client, self.worker, self.exchange, self.head, self.keep = client, worker, exchange, head, keep
        self.follower: Follower | None = None
        self.lead: Lead | None = None


class Serving:
    """Answers requests.

    Parameters
    ----------
    site : Site
        What the settings say.
    own : Address
        Where this proxy listens.
    log : AccessLog or None
        Takes every exchange.

    Attributes
    ----------
    retired : bool
        Whether another one has taken over: what is under way is finished, nothing more is begun.
    """

    def __init__(self, site: Site, own: Address, log: AccessLog | None) -> None:
        self._site, self._own, self._log = site, own, log
        self._limits = site.settings.limits
        self.retired = False
        self._hops, self._traced = site.settings.trusted_hops, site.settings.trace
        self._rng = random.Random()
        self._metered = site.settings.admin is not None
        self._explains = site.settings.cache.explain
        self.tunnel_meter, self.follow_meter = Meter(), Meter()
        self.refresher = Refresher(site, own)
        self._front: Front
        self._relay: Relay
        self._socks: SocksSide

    def attach(self, front: Front, relay: Relay, associations: Associations, following: Following) -> None:
        """Say who takes connections that a worker is done with."""
        self._front, self._relay, self._site.gathering.following = front, relay, following
        self._socks = SocksSide(self._own, relay, associations)
        front.handshake = self._handshake

    def serve(self, client: Client, worker: Worker) -> None:
        """Answer what `client` asks, as long as its next request is there already."""
        front = self._front
        if (client.socks is not None or client.handshaking) and not self._opened(client, worker):
            return
        for _ in range(IN_A_ROW):
            then = self._serve_one(client, worker)
            if then is not Then.NEXT:
                self._part(client, then)
                return
            if not self._next_is_there(client):
                return
            client.arrived = time.monotonic()
            if self.retired:
                break
        front.submit(client)

    def shed(self, client: Client, worker: Worker) -> None:
        """Refuse a request because too many wait: say so if that can be said at once, and close."""
        if client.socks is not None or client.handshaking:
            self._front.close(client)
            return
        exchange = Exchange(client.address, client.arrived, time.monotonic())
        worker.tally["requests"] += 1
        too_many = Refusal(503, End.OVERLOADED, "limits.queue: too many requests wait", fields=RETRY_SOON)
        exchange.end, exchange.detail = too_many.end, too_many.detail
        added = too_many.fields + refused(too_many)
        try:
            head = exchange.head = parse_request(client.take_head())
            client.offer(own_answer(head, 503, too_many.detail, keep=False, added=added))
            exchange.status, then = 503, Then.LINGER
        except Malformed as error:
            then = self._unreadable(client, exchange, error)
        except Cut as cut:
            exchange.end, then = cut.end, Then.CLOSE
        self._count(exchange, worker, ended=True)
        self._part(client, then)

    def _part(self, client: Client, then: Then) -> None:
        if then is Then.CLOSE:
            self._front.close(client)
        elif then is Then.LINGER:
            self._front.linger(client)

    def _next_is_there(self, client: Client) -> bool:
        """Whether another head is there already; if not, the front has the client."""
        arrival = client.look() if client.buffer else Arrival.PART
        if arrival is Arrival.PART:
            arrival = client.read()
        if arrival is Arrival.HEAD:
            return True
        if arrival is Arrival.PART:
            self._front.resume(client)
        else:
            self._front.close(client)
        return False

    def _opened(self, client: Client, worker: Worker) -> bool:
        """Go on with what is not HTTP; returns whether a request has arrived behind it."""
        front = self._front
        if client.socks is not None:
            self._serve_socks(client, client.socks, worker)
            return False
        arrival = client.handshake()
        if arrival is Arrival.HEAD:
            client.arrived = time.monotonic()
            return True
        if arrival is Arrival.END or (client.handshaking and front.draining):
            front.close(client)
        elif client.handshaking:
            front.await_more(client)
        else:
            front.resume(client)
        return False

    def follower_ended(self, exchange: Exchange) -> None:
        """Log and count an answer of the follow thread; called by that thread only."""
        if self._metered:
            self.follow_meter.record(exchange)
        self.log(exchange)

    def tunnel_ended(self, exchange: Exchange) -> None:
        """Log and count a tunnel; called by the relay thread only."""
        if self._metered:
            self.tunnel_meter.record(exchange)
        self.log(exchange)

    def log(self, exchange: Exchange) -> None:
        """Write an exchange into the log."""
        if self._log is not None:
            self._log.write(exchange)

    # --- one request ----------------------------------------------------------------------------

    def _serve_one(self, client: Client, worker: Worker) -> Then:
        if client.follower is not None:
            exchange = client.follower.exchange
        else:
            exchange = Exchange(client.address, client.arrived, time.monotonic())
            worker.tally["requests"] += 1
        try:
            then = self._dispatch(self._turn(client, worker, exchange))
        except Malformed as error:
            then = self._unreadable(client, exchange, error)
        except Cut as cut:
            exchange.end = cut.end
            then = Then.CLOSE
        if then is Then.AWAY:
            return then
        self._count(exchange, worker, ended=then is not Then.TUNNEL)
        return then

    def _serve_socks(self, client: Client, shake: Handshake, worker: Worker) -> None:
        exchange = Exchange(client.address, client.arrived, time.monotonic())
        worker.tally["requests"] += 1
        taken = self._socks.answer(client, shake, exchange, self._site)
        self._count(exchange, worker, ended=not taken)
        if not taken:
            self._front.linger(client)

    def _handshake(self) -> Handshake | None:
        forwarding = self._site.forwarding
        return forwarding.handshake() if forwarding is not None else None

    def _count(self, exchange: Exchange, worker: Worker, *, ended: bool) -> None:
        """Count an exchange, and log it unless the relay thread does so when it has ended."""
        exchange.ended = time.monotonic()
        worker.tally[exchange.end] += 1
        worker.tally[str(exchange.status)] += 1
        if ended:
            if self._metered:
                worker.meter.record(exchange)
            self.log(exchange)

    def _turn(self, client: Client, worker: Worker, exchange: Exchange) -> Turn:
        follower = client.follower
        if follower is None:
            head = exchange.head = parse_request(client.take_head())
            head.scheme = client.scheme
            return Turn(client, worker, exchange, head, head.keeps_alive and not self._front.draining)
        client.follower = None
        turn = Turn(client, worker, exchange, follower.head, follower.keep)
        turn.follower, turn.lead = follower, follower.gathering.lead(follower)
        return turn

    def _dispatch(self, turn: Turn) -> Then:
        try:
            return self._side(turn)
        except Refusal as refusal:
            turn.exchange.end, turn.exchange.detail = refusal.end, refusal.detail
            if turn.lead is not None:
                turn.lead.land(Landing.FAILED, refusal)
            if turn.head.form is TargetForm.AUTHORITY and refusal.status != 407:
                turn.keep = False  # what follows was meant for the tunnel, and is no request to us
            return self._own_answer(turn, refusal.status, refusal.detail, refusal.fields + refused(refusal))
        except Cut:
            if turn.lead is not None and turn.lead.away:
                return Then.AWAY
            raise
        finally:
            if turn.lead is not None:
                turn.lead.land(Landing.FAILED)

    def _side(self, turn: Turn) -> Then:
        """Find out whether this is for the reverse or the forward side. RFC 9112, 3.2"""
        forward, head = self._site.forwarding, turn.head
        if head.form is TargetForm.AUTHORITY:
            turn.exchange.side = "tunnel"
            return self._tunnel(turn, forward)
        if b"via" in head.fields and passages(head.fields) >= MOST_PASSAGES:
            raise Refusal(508, End.LOOP, f"this request came through here {MOST_PASSAGES} times")
        if b"max-forwards" in head.fields and not goes_on(head):
            return self._final_recipient(turn)
        if head.form is TargetForm.ABSOLUTE and forward is not None and "http" in forward.settings.protocols:
            turn.exchange.side = "forward"
            return self._forward(turn, forward)
        self._trace_back(turn)
        return self._reverse(turn)

    def _trace_back(self, turn: Turn) -> None:
        """Find out who the client is behind the proxies that are trusted, and which trace this belongs to."""
        head, exchange, field = turn.head, turn.exchange, turn.head.fields.text
        if self._hops:
            exchange.client = client_of(exchange.client, self._hops, field)
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
        try:
            strike(route.fault, Struck(turn.client, exchange, site.waits, site.fault_rng))
            return self._follow(turn, route)
        finally:
            turn.client.shapes.clear()

    def _follow(self, turn: Turn, route: Route) -> Then:
        """Do what a route says."""
        site, head, exchange = self._site, turn.head, turn.exchange
        if route.to is None:
            return self._own_answer(turn, route.respond or 500, "")
        exchange.service = route.to
        if b"upgrade" in head.fields and (protocols := wanted_protocols(head)):
            return self._upgrade(turn, route.to, protocols)
        recording = None
        if route.cache is not None:
            rules = Rules(route.cache.ttl, route.cache.stale, targeted=True)
            found = self._look_up(turn, route.to, rules, route.cache.wait if route.cache.coalesce else 0.0)
            if not isinstance(found, Recording):
                return self._from_store(turn, found) if found is not None else Then.AWAY
            recording = found
        validators = recording.validators if recording is not None else None

        def head_for(upstream: str) -> bytes:
            host = head.authority if head.host else upstream.encode()
            return upstream_request(head, host, turn.client.address, validators)

        asking = Asking(
            site.services[route.to], exchange.client, exchange, head_for, site.waits, turn.client.ends
        )
        fetch = Fetch(site.pool, self._limits, turn.lead or turn.client, exchange, head, recording, asking)
        return self._fetch(turn, fetch, recording)

    def _upgrade(self, turn: Turn, service: str, protocols: list[bytes]) -> Then:
        """Offer the upstream another protocol; if it takes the offer, the relay thread goes on."""
        site, head, client, exchange = self._site, turn.head, turn.client, turn.exchange

        def head_for(upstream: str) -> bytes:
            host = head.authority if head.host else upstream.encode()
            return offering(upstream_request(head, host, client.address), protocols)

        asking = Asking(site.services[service], exchange.client, exchange, head_for, site.waits, client.ends)
        fetch = UpgradeFetch(site.pool, self._limits, client, exchange, head, protocols, asking)
        try:
            return self._fetch(turn, fetch, None)
        except Switched as switched:
            client.state = State.TUNNEL
            done = partial(asking.finished, False)
            self._relay.add(client, switched.upstream, exchange, switched.first, done)
            return Then.TUNNEL

    # --- the forward side -----------------------------------------------------------------------

    def _forward(self, turn: Turn, forward: Forwarding) -> Then:
        recording, head = None, turn.head
        turn.exchange.user = forward.authorise(head)
        forward.admit_name(asked_host(head))
        if forward.settings.cache:
            wait = forward.settings.wait if forward.settings.coalesce else 0.0
            found = self._look_up(turn, "", FORWARD_RULES, wait)
            if not isinstance(found, Recording):
                return self._from_store(turn, found) if found is not None else Then.AWAY
            recording = found
        addresses = self._permitted(head, forward)
        turn.exchange.upstream = forward.upstream(head.authority.decode())
        validators = recording.validators if recording is not None else None
        request = forward.request(head, turn.client.address, validators)
        receiver = turn.lead or turn.client
        way = Straight(addresses, request)
        kind = ParentFetch if forward.asks_parent else Fetch
        fetch = kind(self._site.pool, self._limits, receiver, turn.exchange, head, recording, way)
        return self._fetch(turn, fetch, recording)

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
            target, first = forward.open(asked_host(head), head.port, self._own)
        exchange.asked = exchange.answered = time.monotonic()
        exchange.connecting = exchange.asked - start
        try:
            client.send([ESTABLISHED])
        except Cut:
            target.close()
            raise
        exchange.status = 200
        client.state = State.TUNNEL
        self._relay.add(client, target, exchange, first)
        return Then.TUNNEL

    def _permitted(self, head: RequestHead, forward: Forwarding) -> list[Address]:
        with self._site.waits.unknown():
            return forward.places(asked_host(head), head.port, self._own)

    # --- answering ------------------------------------------------------------------------------

    def _look_up(self, turn: Turn, service: str, rules: Rules, wait: float) -> Stored | Recording | None:
        """The stored answer, or the recording of the one that has to be fetched; None if it waits for one.

        Parameters
        ----------
        turn : Turn
        service : str
            Of the reverse side; empty for the forward side.
        rules : Rules
            From the settings.
        wait : float
            Seconds for which it may wait for another's fetch.
        """
        head, store = turn.head, self._site.store
        key, asked = cache_key(service, head), head.fields.text
        request = read_request(head.method, asked, head.framing != 0)
        found = store.lookup(key, request, asked)
        if store.disk is not None and found.use is Use.ASK and found.stored is None:
            found = store.recall(key, request, asked) or found
        recording = None
        if found.use is Use.ASK:
            if request.only_if_cached:
                turn.exchange.cache = "detail=not-cached"
                raise Refusal(504, End.NOT_CACHED, "not stored, and nothing else was wanted")
            turn.exchange.cache = f"fwd={found.why}"
            recording = Recording(store, key, head, request, found.why, rules, found.stored)
            recording.gathering, recording.explains = self._site.gathering, self._explains
            if not wait:
                return recording
            gathered = self._gather(turn, key, request, recording, wait)
            if not isinstance(gathered, Found):
                return gathered
            found = gathered
        return self._hit(turn, key, service, request, rules, found)

    def _hit(
        self, turn: Turn, key: bytes, service: str, request: Request, rules: Rules, found: Found
    ) -> Stored | None:
        head, use, stored = turn.head, found.use, found.stored
        if turn.lead is not None:
            turn.lead.land(Landing.SHARED)
        turn.exchange.cache = HIT if use is Use.FRESH else f"{HIT}; detail={use.name.lower()}"
        if self._explains and stored is not None:
            left = stored.answer.lifetime - stored.age(time.monotonic())
            turn.exchange.cache = described(turn.exchange.cache, key, left)
        if use is Use.BEHIND and head.method == "GET":
            recording = Recording(self._site.store, key, head, request, found.why, rules, stored)
            self.refresher.refresh(key, service, head, turn.client.address, recording)
        return stored

    def _gather(
        self, turn: Turn, key: bytes, request: Request, recording: Recording, wait: float
    ) -> Found | Stored | Recording | None:
        """Whether a request that must be fetched waits for another's fetch, or is what others wait for."""
        head, follower = turn.head, turn.follower
        if head.method != "GET" or request.forward is not None:
            return recording
        if follower is None:
            until = time.monotonic() + wait
            gathering = self._site.gathering
            follower = Follower(gathering, turn.client, turn.exchange, head, turn.keep, key, request, until)
        elif follower.failures and (stored := recording.stand_in()) is not None:
            turn.exchange.cache = recording.outcome
            return stored
        if follower.turn is Next.FAIL and follower.refusal is not None:
            raise follower.refusal
        if turn.lead is None and follower.turn is Next.WAIT and time.monotonic() < follower.until:
            found = follower.gathering.enlist(follower)
            if isinstance(found, Found):
                return found
            if found is Next.WAIT:
                return None
            turn.lead = found if isinstance(found, Lead) else None
        recording.lead = turn.lead
        return recording

    def _from_store(self, turn: Turn, stored: Stored) -> Then:
        head, exchange = turn.head, turn.exchange
        keep = self._skip_body(turn)
        added = status_field(exchange.cache) + connection_field(head, keep)
        if stored.file is not None:
            self._from_file(turn, stored, added)
            return Then.NEXT if keep else Then.LINGER
        exchange.status, pieces = stored.respond(head, added, time.monotonic())
        turn.client.send(pieces)
        exchange.sent = len(pieces[1]) if len(pieces) > 1 else 0
        return Then.NEXT if keep else Then.LINGER

    def _from_file(self, turn: Turn, stored: Stored, added: bytes) -> None:
        """Send a body that is on disk, a chunk at a time."""
        exchange = turn.exchange
        try:
            exchange.status, start, body = stored.respond_from_file(turn.head, added, time.monotonic())
            turn.client.send([start])
            while body is not None and exchange.sent < len(body):
                exchange.sent += turn.client.send([body.read(exchange.sent)])
        except (Torn, OSError):
            raise Cut(End.UPSTREAM_BROKEN) from None
        finally:
            stored.release()

    def _fetch(self, turn: Turn, fetch: Fetch, recording: Recording | None) -> Then:
        """Answer from an upstream, or from the store if it fails."""
        try:
            fetch.run(turn.worker, turn.keep)
        except (Malformed, Refusal) as error:
            refusal = _refusal(error)
            stored = recording.stand_in() if recording is not None and refusal.status >= 500 else None
            if stored is None:
                raise refusal from None
            turn.exchange.end, turn.exchange.detail = refusal.end, refusal.detail
            fetch.send_stored(stored)
        finally:
            turn.keep = fetch.keep
        if turn.lead is not None and turn.lead.away:
            return Then.AWAY
        if fetch.keep:
            return Then.NEXT
        return Then.CLOSE if fetch.all_read else Then.LINGER

    def _own_answer(self, turn: Turn, status: int, detail: str, fields: bytes = b"") -> Then:
        """Answer with a status of the proxy's own."""
        exchange = turn.exchange
        keep = self._skip_body(turn)
        exchange.status = status
        added = status_field(exchange.cache) if exchange.cache else b""
        answer = own_answer(turn.head, status, detail, keep, added + fields)
        turn.client.send([answer])
        return Then.NEXT if keep else Then.LINGER

    def _final_recipient(self, turn: Turn) -> Then:
        """Answer what may go no further."""
        keep = self._skip_body(turn)
        turn.exchange.status = 200
        turn.client.send([final_answer(turn.head, keep)])
        return Then.NEXT if keep else Then.LINGER

    def _skip_body(self, turn: Turn) -> bool:
        """Drop the body of a request that is not passed on.

        Returns
        -------
        bool
            Whether the connection can live on: what has not arrived yet is not waited for.
        """
        if turn.head.framing == 0 or not turn.keep:
            return turn.keep
        reader = body_reader(turn.head.framing, self._limits.head)
        try:
            reader.feed(turn.client.buffer)
        except Malformed:
            return False
        turn.client.buffer = reader.rest
        return reader.done

    def _unreadable(self, client: Client, exchange: Exchange, error: Malformed) -> Then:
        """Answer a head that must be refused."""
        exchange.end = End.CLIENT_SLOW if error.status == 408 else End.CLIENT_BAD
        exchange.status = error.status
        added = unreadable(error.problem)
        client.send([own_answer(None, error.status, error.problem, keep=False, added=added)])
        return Then.LINGER


def _refusal(error: Malformed | Refusal) -> Refusal:
    """What a failed fetch is answered with."""
    if isinstance(error, Refusal):
        return error
    end = End.UPSTREAM_BAD if error.status == 502 else End.CLIENT_BAD
    return Refusal(error.status, end, error.problem)
