"""One request upstream and its answer back: send, await, relay. Memory does not grow with a body.

Runs in the worker that owns the client, or (`ask_at_once`, `answer_at_once`) in the front thread,
which never waits. It owns the upstream connection too, until `_release`, the one place that puts
it back or closes it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from enum import Enum
from typing import Protocol

from policies.freshness import NotStored
from policies.resilience import is_failure
from policies.settings import Limits
from realproxy.asking import Place, Way
from realproxy.cache import status_field
from realproxy.client import Client
from realproxy.exchange import Cut, End, Exchange, Refusal, UpstreamTrouble
from realproxy.heads import client_response, connection_field
from realproxy.hedging import Hedging
from realproxy.http1 import (
    CHUNKED,
    UNTIL_CLOSE,
    BodyReader,
    Malformed,
    RequestHead,
    ResponseHead,
    body_reader,
    parse_response,
)
from realproxy.proxy_status import relayed
from realproxy.recording import Recording
from realproxy.stored import Stored
from realproxy.targets import Address
from realproxy.uploading import Pieces, Upload, encode
from realproxy.upstream import Connection, Pool
from realproxy.workers import Worker

MOST_INTERIM = 64
"""Answers 1xx to one request; more would never end."""
IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})  # RFC 9110, 9.2.2


_PLAIN = frozenset({b"2", b"3", b"4"})
"""First digits of a status that is passed on as it comes."""


class Progress(Enum):
    """How far an answer has come without a wait."""

    NOTHING_YET = "nothing has arrived"
    MORE_TO_IT = "somebody must wait for more, or ask elsewhere"
    DONE = "all of it was sent on"


class Receiver(Protocol):
    """Who gets an answer."""

    def send(self, pieces: Sequence[bytes | memoryview]) -> int:
        """Take `pieces`; returns their length in bytes, raises `Cut`."""

    def reset_on_close(self) -> None:
        """Let the end be seen as an error."""


class Fetch:
    """One request to an upstream and its answer back to the client.

    Parameters
    ----------
    pool : Pool
        Of upstream connections.
    limits : Limits
        From the settings.
    client : Client or Receiver
        Who gets the answer; a `Client` if the request has a body.
    exchange : Exchange
        The record to fill in.
    head : RequestHead
        What is asked.
    recording : Recording or None
        For an answer that may be stored.
    way : Way
        Where it goes, and where next if that fails.

    Attributes
    ----------
    keep : bool
        Whether the client's connection may carry another request.
    begun : bool
        Whether a part of the answer was sent to the client.
    """

    def __init__(
        self,
        pool: Pool,
        limits: Limits,
        client: Client | Receiver,
        exchange: Exchange,
        head: RequestHead,
        recording: Recording | None,
        way: Way,
    ) -> None:
        self._pool, self._limits, self._client, self._exchange = pool, limits, client, exchange
        self._head, self._recording, self._way = head, recording, way
        self._hedge_after = way.hedge_after if head.framing == 0 and head.method in IDEMPOTENT else None
        self._until: float | None = None
        if limits.request_timeout is not None:
            self._until = exchange.arrived + limits.request_timeout
        self._upload: Upload | None = None
        if head.framing and isinstance(client, Client):
            self._upload = Upload(client, head, limits, pool.waits, self._until)
        self._connection: Connection | None = None
        self._place: Place | None = None
        self._body: Pieces | None = None
        self._sent = self._late = False
        self._failed: bool | None = None
        self._reader: BodyReader | None = None
        self._given: ResponseHead | None = None
        self._onward: int | None = None
        self.keep = False
        self.begun = False

    def run(self, worker: Worker, keep: bool) -> None:
        """Do it, or what is left of it, and wait for whatever it takes.

        Parameters
        ----------
        worker : Worker
            Has memory for long bodies.
        keep : bool
            Whether the client's connection may live on as far as the client is concerned.

        Raises
        ------
        Refusal, Malformed
            While nothing was sent to the client.
        Cut
            When nothing more can be sent to it.
        """
        self.keep = keep
        try:
            if not self.begun:
                place: Place | None = self._place or self._way.begin()
                while place is not None:
                    place = self._attempt(*place)
            self._relay_rest(worker)
        finally:
            self._end()

    # --- without waiting ------------------------------------------------------------------------

    def ask_at_once(self, keep: bool) -> bool:
        """Send the request if a kept connection takes it without a wait; if not, `run` goes on from here.

        Raises
        ------
        Refusal
            If it may not go on.
        """
        self.keep = keep
        self._place = addresses, request = self._way.begin()
        connection = self._pool.take_kept(addresses[0])
        if connection is None:
            return False
        if not connection.send_at_once(request):
            self._pool.close(connection)
            return False
        self._connection, self._sent = connection, True
        self._exchange.asked, self._exchange.reused = time.monotonic(), True
        return True

    def answer_at_once(self) -> Progress:
        """Pass on as much of the answer as has arrived; `run` goes on from here if there is more to it.

        Raises
        ------
        Refusal, Malformed, Cut
            Like `run`.
        """
        connection = self._connection
        assert connection is not None
        if not connection.receive_at_once():
            return Progress.NOTHING_YET
        answer = self._whole_head(connection)
        if answer is None:
            return Progress.MORE_TO_IT
        over, self._failed = True, False
        try:
            self._relay(answer, connection.buffer)
            over = self._reader is None or self._reader.done
        finally:
            if over:
                self._end()
        return Progress.DONE if over else Progress.MORE_TO_IT

    def _whole_head(self, connection: Connection) -> ResponseHead | None:
        """The head of an answer that needs no second thought; its body is left in the buffer."""
        buffer = connection.buffer
        end = buffer.find(b"\r\n\r\n")
        if not -1 < end <= self._limits.head or buffer[9:10] not in _PLAIN:
            return None
        try:
            answer = parse_response(buffer[: end + 4], self._head.method)
        except Malformed:
            return None  # met again by `run`, which may ask elsewhere
        connection.buffer = buffer[end + 4 :]
        return answer

    @property
    def awaited(self) -> Connection | None:
        """The connection that an answer is awaited on."""
        return self._connection

    def late(self) -> None:
        """The upstream has had its time; `run` says so."""
        self._late = True

    def abandon(self) -> None:
        """Let go of what it has, for the client is gone."""
        self._end()

    def _end(self) -> None:
        self.keep = self.keep and self.all_read
        self._release(False)
        if self._recording is not None:
            self._recording.drop(NotStored.INCOMPLETE)

    # --- one upstream after the other -----------------------------------------------------------

    def _attempt(self, addresses: Sequence[Address], request: bytes) -> Place | None:
        """Ask one upstream and begin to relay what it says; returns where to go instead, if it fails."""
        try:
            self._ask(addresses, request)
            answer, rest = self._answer()
        except (Refusal, Malformed) as trouble:
            place = self._elsewhere(trouble)
            if place is None:
                raise
            return place
        self._failed = is_failure(answer.status)
        if self._failed and (place := self._next(refused=False)) is not None:
            return place
        self._relay(answer, rest)
        return None

    @property
    def all_read(self) -> bool:
        """Whether nothing is left of the request's body."""
        return self._upload is None or self._upload.done

    # --- the way up -----------------------------------------------------------------------------

    def _ask(self, addresses: Sequence[Address], request: bytes) -> None:
        """Send the request, and once more if a kept connection proves to have ended."""
        if self._upload is not None and self._body is None:
            self._body = self._upload.first()
        first: Pieces = [request, *self._body] if self._body else [request]
        try:
            if self._connection is None:
                self._send(addresses, first, fresh=False)
            self._await()
        except UpstreamTrouble as trouble:
            if not (trouble.retry_safe and self._head.method in IDEMPOTENT and self._upload is None):
                raise
            self._disconnect()
            self._send(addresses, first, fresh=True)
            self._await()

    def _send(self, addresses: Sequence[Address], first: Pieces, *, fresh: bool) -> None:
        """Send what there is."""
        exchange = self._exchange
        self._patience()
        start = time.monotonic()
        connection = self._connection = self._pool.take(addresses, fresh=fresh)
        if self._until is not None:
            connection.until, connection.patience = self._until, self._limits.answer_timeout
        exchange.asked = time.monotonic()
        exchange.connecting += exchange.asked - start
        exchange.reused = connection.reused
        self._sent = True
        connection.send(first)

    def _await(self) -> None:
        """Wait for the first bytes of the answer."""
        connection = self._connection
        assert connection is not None
        if self._late:
            self._late = False
            raise UpstreamTrouble(504, End.UPSTREAM_SLOW, "the upstream did not answer in time")
        if self._upload is not None:
            self._upload.until_answer(connection)
        if self._hedge_after is not None:
            self._connection = None  # until one has won
            hedging = Hedging(self._pool, self._way, self._patience())
            self._connection = hedging.first_answer(connection, self._hedge_after)
        elif not connection.buffer:
            connection.receive()

    def _patience(self) -> float:
        """Seconds that an upstream has for the head of its answer; raises `Refusal` if it has none."""
        if self._until is None:
            return self._limits.answer_timeout
        left = self._until - time.monotonic()
        if left <= 0:
            raise Refusal(504, End.UPSTREAM_SLOW, "limits.request_timeout is over")
        return min(left, self._limits.answer_timeout)

    def _elsewhere(self, trouble: Refusal | Malformed) -> Place | None:
        """Where to go after trouble: nowhere if the client is the cause, or has seen a part of an answer."""
        if trouble.status < 500 or (isinstance(trouble, Refusal) and trouble.end is End.STOPPED):
            self._failed = None
            return None
        self._failed = True
        if self._until is not None and time.monotonic() >= self._until:
            return None
        return self._next(refused=isinstance(trouble, Refusal) and trouble.end is End.UPSTREAM_UNREACHABLE)

    def _next(self, *, refused: bool) -> Place | None:
        """Where to ask after a failure, with the body ready to be sent again."""
        body: Pieces | None = []
        repeatable = not self._sent or self._head.method in IDEMPOTENT
        if repeatable and self._upload is not None:
            body = self._upload.again() if self._sent else self._body
        place = self._way.failed(
            refused=refused and not self._sent, repeatable=repeatable and body is not None
        )
        if place is not None:
            self._disconnect()
            self._body, self._failed = body, None
        return place

    def _answer(self) -> tuple[ResponseHead, bytes]:
        """The final answer's head and what came behind it; 1xx are passed on (RFC 9110, 15.2)."""
        connection, limits = self._connection, self._limits
        assert connection is not None
        for _ in range(MOST_INTERIM):
            answer = parse_response(connection.read_head(limits.head, self._patience()), self._head.method)
            if answer.status >= 200:
                return answer, connection.buffer
            if answer.status == 101:
                self._switch(answer)
            if self._head.minor == 1:
                self._client.send([client_response(answer, UNTIL_CLOSE, b"")])
            if self._upload is not None and not connection.buffer:
                self._upload.until_answer(connection)
        raise Refusal(502, End.UPSTREAM_BAD, f"{MOST_INTERIM} interim answers and no final one")

    def _switch(self, answer: ResponseHead) -> None:
        """The upstream speaks another protocol from here on; raises."""
        raise Refusal(502, End.UPSTREAM_BAD, "the upstream switched protocols without being asked")

    # --- the way back ---------------------------------------------------------------------------

    def _relay(self, answer: ResponseHead, rest: bytes) -> None:
        """Send the head on, and what came of the body."""
        exchange, recording = self._exchange, self._recording
        exchange.answered = time.monotonic()
        if recording is not None:
            instead = recording.begin(answer, exchange.answered - exchange.asked)
            if instead is not None:
                self._release(answer.framing == 0 and not rest and self.all_read and answer.keeps_alive)
                self.send_stored(instead)
                return
        self.keep = self.keep and self.all_read
        framing = self._framing(answer)
        reader = self._reader = body_reader(answer.framing, self._limits.head)
        self._given, self._onward = answer, framing
        pieces = self._arrived(answer, reader, rest)
        added = connection_field(self._head, self.keep)
        if recording is not None:
            exchange.cache = recording.outcome
            added += status_field(exchange.cache)
        if answer.status >= 500:
            added += relayed(answer.status)
        self.begun = True
        exchange.status = answer.status
        out = encode(framing, pieces, reader) if framing is not None else []
        self._client.send([client_response(answer, framing, added), *out])
        exchange.sent = sum(map(len, pieces))

    def _relay_rest(self, worker: Worker) -> None:
        """Send on what is still to come of the body."""
        answer, reader, framing = self._given, self._reader, self._onward
        if answer is None or reader is None:
            return
        while not reader.done:
            pieces = self._arrived(answer, reader, self._more(worker.buffer, reader, framing))
            self._client.send(encode(framing or 0, pieces, reader) or [b""])
            self._exchange.sent += sum(map(len, pieces))

    def send_stored(self, stored: Stored) -> None:
        """Answer from the store: what the upstream has confirmed, or what stands in for it."""
        exchange, recording = self._exchange, self._recording
        assert recording is not None
        self.keep = self.keep and self.all_read
        exchange.cache = recording.outcome
        added = status_field(exchange.cache) + connection_field(self._head, self.keep)
        exchange.status, pieces = stored.respond(self._head, added, time.monotonic())
        self.begun = True
        self._client.send(pieces)
        exchange.sent = sum(map(len, pieces[1:]))

    def _framing(self, answer: ResponseHead) -> int | None:
        """How the body is framed towards the client; None for what has none but may say a length."""
        if self._head.method == "HEAD" or answer.status == 304:
            return None
        if answer.framing >= 0:
            return UNTIL_CLOSE if answer.status == 204 else answer.framing
        if self._head.minor == 1:
            return CHUNKED
        self.keep = False
        return UNTIL_CLOSE

    def _arrived(self, answer: ResponseHead, reader: BodyReader, data: bytes | memoryview) -> Pieces:
        """Take note of what arrived, before it is sent on: who asks again will find it stored."""
        try:
            pieces = reader.feed(data) if len(data) or not reader.done else []
        except Malformed as error:
            if self.begun:
                raise self._cut(End.UPSTREAM_BAD) from None
            raise Malformed(502, f"the upstream sent a {error.problem}") from None
        if self._recording is not None:
            self._recording.add(pieces)
        if reader.done:
            at_end = answer.framing != UNTIL_CLOSE and not reader.rest and self.all_read
            self._release(at_end and answer.keeps_alive)
            if self._recording is not None:
                self._recording.finish()
        return pieces

    def _more(self, buffer: memoryview, reader: BodyReader, framing: int | None) -> memoryview:
        """Wait for more of the body."""
        connection = self._connection
        assert connection is not None
        try:
            if self._upload is not None:
                self._upload.until_answer(connection)
            size = connection.receive_into(buffer)
        except BlockingIOError:
            raise self._cut(End.UPSTREAM_SLOW, framing) from None
        except OSError:
            raise self._cut(End.UPSTREAM_BROKEN, framing) from None
        except (Refusal, Malformed):
            raise self._cut(End.CLIENT_BAD, framing) from None
        if size == 0 and not reader.end():
            raise self._cut(End.UPSTREAM_BROKEN, framing)
        return buffer[:size]

    def _cut(self, end: End, framing: int | None = None) -> Cut:
        self._failed = end is not End.CLIENT_BAD
        if framing == UNTIL_CLOSE:
            self._client.reset_on_close()
        return Cut(end)

    # --- the connection -------------------------------------------------------------------------

    def _release(self, reusable: bool) -> None:
        """The upstream is done with the request; later calls do nothing."""
        if self._connection is not None and reusable:
            self._pool.put_back(self._connection)
            self._connection = None
        self._disconnect()
        self._way.finished(self._failed)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._pool.close(self._connection)
            self._connection = None
