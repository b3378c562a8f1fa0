"""The response on its way to the client and to the store. Memory does not grow with the body.

A thread that must not wait sends a response only if all of it has arrived.
"""

from __future__ import annotations

import time

from realproxy.cache.cache_status import status_field
from realproxy.cache.entry import CacheEntry
from realproxy.downstream.connection import State
from realproxy.errors import Aborted, LocalReply, Termination, WouldBlock
from realproxy.http1 import CHUNKED, UNTIL_CLOSE, BodyReader, Malformed, ResponseHead, body_reader
from realproxy.messages.headers import client_response, connection_field
from realproxy.messages.proxy_status import relayed
from realproxy.proxying.context import Outcome, RequestContext
from realproxy.upstream.request_body import Pieces, encode
from realproxy.upstream.round_trip import RoundTrip
from realproxy.upstream.upgrade import upgrade_fields

_NEXT = Outcome.NEXT  # to name a member by its class is slow before Python 3.12


def respond(request: RequestContext) -> Outcome:
    """Forward head and body to the client and to the store."""
    response, trip = request.response, request.round_trip
    assert response is not None
    assert trip is not None
    assert trip.connection is not None
    if response.status == 101:
        return _switch_protocols(request, response, trip)
    reader = body_reader(response.framing, trip.limits.head, response.fields, mended=True)
    data = trip.connection.buffer
    try:
        pieces = reader.feed(data) if data else []
    except Malformed as error:
        raise Malformed(502, f"the upstream sent a {error.problem}") from None
    if not (reader.done or request.may_block):
        raise WouldBlock
    record, writer = request.record, request.writer
    if writer is not None:
        instead = writer.start(response, record.answered - record.asked, whole=reader.done)
        if instead is not None:
            whole = response.framing == 0 and not reader.rest and trip.all_read
            trip.finish(reusable=whole and response.keeps_alive)
            return send_stored(request, instead)
    return ResponseForwarder(request, response, trip, reader).run(pieces)


def send_stored(request: RequestContext, entry: CacheEntry) -> Outcome:
    """Send a stored response: one that the upstream has validated, or a stale one in place of an error."""
    record, head, writer = request.record, request.head, request.writer
    assert writer is not None
    _settle_keep(request)
    record.cache = writer.outcome
    added = status_field(record.cache, request.snapshot.store.name) + connection_field(head, request.keep)
    record.status, pieces = entry.respond(head, added, time.monotonic())
    if request.visit is not None and request.visit.edits:
        pieces[0] = request.visit.edit(pieces[0])
    (request.lead or request.client).send(pieces)
    record.sent = sum(map(len, pieces[1:]))
    return _ending(request)


def _settle_keep(request: RequestContext) -> None:
    """Decide whether the client's connection is kept; the head of the response will state it."""
    client, trip = request.client, request.round_trip
    all_read = trip is None or trip.body is None or trip.body.done
    request.keep = request.keep and all_read and not (client.ending and client.leaving)


def _ending(request: RequestContext) -> Outcome:
    """What happens to the client's connection after the response."""
    trip, client = request.round_trip, request.client
    if request.lead is not None and request.lead.away:
        request.cut_references()
        return Outcome.PARKED
    all_read = trip is None or trip.body is None or trip.body.done
    if request.keep and all_read:
        return _NEXT
    return Outcome.CLOSE if all_read and not client.leaving else Outcome.LINGER


def _switch_protocols(request: RequestContext, response: ResponseHead, trip: RoundTrip) -> Outcome:
    """Forward a 101, and give both connections to the relay. RFC 9110, 15.2.2"""
    client, record = request.client, request.record
    record.status = 101
    chosen = upgrade_fields(response.fields.elements(b"upgrade"))
    client.send([request.edit(client_response(response, UNTIL_CLOSE, chosen))])
    connection, done = trip.detach()
    client.state = State.TUNNEL
    request.generation.relay.add(client, connection.sock, record, connection.buffer, done)
    return Outcome.TUNNEL


class ResponseForwarder:
    """Forwards one response while it arrives; `reader` reads its body."""

    __slots__ = ("_framing", "_reader", "_request", "_response", "_sink", "_trip", "_writer")

    def __init__(
        self, request: RequestContext, response: ResponseHead, trip: RoundTrip, reader: BodyReader
    ) -> None:
        self._request, self._response, self._trip, self._reader = request, response, trip, reader
        self._writer, self._sink = request.writer, request.lead or request.client
        self._framing: int | None = None

    def run(self, pieces: Pieces) -> Outcome:
        """Send the head and `pieces` of the body, and wait for the rest; raises `Aborted`."""
        _settle_keep(self._request)
        self._framing = self._client_framing()
        self._note(pieces)
        self._send_head(pieces)
        if not self._reader.done:
            self._send_rest()
        return _ending(self._request)

    def _send_head(self, pieces: Pieces) -> None:
        request, response, framing = self._request, self._response, self._framing
        record = request.record
        added = connection_field(request.head, request.keep)
        if self._writer is not None:
            record.cache = self._writer.outcome
            added += status_field(record.cache, request.snapshot.store.name)
        if response.status >= 500:
            added += relayed(response.status)
        record.status = response.status
        start = client_response(response, framing, added)
        if request.visit is not None and request.visit.edits:
            start = request.visit.edit(start)
        out: Pieces = [start]
        if framing is not None:
            out += encode(framing, pieces, self._reader)
        self._sink.send(out)
        record.sent = sum(map(len, pieces))

    def _send_rest(self) -> None:
        """Wait for the rest of the body, and forward it."""
        reader, record, buffer = self._reader, self._request.record, self._request.thread.buffer
        while not reader.done:
            try:
                pieces = reader.feed(self._more(buffer))
            except Malformed:
                raise self._cut(Termination.UPSTREAM_BAD) from None
            self._note(pieces)
            self._sink.send(encode(self._framing or 0, pieces, reader) or [b""])
            record.sent += sum(map(len, pieces))

    def _client_framing(self) -> int | None:
        """The framing towards the client; None for a response without a body that may state a length."""
        head, response = self._request.head, self._response
        if head.method == "HEAD" or response.status == 304:
            return None
        if response.framing >= 0:
            return UNTIL_CLOSE if response.status == 204 else response.framing
        if head.minor == 1:
            return CHUNKED
        self._request.keep = False
        return UNTIL_CLOSE

    def _note(self, pieces: Pieces) -> None:
        """Store what has arrived before it is sent, so that a client that asks again gets a hit."""
        reader, writer, trip = self._reader, self._writer, self._trip
        if writer is not None:
            writer.write(pieces)
        if reader.done:
            all_read = trip.body is None or trip.body.done
            at_end = self._response.framing != UNTIL_CLOSE and not reader.rest and all_read
            trip.finish(reusable=at_end and self._response.keeps_alive)
            if writer is not None:
                writer.commit()

    def _more(self, buffer: memoryview) -> memoryview:
        """Wait for more of the body."""
        try:
            size = self._trip.more(buffer)
        except BlockingIOError:
            raise self._cut(Termination.UPSTREAM_SLOW) from None
        except OSError:
            raise self._cut(Termination.UPSTREAM_BROKEN) from None
        except (LocalReply, Malformed):
            raise self._cut(Termination.CLIENT_BAD) from None
        if size == 0 and not self._reader.end():
            raise self._cut(Termination.UPSTREAM_BROKEN)
        return buffer[:size]

    def _cut(self, end: Termination) -> Aborted:
        """The rest will not come. The client must see that the body is not complete."""
        self._trip.failed = end is not Termination.CLIENT_BAD
        if self._framing == UNTIL_CLOSE:
            self._sink.reset_on_close()
        return Aborted(end)
