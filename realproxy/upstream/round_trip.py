"""The next hop of a request: upstreams are asked, one after the other, until one has answered.

Runs in the worker that owns the client, or (`ask_at_once`, `head_at_once`) in the front thread,
which never waits. It owns the upstream connection too, until `release`, the one place that puts it
back or closes it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

from policies.resilience import is_failure
from policies.settings import Limits
from realproxy.downstream.connection import DownstreamConnection
from realproxy.errors import LocalReply, Termination, UpstreamError
from realproxy.http1 import UNTIL_CLOSE, Malformed, RequestHead, ResponseHead, parse_response
from realproxy.messages.headers import client_response
from realproxy.messages.record import RequestRecord
from realproxy.net.address import Address
from realproxy.upstream.connection import UpstreamConnection
from realproxy.upstream.hedging import HedgedWait
from realproxy.upstream.pool import ConnectionPool
from realproxy.upstream.request_body import Pieces, RequestBody
from realproxy.upstream.target import Place, UpstreamTarget

MOST_INTERIM = 64
"""Answers 1xx to one request; more would never end."""
IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})  # RFC 9110, 9.2.2
_OWN = (Termination.STOPPED, Termination.OVERLOADED)
"""What no upstream is to blame for."""
_PLAIN = frozenset({b"2", b"3", b"4"})
"""First digits of a status that is passed on as it comes."""


class Sink(Protocol):
    """Who gets an answer."""

    @property
    def leaving(self) -> bool:
        """Whether it is to be told that this answer is the last one."""

    def send(self, pieces: Sequence[bytes | memoryview]) -> int:
        """Take `pieces`; returns their length in bytes, raises `Cut`."""

    def reset_on_close(self) -> None:
        """Let the end be seen as an error."""


class RoundTrip:
    """One request's way to an upstream that answers it.

    Parameters
    ----------
    pool : ConnectionPool
        Of upstream connections.
    limits : Limits
        From the settings.
    client : DownstreamConnection or Sink
        Who gets the answer; a `DownstreamConnection` if the request has a body.
    exchange : RequestRecord
        The record to fill in.
    head : RequestHead
        What is asked.
    way : UpstreamTarget
        Where it goes, and where next if that fails.

    Attributes
    ----------
    connection : UpstreamConnection or None
        To the upstream that is asked.
    failed : bool or None
        How it ends for the upstream, or ended; None: nobody knows.
    """

    __slots__ = (
        "_body", "_hedge_after", "_late", "_place", "_pool", "_sent", "_until", "_upload", "_way", "client",
        "connection", "exchange", "failed", "head", "limits",
    )  # fmt: skip

    def __init__(
        self,
        pool: ConnectionPool,
        limits: Limits,
        client: DownstreamConnection | Sink,
        exchange: RequestRecord,
        head: RequestHead,
        way: UpstreamTarget,
    ) -> None:
        self.limits, self.client, self.exchange, self.head = limits, client, exchange, head
        self._pool, self._way = pool, way
        self._hedge_after = way.hedge_after if head.framing == 0 and head.method in IDEMPOTENT else None
        self._until: float | None = None
        if limits.request_timeout is not None:
            self._until = exchange.arrived + limits.request_timeout
        self._upload: RequestBody | None = None
        if head.framing and isinstance(client, DownstreamConnection):
            self._upload = RequestBody(client, head, limits, pool.waits, self._until)
        self.connection: UpstreamConnection | None = None
        self._place: Place | None = None
        self._body: Pieces | None = None
        self._sent = self._late = False
        self.failed: bool | None = None

    @property
    def all_read(self) -> bool:
        """Whether nothing is left of the request's body."""
        return self._upload is None or self._upload.done

    def skip_body(self) -> bool:
        """Drop what has arrived of the request's body and was not sent on; see `RequestBody.skip`."""
        return self._upload is None or self._upload.skip()

    # --- without waiting ------------------------------------------------------------------------

    def ask_at_once(self) -> bool:
        """Send the request if a kept connection takes it without a wait; if not, `answer` goes on from here.

        Raises
        ------
        LocalReply
            If it may not go on.
        """
        self._place = addresses, request = self._way.begin()
        connection = self._pool.acquire_idle(addresses[0])
        if connection is None:
            return False
        if not connection.try_send(request):
            self._pool.close(connection)
            return False
        self.connection, self._sent = connection, True
        self.exchange.asked, self.exchange.reused = time.monotonic(), True
        return True

    def head_at_once(self, connection: UpstreamConnection) -> ResponseHead | None:
        """The head of an answer that needs no second thought; its body is left in the connection's buffer."""
        buffer = connection.buffer
        end = buffer.find(b"\r\n\r\n")
        if not -1 < end <= self.limits.head or buffer[9:10] not in _PLAIN:
            return None
        try:
            answer = parse_response(buffer[: end + 4], self.head.method)
        except Malformed:
            return None  # met again by `answer`, which may ask elsewhere
        connection.buffer = buffer[end + 4 :]
        self.failed = False
        return answer

    def late(self) -> None:
        """The upstream has had its time; `answer` says so."""
        self._late = True

    # --- one upstream after the other -----------------------------------------------------------

    def answer(self) -> tuple[ResponseHead, bytes]:
        """Ask until there is an answer to pass on: its head, and what came behind it.

        Raises
        ------
        LocalReply, Malformed
            If there is none.
        Cut
            When the client is gone.
        """
        place = self._place or self._way.begin()
        while True:
            try:
                self._ask(*place)
                answer, rest = self._final_answer()
            except (LocalReply, Malformed) as trouble:
                elsewhere = self._elsewhere(trouble)
                if elsewhere is None:
                    raise
            else:
                self.failed = is_failure(answer.status)
                elsewhere = self._next(refused=False) if self.failed else None
                if elsewhere is None:
                    return answer, rest
            place = elsewhere

    def more(self, buffer: memoryview) -> int:
        """Wait for more of the answer's body; returns how many bytes of it are in `buffer` now."""
        connection = self.connection
        assert connection is not None
        if self._upload is not None:
            self._upload.until_answer(connection)
        return connection.receive_into(buffer)

    def _ask(self, addresses: Sequence[Address], request: bytes) -> None:
        """Send the request, and once more if a kept connection proves to have ended."""
        if self._upload is not None and self._body is None:
            self._body = self._upload.first()
        first: Pieces = [request, *self._body] if self._body else [request]
        try:
            if self.connection is None:
                self._send(addresses, first, fresh=False)
            self._await()
        except UpstreamError as trouble:
            if not (trouble.retry_safe and self.head.method in IDEMPOTENT and self._upload is None):
                raise
            self._disconnect()
            self._send(addresses, first, fresh=True)
            self._await()

    def _send(self, addresses: Sequence[Address], first: Pieces, *, fresh: bool) -> None:
        """Send what there is."""
        exchange = self.exchange
        self._patience()
        start = time.monotonic()
        connection = self.connection = self._pool.acquire(addresses, fresh=fresh)
        if self._until is not None:
            connection.deadline, connection.timeout = self._until, self.limits.answer_timeout
        exchange.asked = time.monotonic()
        exchange.connecting += exchange.asked - start
        exchange.reused = connection.reused
        self._sent = True
        connection.send(first)

    def _await(self) -> None:
        """Wait for the first bytes of the answer."""
        connection = self.connection
        assert connection is not None
        if self._late:
            self._late = False
            raise UpstreamError(504, Termination.UPSTREAM_SLOW, "the upstream did not answer in time")
        if self._upload is not None:
            self._upload.until_answer(connection)
        if self._hedge_after is not None:
            self.connection = None  # until one has won
            hedging = HedgedWait(self._pool, self._way, self._patience())
            self.connection = hedging.first_answer(connection, self._hedge_after)
        elif not connection.buffer:
            connection.receive()

    def _patience(self) -> float:
        """Seconds that an upstream has for the head of its answer; raises `LocalReply` if it has none."""
        if self._until is None:
            return self.limits.answer_timeout
        left = self._until - time.monotonic()
        if left <= 0:
            raise LocalReply(504, Termination.UPSTREAM_SLOW, "limits.request_timeout is over")
        return min(left, self.limits.answer_timeout)

    def _elsewhere(self, trouble: LocalReply | Malformed) -> Place | None:
        """Where to go after trouble: nowhere if the client or this proxy is the cause."""
        if trouble.status < 500 or (isinstance(trouble, LocalReply) and trouble.end in _OWN):
            self.failed = None
            return None
        self.failed = True
        if self._until is not None and time.monotonic() >= self._until:
            return None
        return self._next(
            refused=isinstance(trouble, LocalReply) and trouble.end is Termination.UPSTREAM_UNREACHABLE
        )

    def _next(self, *, refused: bool) -> Place | None:
        """Where to ask after a failure, with the body ready to be sent again."""
        body: Pieces | None = []
        repeatable = not self._sent or self.head.method in IDEMPOTENT
        if repeatable and self._upload is not None:
            body = self._upload.again() if self._sent else self._body
        place = self._way.failed(
            refused=refused and not self._sent, repeatable=repeatable and body is not None
        )
        if place is not None:
            self._disconnect()
            self._body, self.failed = body, None
        return place

    def _final_answer(self) -> tuple[ResponseHead, bytes]:
        """The final answer's head and what came behind it; 1xx are passed on (RFC 9110, 15.2)."""
        connection, limits = self.connection, self.limits
        assert connection is not None
        for _ in range(MOST_INTERIM):
            answer = parse_response(connection.read_head(limits.head, self._patience()), self.head.method)
            if answer.status >= 200:
                return answer, connection.buffer
            if answer.status == 101:
                self._switch(answer)
            if self.head.minor == 1:
                self.client.send([client_response(answer, UNTIL_CLOSE, b"")])
            if self._upload is not None and not connection.buffer:
                self._upload.until_answer(connection)
        raise LocalReply(502, Termination.UPSTREAM_BAD, f"{MOST_INTERIM} interim answers and no final one")

    def _switch(self, answer: ResponseHead) -> None:
        """The upstream speaks another protocol from here on; raises."""
        raise LocalReply(502, Termination.UPSTREAM_BAD, "the upstream switched protocols without being asked")

    # --- the connection -------------------------------------------------------------------------

    def release(self, reusable: bool) -> None:
        """The upstream is done with the request; later calls do nothing."""
        if self.connection is not None and reusable:
            self._pool.release(self.connection)
            self.connection = None
        self._disconnect()
        self._way.finished(self.failed)

    def _disconnect(self) -> None:
        if self.connection is not None:
            self._pool.close(self.connection)
            self.connection = None
