"""The life of a request: read its head, have it answered, say what comes next.

Runs in the worker that owns the client. The front thread begins with requests that may need no
worker (`begin`, `go_on`); such a `Turn` is in `under_way`, a set that is changed by single
operations only, until it has ended, here or in a worker.
"""

from __future__ import annotations

import time

from policies.coalescing import Landing
from realproxy.cache.collapse import gathering_of
from realproxy.cache.fanout import Following
from realproxy.cache.shared_response import Follower
from realproxy.downstream.connection import Arrival, Client
from realproxy.errors import Cut, End, Refusal
from realproxy.http1 import Malformed, TargetForm, parse_request
from realproxy.messages.local_reply import own_answer
from realproxy.messages.proxy_status import refused
from realproxy.messages.record import Exchange
from realproxy.net.address import Address
from realproxy.observe.access_log import AccessLog
from realproxy.observe.metrics import Meter
from realproxy.proxying.context import Then, Turn
from realproxy.proxying.pipeline import Sides
from realproxy.proxying.reply import answer_oneself, answer_unreadable, unreadable_answer
from realproxy.proxying.revalidation import Refresher
from realproxy.proxying.snapshot import Site
from realproxy.proxying.socks import SocksSide
from realproxy.proxying.worker import Worker
from realproxy.server.connection_loop import Front
from realproxy.socks import Handshake
from realproxy.tunnel.relay import Relay
from realproxy.tunnel.udp_associate import Associations

IN_A_ROW = 32
"""Requests of one connection that are answered before others get their turn."""

RETRY_SOON = b"Retry-After: 1\r\n"
"""For who is refused because of the load."""

_FOR_WORKERS = frozenset({b"upgrade", b"expect", b"max-forwards"})
"""Fields of requests that the front thread leaves to workers."""


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
    under_way : set of Turn
        What the front thread has begun with and is not over.
    """

    def __init__(self, site: Site, own: Address, log: AccessLog | None) -> None:
        self._site, self._own, self._log = site, own, log
        self._head_limit = site.settings.limits.head
        self.retired = False
        self.under_way: set[Turn] = set()
        self._metered = site.settings.admin is not None
        self.tunnel_meter, self.follow_meter = Meter(), Meter()
        self.refresher = Refresher(site, own)
        self._sides = Sides(site, own, self.refresher)
        self._front: Front
        self._socks: SocksSide

    def attach(self, front: Front, relay: Relay, associations: Associations, following: Following) -> None:
        """Say who takes connections that a worker is done with."""
        self._front, self._sides.relay, self._site.gathering.following = front, relay, following
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
        too_many = Refusal(503, End.OVERLOADED, "limits.queue: too many requests wait", fields=RETRY_SOON)
        turn, client.suspended = client.suspended, None
        if isinstance(turn, Turn):
            turn.serving.under_way.discard(turn)
            exchange = turn.exchange
        else:
            exchange = Exchange(client.address, client.arrived, time.monotonic())
            worker.tally["requests"] += 1
        exchange.end, exchange.detail = too_many.end, too_many.detail
        added = too_many.fields + refused(too_many)
        try:
            try:
                head = exchange.head = exchange.head or parse_request(client.take_head())
            except Malformed as error:
                answer = unreadable_answer(exchange, error)
            else:
                answer = own_answer(head, 503, too_many.detail, keep=False, added=added)
                exchange.status = 503
            client.offer(answer)
            then = Then.LINGER
        except Cut as cut:
            exchange.status, exchange.end, then = 0, cut.end, Then.CLOSE
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
        if arrival is Arrival.PART and not client.is_simple:
            arrival = client.read()  # for the front would only hand it back
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

    def at_once(self, client: Client, worker: Worker) -> Then:
        """Do what needs no waiting, of a request whose head has arrived or whose upstream has said something.

        Called by the front thread, for a client that is not `patient`.

        Returns
        -------
        Then
            ``AWAITED`` if it is to be called again when the upstream has something to say, ``WORKER``
            if a worker has to go on, with `serve`.
        """
        turn = client.suspended
        if isinstance(turn, Turn):
            return self._settle(turn)
        exchange = Exchange(client.address, client.arrived, time.monotonic())
        try:
            head = exchange.head = parse_request(client.take_head())
        except Malformed as error:
            client.trouble = error
            return Then.WORKER
        worker.tally["requests"] += 1
        client.suspended = turn = self._new_turn(client, worker, exchange)
        waits = head.framing or head.form is TargetForm.AUTHORITY
        if waits or not _FOR_WORKERS.isdisjoint(head.fields.names):
            return Then.WORKER
        return self._settle(turn)

    def _serve_one(self, client: Client, worker: Worker) -> Then:
        suspended, client.suspended = client.suspended, None
        if isinstance(suspended, Turn):
            suspended.worker = worker
            return self._settle(suspended)
        if isinstance(suspended, Follower):
            return self._settle(self._asked_again(suspended, worker))
        exchange = Exchange(client.address, client.arrived, time.monotonic())
        worker.tally["requests"] += 1
        try:
            exchange.head = parse_request(client.take_head())
            turn = self._new_turn(client, worker, exchange)
        except Malformed as error:
            then = self._unreadable(client, exchange, error)
            self._count(exchange, worker, ended=True)
            return then
        return self._settle(turn)

    def _settle(self, turn: Turn) -> Then:
        """Have a request answered, and count it if that is all."""
        client, exchange = turn.client, turn.exchange
        try:
            then = self._dispatch(turn)
        except Malformed as error:
            then = self._unreadable(client, exchange, error)
        except Cut as cut:
            then = _cut_off(client, exchange, cut)
        if then is Then.AWAITED or then is Then.WORKER:
            return then
        if client.unsent:
            turn.then = then
            return Then.WORKER
        self.under_way.discard(turn)
        turn.fetch = None  # they refer to each other: nothing is to be left to the garbage collector
        if then is Then.AWAY:
            return then
        self._count(exchange, turn.worker, ended=then is not Then.TUNNEL)
        return then

    @staticmethod
    def _unreadable(client: Client, exchange: Exchange, error: Malformed) -> Then:
        try:
            return answer_unreadable(client, exchange, error)
        except Cut as cut:
            return _cut_off(client, exchange, cut)

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

    def _asked_again(self, follower: Follower, worker: Worker) -> Turn:
        """The turn of a request that has waited for another's fetch in vain."""
        turn = Turn(self, follower.client, worker, follower.exchange, follower.head, follower.keep)
        turn.follower, turn.lead = follower, gathering_of(follower).lead(follower)
        return turn

    def _new_turn(self, client: Client, worker: Worker, exchange: Exchange) -> Turn:
        head = exchange.head
        assert head is not None
        head.scheme = client.scheme
        return Turn(self, client, worker, exchange, head, head.keeps_alive and not self._front.draining)

    def _dispatch(self, turn: Turn) -> Then:
        try:
            if turn.fetch is not None and turn.then is None:
                return self._sides.go_on(turn)
            turn.client.flush()
            return turn.then or self._sides.answer(turn)
        except Refusal as refusal:
            turn.exchange.end, turn.exchange.detail = refusal.end, refusal.detail
            if turn.lead is not None:
                turn.lead.land(Landing.FAILED, refusal)
            if turn.head.form is TargetForm.AUTHORITY and refusal.status != 407:
                turn.keep = False  # what follows was meant for the tunnel, and is no request to us
            fields = refusal.fields + refused(refusal)
            return answer_oneself(turn, refusal.status, refusal.detail, self._head_limit, fields)
        except Cut:
            if turn.lead is not None and turn.lead.away:
                return Then.AWAY
            raise
        finally:
            if turn.lead is not None:
                turn.lead.land(Landing.FAILED)


def _cut_off(client: Client, exchange: Exchange, cut: Cut) -> Then:
    exchange.end = cut.end
    client.unsent = []
    return Then.CLOSE
