"""Requests of one connection after the other: read a head, run its phases, say what comes next.

Runs in the worker that owns the connection. The event loop's thread begins with most requests
(`read_request`, `advance`); one that it cannot end is in `under_way`, a set that is changed by single
operations only, until the request has ended, here or in a worker.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from realproxy.cache.writer import CacheWriter
from realproxy.downstream.connection import DownstreamConnection, ReadResult
from realproxy.errors import Aborted, LocalReply, Termination
from realproxy.http1 import Malformed, parse_request
from realproxy.messages.local_reply import local_reply
from realproxy.messages.proxy_status import proxy_status
from realproxy.messages.record import RequestRecord
from realproxy.net.address import Address
from realproxy.proxying.context import Outcome, RequestContext
from realproxy.proxying.pipeline import run
from realproxy.proxying.reply import send_unreadable, unreadable_reply
from realproxy.proxying.snapshot import ConfigSnapshot
from realproxy.proxying.worker import ThreadState
from realproxy.runtime.isolation import report
from realproxy.server.connection_loop import ConnectionLoop
from realproxy.tunnel.relay import TunnelRelay

IN_A_ROW = 32
"""Requests of one connection that are answered before others get their turn."""
# To name a member by its class is slow before Python 3.12.
_PARKED, _TUNNEL = Outcome.PARKED, Outcome.TUNNEL
_SUSPENDED = (Outcome.AWAITED, Outcome.WORKER, _PARKED, Outcome.SENDING)  # no set: hashing a member is slow
RETRY_SOON = b"Retry-After: 1\r\n"
"""For a client that is refused because of the load."""

AnswerOther = Callable[[DownstreamConnection, RequestRecord, ConfigSnapshot], bool]
"""Answers a request of another protocol; returns whether the relay thread owns the client now."""


class HttpServer:
    """Answers requests under one configuration; a `realproxy.proxying.context.Generation`.

    Each of `reports` is called with the record of every request that has ended, in the thread that has ended
    it. Once it is `retired`, another server has taken over: it ends what is under way, and begins no more.
    """

    relay: TunnelRelay
    _loop: ConnectionLoop
    _answer_other: AnswerOther

    def __init__(
        self, snapshot: ConfigSnapshot, own: Address, reports: Sequence[Callable[[RequestRecord], None]],
        revalidate: Callable[[RequestContext, CacheWriter], None],
    ) -> None:  # fmt: skip
        self.snapshot, self.own, self._reports, self.revalidate = snapshot, own, reports, revalidate
        self.retired = False
        self.under_way: set[RequestContext] = set()

    def attach(self, loop: ConnectionLoop, relay: TunnelRelay, answer_other: AnswerOther) -> None:
        """Say who takes connections that a worker is done with, and who answers other protocols than HTTP."""
        self._loop, self.relay, self._answer_other = loop, relay, answer_other

    # --- one connection -------------------------------------------------------------------------

    def serve(self, client: DownstreamConnection, thread: ThreadState) -> None:
        """Answer what `client` asks, as long as its next request is there already; called by a worker."""
        loop = self._loop
        if client.opening is not None and not self._opened(client, thread):
            return
        for _ in range(IN_A_ROW):
            outcome = self._serve_one(client, thread)
            if outcome is not Outcome.NEXT:
                self._part(client, outcome)
                return
            if not self._next_is_there(client):
                return
            client.arrived = time.monotonic()
            if self.retired:
                break
        loop.submit(client)

    def shed(self, client: DownstreamConnection, thread: ThreadState) -> None:
        """Refuse a request because too many wait: say so if that can be said at once, and close."""
        if client.opening is not None:
            self._loop.close(client)
            return
        problem = "limits.queue: too many requests wait"
        too_many = LocalReply(503, Termination.OVERLOADED, problem, fields=RETRY_SOON)
        request, client.suspended = client.suspended, None
        if isinstance(request, RequestContext):
            record = request.record
            request.abandon()
        else:
            record = RequestRecord(client.address, client.arrived, time.monotonic())
            thread.tally.requests += 1
        record.end, record.detail = too_many.end, too_many.detail
        outcome = Outcome.LINGER
        try:
            client.try_send_all(_overload_reply(client, record, too_many))
        except Aborted as aborted:
            record.status, record.end, outcome = 0, aborted.end, Outcome.CLOSE
        self._count(record, thread, ended=True)
        self._part(client, outcome)

    def _part(self, client: DownstreamConnection, outcome: Outcome) -> None:
        if outcome is Outcome.CLOSE:
            self._loop.close(client)
        elif outcome is Outcome.LINGER:
            self._loop.linger(client)

    def _next_is_there(self, client: DownstreamConnection) -> bool:
        """Whether another head is there already; if not, the loop has the client."""
        result = client.find_head() if client.buffer else ReadResult.PART
        if result is ReadResult.PART and (client.pace is not None or not client.inline):
            result = client.read()  # for the loop would only hand it back
        if result is ReadResult.HEAD:
            return True
        if result is ReadResult.PART:
            self._loop.keep_alive(client)
        else:
            self._loop.close(client)
        return False

    def _opened(self, client: DownstreamConnection, thread: ThreadState) -> bool:
        """Go on with what is not HTTP; returns whether a request has arrived behind it."""
        loop = self._loop
        result = client.handshake()
        if result is ReadResult.HEAD:
            client.arrived = time.monotonic()
            return True
        if result is ReadResult.OTHER:
            self._serve_other(client, thread)
        elif result is ReadResult.END and client.failure is not None:
            self._refuse_opening(client, thread, client.failure)
        elif result is ReadResult.END or (client.opening is not None and loop.draining):
            loop.close(client)
        elif client.opening is not None:
            loop.rearm(client)
        else:
            loop.keep_alive(client)
        return False

    def _refuse_opening(self, client: DownstreamConnection, thread: ThreadState, refusal: LocalReply) -> None:
        """Log why a client was not let in, and tell it if it can understand."""
        record = RequestRecord(client.address, client.arrived, time.monotonic())
        thread.tally.requests += 1
        record.finish(refusal.end, refusal.detail)
        record.status = refusal.status
        if refusal.status:
            added = proxy_status(refusal)
            client.send_early(local_reply(None, refusal.status, refusal.detail, keep=False, added=added))
        self._count(record, thread, ended=True)
        self._part(client, Outcome.LINGER if refusal.status else Outcome.CLOSE)

    def _serve_other(self, client: DownstreamConnection, thread: ThreadState) -> None:
        record = RequestRecord(client.address, client.arrived, time.monotonic())
        thread.tally.requests += 1
        taken = self._answer_other(client, record, self.snapshot)
        self._count(record, thread, ended=not taken)
        if not taken:
            self._loop.linger(client)

    # --- one request ----------------------------------------------------------------------------

    def read_request(
        self, client: DownstreamConnection, thread: ThreadState, *, may_block: bool
    ) -> RequestContext:
        """The request whose head has arrived; raises `Malformed`."""
        record = RequestRecord(client.address, client.arrived, time.monotonic())
        record.caller = client.caller
        head = record.head = parse_request(client.take_head())
        thread.tally.requests += 1
        head.scheme = client.scheme
        keep = head.keeps_alive and not self._loop.draining
        return RequestContext(self, client, thread, record, head, keep, may_block)

    def advance(self, request: RequestContext) -> Outcome:
        """Run the phases of a request as far as this thread goes, and count it if that is all.

        A fault of the program is raised once all that the request held is given back.
        """
        try:
            outcome = run(request)
        except Exception as fault:
            away = request.lead is not None and request.lead.away
            request.abandon()
            if not away:
                raise
            report(fault)  # the fan-out thread has the client
            return _PARKED
        if outcome not in _SUSPENDED:
            self.under_way.discard(request)
            # These would refer back to the request.
            request.round_trip = request.reader = request.lead = request.writer = None
            self._count(request.record, request.thread, ended=outcome is not _TUNNEL)
        return outcome

    def _serve_one(self, client: DownstreamConnection, thread: ThreadState) -> Outcome:
        request, client.suspended = client.suspended, None
        if isinstance(request, RequestContext):
            request.thread, request.may_block = thread, True
        else:
            try:
                request = self.read_request(client, thread, may_block=True)
            except Malformed as error:
                return self._refuse_unreadable(client, thread, error)
        return self.advance(request)

    def _refuse_unreadable(
        self, client: DownstreamConnection, thread: ThreadState, error: Malformed
    ) -> Outcome:
        record = RequestRecord(client.address, client.arrived, time.monotonic())
        thread.tally.requests += 1
        client.may_block = True
        try:
            outcome = send_unreadable(client, record, error)
        except Aborted as aborted:
            record.end, outcome = aborted.end, Outcome.CLOSE
        self._count(record, thread, ended=True)
        return outcome

    # --- counting -------------------------------------------------------------------------------

    def _count(self, record: RequestRecord, thread: ThreadState, *, ended: bool) -> None:
        """Count a request, and report it unless the relay thread does so when it has ended."""
        record.ended = time.monotonic()
        tally = thread.tally
        tally.ends[record.end] += 1
        tally.statuses[record.status] += 1
        if ended:
            self.report(record)

    def report(self, record: RequestRecord) -> None:
        """Report a request that has ended; called by the thread that has ended it."""
        for take in self._reports:
            take(record)


def _overload_reply(client: DownstreamConnection, record: RequestRecord, too_many: LocalReply) -> bytes:
    """What a request is refused with, or what is wrong with its head; fills in the record."""
    try:
        head = record.head = record.head or parse_request(client.take_head())
    except Malformed as error:
        return unreadable_reply(record, error)
    record.status = too_many.status
    added = too_many.fields + proxy_status(too_many)
    return local_reply(head, too_many.status, too_many.detail, keep=False, added=added)
