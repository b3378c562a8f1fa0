"""The life of a request: read its head, find who answers, answer, say what comes next.

Runs in the worker that owns the client.
"""

from __future__ import annotations

import time
from enum import Enum

from policies.freshness import read_request
from policies.reuse import Use
from policies.routing import Asked, normal_path
from policies.settings import STALE
from realproxy.accesslog import AccessLog
from realproxy.associations import Associations
from realproxy.cache import HIT, cache_key, status_field
from realproxy.client import Arrival, Client, State
from realproxy.exchange import Cut, End, Exchange, Refusal
from realproxy.forwarding import Forwarding, asked_host
from realproxy.front import Front
from realproxy.heads import MOST_PASSAGES, connection_field, own_answer, passages, upstream_request
from realproxy.http1 import Malformed, RequestHead, TargetForm, body_reader, parse_request
from realproxy.max_forwards import final_answer, goes_on
from realproxy.metering import Meter
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

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


class Then(Enum):
    """What becomes of the client's connection."""

    NEXT = "it may carry another request"
    CLOSE = "it is closed"
    LINGER = "it is closed once the client had time to read"
    TUNNEL = "the relay thread owns it"


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
    """

    __slots__ = ("client", "exchange", "head", "keep", "worker")

    def __init__(
        self, client: Client, worker: Worker, exchange: Exchange, head: RequestHead, keep: bool
    ) -> None:
        self.client, self.worker, self.exchange, self.head, self.keep = client, worker, exchange, head, keep


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
        self._metered = site.settings.admin is not None
        self.tunnel_meter = Meter()
        self.refresher = Refresher(site, own)
        self._front: Front
        self._relay: Relay
        self._socks: SocksSide

    def attach(self, front: Front, relay: Relay, associations: Associations) -> None:
        """Say who takes connections that a worker is done with."""
        self._front, self._relay = front, relay
        self._socks = SocksSide(self._own, relay, associations)
        front.handshake = self._handshake

    def serve(self, client: Client, worker: Worker) -> None:
        """Answer what `client` asks, as long as its next request is there already."""
        front = self._front
        if client.socks is not None:
            self._serve_socks(client, client.socks, worker)
            return
        if client.handshaking and not self._secured(client):
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

    def _secured(self, client: Client) -> bool:
        """Go on with a handshake; returns whether a request has arrived behind it."""
        front = self._front
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
        exchange = Exchange(client.address, client.arrived, time.monotonic())
        worker.tally["requests"] += 1
        try:
            head = exchange.head = parse_request(client.take_head())
            head.scheme = client.scheme
            turn = Turn(client, worker, exchange, head, head.keeps_alive and not self._front.draining)
            then = self._dispatch(turn)
        except Malformed as error:
            then = self._unreadable(client, exchange, error)
        except Cut as cut:
            exchange.end = cut.end
            then = Then.CLOSE
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

    def _dispatch(self, turn: Turn) -> Then:
        try:
            return self._side(turn)
        except Refusal as refusal:
            turn.exchange.end, turn.exchange.detail = refusal.end, refusal.detail
            if turn.head.form is TargetForm.AUTHORITY and refusal.status != 407:
                turn.keep = False  # what follows was meant for the tunnel, and is no request to us
            return self._own_answer(turn, refusal.status, refusal.detail, refusal.fields)

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
        return self._reverse(turn)

    # --- the reverse side -----------------------------------------------------------------------

    def _reverse(self, turn: Turn) -> Then:
        site, head, exchange = self._site, turn.head, turn.exchange
        number = exchange.route = site.routes.match(asked_of(head, turn.client.address, turn.client.sni))
        if number is None:
            raise Refusal(404, End.NO_ROUTE, "no route takes this request")
        route = site.settings.route[number]
        if route.to is None:
            return self._own_answer(turn, route.respond or 500, "")
        exchange.service = route.to
        if b"upgrade" in head.fields and (protocols := wanted_protocols(head)):
            return self._upgrade(turn, route.to, protocols)
        recording = None
        if route.cache is not None:
            rules = Rules(route.cache.ttl, route.cache.stale, targeted=True)
            found = self._look_up(turn, route.to, rules)
            if isinstance(found, Stored):
                return self._from_store(turn, found)
            recording = found
        pick = site.services[route.to].start(turn.client.address)
        exchange.upstream = pick.name
        host = head.authority if head.host else pick.name.encode()
        validators = recording.validators if recording is not None else None
        request = upstream_request(head, host, turn.client.address, validators)
        fetch = Fetch(site.pool, self._limits, turn.client, exchange, head, recording, pick.finish)
        return self._fetch(turn, fetch, [pick.address], request, recording)

    def _upgrade(self, turn: Turn, service: str, protocols: list[bytes]) -> Then:
        """Offer the upstream another protocol; if it takes the offer, the relay thread goes on."""
        head, client, exchange = turn.head, turn.client, turn.exchange
        pick = self._site.services[service].start(client.address)
        exchange.upstream = pick.name
        host = head.authority if head.host else pick.name.encode()
        request = offering(upstream_request(head, host, client.address), protocols)
        fetch = UpgradeFetch(self._site.pool, self._limits, client, exchange, head, protocols, pick.finish)
        try:
            return self._fetch(turn, fetch, [pick.address], request, None)
        except Switched as switched:
            client.state = State.TUNNEL
            self._relay.add(client, switched.upstream, exchange, switched.first, pick.finish)
            return Then.TUNNEL

    # --- the forward side -----------------------------------------------------------------------

    def _forward(self, turn: Turn, forward: Forwarding) -> Then:
        recording, head = None, turn.head
        turn.exchange.user = forward.authorise(head)
        forward.admit_name(asked_host(head))
        if forward.settings.cache:
            found = self._look_up(turn, "", FORWARD_RULES)
            if isinstance(found, Stored):
                return self._from_store(turn, found)
            recording = found
        addresses = self._permitted(head, forward)
        turn.exchange.upstream = head.authority.decode()
        validators = recording.validators if recording is not None else None
        request = forward.request(head, turn.client.address, validators)
        fetch = Fetch(self._site.pool, self._limits, turn.client, turn.exchange, head, recording, _nothing)
        return self._fetch(turn, fetch, addresses, request, recording)

    def _tunnel(self, turn: Turn, forward: Forwarding | None) -> Then:
        head, exchange, client = turn.head, turn.exchange, turn.client
        if forward is None or "connect" not in forward.settings.protocols:
            raise Refusal(405, End.REFUSED, "no tunnels here")
        exchange.user = forward.authorise(head)
        if head.framing:
            raise Refusal(400, End.CLIENT_BAD, "CONNECT with a body")
        forward.admit_tunnel(head)
        forward.admit_name(asked_host(head))
        exchange.upstream = head.target.decode()
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
            return forward.addresses(asked_host(head), head.port, self._own)

    # --- answering ------------------------------------------------------------------------------

    def _look_up(self, turn: Turn, service: str, rules: Rules) -> Stored | Recording:
        """The stored answer, or the recording of the one that has to be fetched."""
        head, exchange = turn.head, turn.exchange
        store, key, asked = self._site.store, cache_key(service, head), head.fields.text
        request = read_request(head.method, asked, head.framing != 0)
        use, stored, why = store.lookup(key, request, asked)
        if stored is not None and use is not Use.ASK:
            exchange.cache = HIT if use is Use.FRESH else f"{HIT}; detail={use.name.lower()}"
            if use is Use.BEHIND and head.method == "GET":
                recording = Recording(store, key, head, request, why, rules, stored)
                self.refresher.refresh(key, service, head, turn.client.address, recording)
            return stored
        if request.only_if_cached:
            exchange.cache = "detail=not-cached"
            raise Refusal(504, End.NOT_CACHED, "not stored, and nothing else was wanted")
        exchange.cache = f"fwd={why}"
        return Recording(store, key, head, request, why, rules, stored)

    def _from_store(self, turn: Turn, stored: Stored) -> Then:
        head, exchange = turn.head, turn.exchange
        keep = self._skip_body(turn)
        added = status_field(exchange.cache) + connection_field(head, keep)
        exchange.status, pieces = stored.respond(head, added, time.monotonic())
        turn.client.send(pieces)
        exchange.sent = len(pieces[1]) if len(pieces) > 1 else 0
        return Then.NEXT if keep else Then.LINGER

    def _fetch(
        self, turn: Turn, fetch: Fetch, addresses: list[Address], request: bytes, recording: Recording | None
    ) -> Then:
        """Answer from an upstream, or from the store if it fails."""
        try:
            fetch.run(addresses, request, turn.worker, turn.keep)
        except (Malformed, Refusal) as error:
            refusal = _refusal(error)
            stored = recording.stand_in() if recording is not None and refusal.status >= 500 else None
            if stored is None:
                raise refusal from None
            turn.exchange.end, turn.exchange.detail = refusal.end, refusal.detail
            fetch.send_stored(stored)
        finally:
            turn.keep = fetch.keep
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
        client.send([own_answer(None, error.status, error.problem, keep=False)])
        return Then.LINGER


def _refusal(error: Malformed | Refusal) -> Refusal:
    """What a failed fetch is answered with."""
    if isinstance(error, Refusal):
        return error
    end = End.UPSTREAM_BAD if error.status == 502 else End.CLIENT_BAD
    return Refusal(error.status, end, error.problem)


def _nothing() -> None:
    """No balancer counts requests of the forward side."""
