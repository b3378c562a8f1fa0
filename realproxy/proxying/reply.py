"""Answers that need no upstream: from the store, and the proxy's own."""

from __future__ import annotations

import time

from realproxy.cache.cache_status import status_field
from realproxy.cache.entry import CacheEntry
from realproxy.cache.file_body import CorruptFile
from realproxy.downstream.connection import DownstreamConnection
from realproxy.errors import Aborted, Termination
from realproxy.http1 import Malformed, body_reader
from realproxy.messages.headers import connection_field
from realproxy.messages.local_reply import local_reply
from realproxy.messages.max_forwards import final_response
from realproxy.messages.proxy_status import unreadable
from realproxy.messages.record import RequestRecord
from realproxy.proxying.context import Outcome, RequestContext


def send_cached(turn: RequestContext, stored: CacheEntry, head_limit: int) -> Outcome:
    """Send what is stored."""
    head, exchange = turn.head, turn.exchange
    keep = drain_body(turn, head_limit)
    added = status_field(exchange.cache) + connection_field(head, keep)
    if stored.file is not None:
        _send_file(turn, stored, added)
        return Outcome.NEXT if keep else Outcome.LINGER
    exchange.status, pieces = stored.respond(head, added, time.monotonic())
    turn.client.send(pieces)
    exchange.sent = len(pieces[1]) if len(pieces) > 1 else 0
    return Outcome.NEXT if keep else Outcome.LINGER


def _send_file(turn: RequestContext, stored: CacheEntry, added: bytes) -> None:
    """Send a body that is on disk, a chunk at a time."""
    exchange = turn.exchange
    try:
        exchange.status, start, body = stored.respond_from_file(turn.head, added, time.monotonic())
        turn.client.send([start])
        while body is not None and exchange.sent < len(body):
            exchange.sent += turn.client.send([body.read(exchange.sent)])
    except (CorruptFile, OSError):
        raise Aborted(Termination.UPSTREAM_BROKEN) from None
    finally:
        stored.release()


def send_local_reply(
    turn: RequestContext, status: int, detail: str, head_limit: int, fields: bytes = b""
) -> Outcome:
    """Answer with a status of the proxy's own."""
    exchange = turn.exchange
    keep = drain_body(turn, head_limit)
    exchange.status = status
    added = status_field(exchange.cache) if exchange.cache else b""
    turn.client.send([local_reply(turn.head, status, detail, keep, added + fields)])
    return Outcome.NEXT if keep else Outcome.LINGER


def answer_as_last(turn: RequestContext, head_limit: int) -> Outcome:
    """Answer what may go no further. RFC 9110, 7.6.2"""
    keep = drain_body(turn, head_limit)
    turn.exchange.status = 200
    turn.client.send([final_response(turn.head, keep)])
    return Outcome.NEXT if keep else Outcome.LINGER


def answer_unreadable(client: DownstreamConnection, exchange: RequestRecord, error: Malformed) -> Outcome:
    """Answer a head that must be refused."""
    client.send([unreadable_reply(exchange, error)])
    return Outcome.LINGER


def unreadable_reply(exchange: RequestRecord, error: Malformed) -> bytes:
    """What a head that must be refused is answered with; fills in the record."""
    exchange.end = Termination.CLIENT_SLOW if error.status == 408 else Termination.CLIENT_BAD
    exchange.status = error.status
    added = unreadable(error.problem)
    return local_reply(None, error.status, error.problem, keep=False, added=added)


def drain_body(turn: RequestContext, head_limit: int) -> bool:
    """Drop the body of a request that is not passed on.

    Returns
    -------
    bool
        Whether the connection can live on: what has not arrived yet is not waited for.
    """
    keep = turn.keep and not turn.client.leaving
    if turn.head.framing == 0 or not keep:
        return keep
    try:
        if turn.fetch is not None:  # some of it may be read, and what follows it is another request
            return turn.fetch.skip_body()
        return _skip_all(turn, head_limit)
    except Malformed:
        return False


def _skip_all(turn: RequestContext, head_limit: int) -> bool:
    reader = body_reader(turn.head.framing, head_limit)
    reader.feed(turn.client.buffer)
    turn.client.buffer = reader.rest
    return reader.done
