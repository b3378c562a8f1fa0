"""Responses without an upstream: from the store, or from the proxy itself."""

from __future__ import annotations

import time

from realproxy.cache.cache_status import status_field
from realproxy.cache.entry import CacheEntry
from realproxy.downstream.connection import DownstreamConnection
from realproxy.errors import Aborted, Termination
from realproxy.http1 import Malformed, body_reader
from realproxy.messages.headers import connection_field
from realproxy.messages.local_reply import local_reply
from realproxy.messages.max_forwards import final_response
from realproxy.messages.proxy_status import unreadable
from realproxy.messages.record import RequestRecord
from realproxy.proxying.context import Outcome, RequestContext

_NEXT = Outcome.NEXT  # to name a member by its class is slow before Python 3.12


def send_cached(request: RequestContext, entry: CacheEntry) -> Outcome:
    """Send a stored response."""
    head, record = request.head, request.record
    ending = drain_body(request)
    added = status_field(record.cache, request.snapshot.store.name) + connection_field(head, ending is _NEXT)
    if entry.file is not None:
        _send_file(request, entry, added)
        return ending
    record.status, pieces = entry.respond(head, added, time.monotonic())
    if request.visit is not None and request.visit.edits:
        pieces[0] = request.visit.edit(pieces[0])
    request.client.send(pieces)
    record.sent = len(pieces[1]) if len(pieces) > 1 else 0
    return ending


def _send_file(request: RequestContext, entry: CacheEntry, added: bytes) -> None:
    """Send a body from disk, a chunk at a time."""
    record, client = request.record, request.client
    try:
        record.status, start, body = entry.respond_from_file(request.head, added, time.monotonic())
        if request.visit is not None and request.visit.edits:
            start = request.visit.edit(start)
        client.send([start])
        while body is not None and record.sent < len(body):
            record.sent += client.send([body.read(record.sent)])
    except OSError:  # a corrupt file, too
        raise Aborted(Termination.UPSTREAM_BROKEN) from None
    finally:
        entry.release()


def send_local_reply(request: RequestContext, status: int, detail: str, fields: bytes = b"") -> Outcome:
    """Send a response of the proxy itself, with one line of text."""
    record = request.record
    ending = drain_body(request)
    record.status = status
    added = fields
    if record.cache:
        added = status_field(record.cache, request.snapshot.store.name) + fields
    visit, pages = request.visit, request.snapshot.rules.error_pages
    page = (visit.page(status) if visit is not None else None) or (pages.find(status) if pages else None)
    reply = local_reply(request.head, status, detail, ending is _NEXT, added, page)
    if visit is not None and visit.edits:
        head, end, body = reply.partition(b"\r\n\r\n")
        reply = visit.edit(head + end) + body
    request.client.send([reply])
    return ending


def reply_as_last_recipient(request: RequestContext) -> Outcome:
    """Respond to a request that must not be forwarded any further. RFC 9110, 7.6.2"""
    ending = drain_body(request)
    request.record.status = 200
    request.client.send([final_response(request.head, ending is _NEXT)])
    return ending


def send_unreadable(client: DownstreamConnection, record: RequestRecord, error: Malformed) -> Outcome:
    """Refuse a malformed head."""
    client.send([unreadable_reply(record, error)])
    return Outcome.LINGER


def unreadable_reply(record: RequestRecord, error: Malformed) -> bytes:
    """The response to a malformed head; fills in the record."""
    record.end = Termination.CLIENT_SLOW if error.status == 408 else Termination.CLIENT_BAD
    record.status = error.status
    return local_reply(None, error.status, error.problem, keep=False, added=unreadable(error.problem))


def drain_body(request: RequestContext) -> Outcome:
    """Drop the body of a request that is not forwarded.

    Returns ``NEXT`` if the client's connection can be kept, else ``LINGER``. Does not wait for a body.
    """
    client, trip = request.client, request.round_trip
    keep = request.keep and not (client.ending and client.leaving)
    if keep and request.head.framing:
        try:
            # A part of it may be read already; what follows is the next request.
            keep = _skip_all(request) if trip is None or trip.body is None else trip.body.skip()
        except Malformed:
            keep = False
    return _NEXT if keep else Outcome.LINGER


def _skip_all(request: RequestContext) -> bool:
    reader = body_reader(request.head.framing, request.snapshot.limits.head)
    reader.feed(request.client.buffer)
    request.client.buffer = reader.rest
    return reader.done
