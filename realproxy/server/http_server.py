"""The life of a request: read its head, have it answered, say what comes next.

Runs in the worker that owns the client. The front thread begins with requests that may need no
worker (`begin`, `go_on`); such a `RequestContext` is in `under_way`, a set that is changed by single
operations only, until it has ended, here or in a worker.
"""

from __future__ import annotations

import time

from policies.http_cache.collapsing import FlightResult
from realproxy.cache.collapse import gathering_of
from realproxy.cache.fanout import Fanout
from realproxy.cache.shared_response import Reader
from realproxy.downstream.connection import DownstreamConnection, ReadResult
from realproxy.errors import Aborted, LocalReply, Termination
from realproxy.http1 import Malformed, TargetForm, parse_request
from realproxy.messages.local_reply import local_reply
from realproxy.messages.proxy_status import proxy_status
from realproxy.messages.record import RequestRecord
from realproxy.net.address import Address
from realproxy.observe.access_log import AccessLog
from realproxy.observe.metrics import Metrics
from realproxy.proxying.context import Outcome, RequestContext
from realproxy.proxying.pipeline import Pipeline
from realproxy.proxying.reply import answer_unreadable, send_local_reply, unreadable_reply
from realproxy.proxying.revalidation import BackgroundRevalidation
from realproxy.proxying.snapshot import ConfigSnapshot
from realproxy.proxying.socks import SocksRequests
from realproxy.proxying.worker import ThreadState
from realproxy.server.connection_loop import ConnectionLoop
from realproxy.socks import ServerHandshake
from realproxy.tunnel.relay import TunnelRelay
from realproxy.tunnel.udp_associate import UdpAssociations

IN_A_ROW = 32
"""Requests of one connection that are answered before others get their turn."""

RETRY_SOON = b"Retry-After: 1\r\n"
"""For who is refused because of the load."""

_FOR_WORKERS = frozenset({b"upgrade", b"expect", b"max-forwards"})
"""Fields of requests that the front thread leaves to workers."""


class HttpServer:
    """Answers requests.

    Parameters
    ----------
    site : ConfigSnapshot
        What the settings say.
    own : Address
        Where this proxy listens.
    log : AccessLog or None
        Takes every exchange.

    Attributes
    ----------
    retired : bool
        Whether another one has taken over: what is under way is finished, nothing more is begun.
    under_way : set of RequestContext
        What the front thread has begun with and is not over.
    """

    def __init__(self, site: ConfigSnapshot, own: Address, log: AccessLog | None) -> None:
        self._site, self._own, self._log = site, own, log
        self._head_limit = site.settings.limits.head
        self.retired = False
        self.under_way: set[RequestContext] = set()
        self._metered = site.settings.admin is not None
        self.tunnel_meter, self.follow_meter = Metrics(), Metrics()
        self.refresher = BackgroundRevalidation(site, own)
        self._sides = Pipeline(site, own, self.refresher)
        self._front: ConnectionLoop
        self._socks: SocksRequests

    def attach(
        self, front: ConnectionLoop, relay: TunnelRelay, associations: UdpAssociations, following: Fanout
    ) -> None:
        """Say who takes connections that a worker is done with."""
        self._front, self._sides.relay, self._site.gathering.following = front, relay, following
        self._socks = SocksRequests(self._own, relay, associations)
        front.handshake = self._handshake

    def serve(self, client: DownstreamConnection, worker: ThreadState) -> None:
        """Answer what `client` asks, as long as its next request is there already."""
        front = self._front
        if (client.socks is not None or client.handshaking) and not self._opened(client, worker):
            return
        for _ in range(IN_A_ROW):
            then = self._serve_one(client, worker)
            if then is not Outcome.NEXT:
                self._part(client, then)
                return
            if not self._next_is_there(client):
                return
            client.arrived = time.monotonic()
            if self.retired:
                break
        front.submit(client)

    def shed(self, client: DownstreamConnection, worker: ThreadState) -> None:
        """Refuse a request because too many wait: say so if that can be said at once, and close."""
        if client.socks is not None or client.handshaking:
            self._front.close(client)
            return
        too_many = LocalReply(
            503, Termination.OVERLOADED, "limits.queue: too many requests wait", fields=RETRY_SOON
        )
        turn, client.suspended = client.suspended, None
        if isinstance(turn, RequestContext):
            turn.serving.under_way.discard(turn)
            exchange = turn.exchange
        else:
            exchange = RequestRecord(client.address, client.arrived, time.monotonic())
            worker.tally["requests"] += 1
        exchange.end, exchange.detail = too_many.end, too_many.detail
        added = too_many.fields + proxy_status(too_many)
        try:
            try:
                head = exchange.head = exchange.head or parse_request(client.take_head())
            except Malformed as error:
                answer = unreadable_reply(exchange, error)
            else:
                answer = local_reply(head, 503, too_many.detail, keep=False, added=added)
                exchange.status = 503
            client.offer(answer)
            then = Outcome.LINGER
        except Aborted as cut:
            exchange.status, exchange.end, then = 0, cut.end, Outcome.CLOSE
        self._count(exchange, worker, ended=True)
        self._part(client, then)

    def _part(self, client: DownstreamConnection, then: Outcome) -> None:
        if then is Outcome.CLOSE:
            self._front.close(client)
        elif then is Outcome.LINGER:
            self._front.linger(client)

    def _next_is_there(self, client: DownstreamConnection) -> bool:
        """Whether another head is there already; if not, the front has the client."""
        arrival = client.look() if client.buffer else ReadResult.PART
        if arrival is ReadResult.PART and not client.is_simple:
            arrival = client.read()  # for the front would only hand it back
        if arrival is ReadResult.HEAD:
            return True
        if arrival is ReadResult.PART:
            self._front.resume(client)
        else:
            self._front.close(client)
        return False

    def _opened(self, client: DownstreamConnection, worker: ThreadState) -> bool:
        """Go on with what is not HTTP; returns whether a request has arrived behind it."""
        front = self._front
        if client.socks is not None:
            self._serve_socks(client, client.socks, worker)
            return False
        arrival = client.handshake()
        if arrival is ReadResult.HEAD:
            client.arrived = time.monotonic()
            return True
        if arrival is ReadResult.END or (client.handshaking and front.draining):
            front.close(client)
        elif client.handshaking:
            front.await_more(client)
        else:
            front.resume(client)
        return False

    def follower_ended(self, exchange: RequestRecord) -> None:
        """Log and count an answer of the follow thread; called by that thread only."""
        if self._metered:
            self.follow_meter.record(exchange)
        self.log(exchange)

    def tunnel_ended(self, exchange: RequestRecord) -> None:
        """Log and count a tunnel; called by the relay thread only."""
        if self._metered:
            self.tunnel_meter.record(exchange)
        self.log(exchange)

    def log(self, exchange: RequestRecord) -> None:
        """Write an exchange into the log."""
        if self._log is not None:
            self._log.write(exchange)

    # --- one request ----------------------------------------------------------------------------

    def at_once(self, client: DownstreamConnection, worker: ThreadState) -> Outcome:
        """Do what needs no waiting, of a request whose head has arrived or whose upstream has said something.

        Called by the front thread, for a client that is not `patient`.

        Returns
        -------
        Outcome
            ``AWAITED`` if it is to be called again when the upstream has something to say, ``WORKER``
            if a worker has to go on, with `serve`.
        """
        turn = client.suspended
        if isinstance(turn, RequestContext):
            return self._settle(turn)
        exchange = RequestRecord(client.address, client.arrived, time.monotonic())
        try:
            head = exchange.head = parse_request(client.take_head())
        except Malformed as error:
            client.trouble = error
            return Outcome.WORKER
        worker.tally["requests"] += 1
        client.suspended = turn = self._new_turn(client, worker, exchange)
        waits = head.framing or head.form is TargetForm.AUTHORITY
        if waits or not _FOR_WORKERS.isdisjoint(head.fields.names):
            return Outcome.WORKER
        return self._settle(turn)

    def _serve_one(self, client: DownstreamConnection, worker: ThreadState) -> Outcome:
        suspended, client.suspended = client.suspended, None
        if isinstance(suspended, RequestContext):
            suspended.worker = worker
            return self._settle(suspended)
        if isinstance(suspended, Reader):
            return self._settle(self._asked_again(suspended, worker))
        exchange = RequestRecord(client.address, client.arrived, time.monotonic())
        worker.tally["requests"] += 1
        try:
            exchange.head = parse_request(client.take_head())
            turn = self._new_turn(client, worker, exchange)
        except Malformed as error:
            then = self._unreadable(client, exchange, error)
            self._count(exchange, worker, ended=True)
            return then
        return self._settle(turn)

    def _settle(self, turn: RequestContext) -> Outcome:
        """Have a request answered, and count it if that is all."""
        client, exchange = turn.client, turn.exchange
        try:
            then = self._dispatch(turn)
        except Malformed as error:
            then = self._unreadable(client, exchange, error)
        except Aborted as cut:
            then = _cut_off(client, exchange, cut)
        if then is Outcome.AWAITED or then is Outcome.WORKER:
            return then
        if client.unsent:
            turn.then = then
            return Outcome.WORKER
        self.under_way.discard(turn)
        turn.fetch = None  # they refer to each other: nothing is to be left to the garbage collector
        if then is Outcome.AWAY:
            return then
        self._count(exchange, turn.worker, ended=then is not Outcome.TUNNEL)
        return then

    @staticmethod
    def _unreadable(client: DownstreamConnection, exchange: RequestRecord, error: Malformed) -> Outcome:
        try:
            return answer_unreadable(client, exchange, error)
        except Aborted as cut:
            return _cut_off(client, exchange, cut)

    def _serve_socks(self, client: DownstreamConnection, shake: ServerHandshake, worker: ThreadState) -> None:
        exchange = RequestRecord(client.address, client.arrived, time.monotonic())
        worker.tally["requests"] += 1
        taken = self._socks.answer(client, shake, exchange, self._site)
        self._count(exchange, worker, ended=not taken)
        if not taken:
            self._front.linger(client)

    def _handshake(self) -> ServerHandshake | None:
        forwarding = self._site.forwarding
        return forwarding.handshake() if forwarding is not None else None

    def _count(self, exchange: RequestRecord, worker: ThreadState, *, ended: bool) -> None:
        """Count an exchange, and log it unless the relay thread does so when it has ended."""
        exchange.ended = time.monotonic()
        worker.tally[exchange.end] += 1
        worker.tally[str(exchange.status)] += 1
        if ended:
            if self._metered:
                worker.meter.record(exchange)
            self.log(exchange)

    def _asked_again(self, follower: Reader, worker: ThreadState) -> RequestContext:
        """The turn of a request that has waited for another's fetch in vain."""
        turn = RequestContext(self, follower.client, worker, follower.exchange, follower.head, follower.keep)
        turn.follower, turn.lead = follower, gathering_of(follower).lead(follower)
        return turn

    def _new_turn(
        self, client: DownstreamConnection, worker: ThreadState, exchange: RequestRecord
    ) -> RequestContext:
        head = exchange.head
        assert head is not None
        head.scheme = client.scheme
        return RequestContext(
            self, client, worker, exchange, head, head.keeps_alive and not self._front.draining
        )

    def _dispatch(self, turn: RequestContext) -> Outcome:
        try:
            if turn.fetch is not None and turn.then is None:
                return self._sides.go_on(turn)
            turn.client.flush()
            return turn.then or self._sides.answer(turn)
        except LocalReply as refusal:
            turn.exchange.end, turn.exchange.detail = refusal.end, refusal.detail
            if turn.lead is not None:
                turn.lead.land(FlightResult.FAILED, refusal)
            if turn.head.form is TargetForm.AUTHORITY and refusal.status != 407:
                turn.keep = False  # what follows was meant for the tunnel, and is no request to us
            fields = refusal.fields + proxy_status(refusal)
            return send_local_reply(turn, refusal.status, refusal.detail, self._head_limit, fields)
        except Aborted:
            if turn.lead is not None and turn.lead.away:
                return Outcome.AWAY
            raise
        finally:
            if turn.lead is not None:
                turn.lead.land(FlightResult.FAILED)


def _cut_off(client: DownstreamConnection, exchange: RequestRecord, cut: Aborted) -> Outcome:
    exchange.end = cut.end
    client.unsent = []
    return Outcome.CLOSE
