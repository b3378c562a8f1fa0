"""The answer of an upstream on its way back to the client. Memory does not grow with a body.

Runs in the worker that owns the client, or (`ask_at_once`, `answer_at_once`) in the front thread,
which never waits.
"""

from __future__ import annotations

import time
from enum import Enum

from policies.http_cache.freshness import NotStored
from realproxy.cache.cache_status import status_field
from realproxy.cache.entry import CacheEntry
from realproxy.cache.writer import CacheWriter
from realproxy.errors import Aborted, LocalReply, Termination
from realproxy.http1 import CHUNKED, UNTIL_CLOSE, BodyReader, Malformed, ResponseHead, body_reader
from realproxy.messages.headers import client_response, connection_field
from realproxy.messages.proxy_status import relayed
from realproxy.proxying.worker import ThreadState
from realproxy.upstream.connection import UpstreamConnection
from realproxy.upstream.request_body import Pieces, encode
from realproxy.upstream.round_trip import RoundTrip


class ReadProgress(Enum):
    """How far an answer has come without a wait."""

    NOTHING_YET = "nothing has arrived"
    MORE_TO_IT = "somebody must wait for more, or ask elsewhere"
    DONE = "all of it was sent on"


class ResponseForwarder:
    """One request to an upstream and its answer back to the client.

    Parameters
    ----------
    hop : RoundTrip
        Who is asked, and for whom.
    recording : CacheWriter or None
        For an answer that may be stored.
    keep : bool
        Whether the client's connection may live on as far as the client is concerned.

    Attributes
    ----------
    keep : bool
        Whether the client's connection may carry another request, as far as is known by now.
    """

    __slots__ = (
        "_begun", "_client", "_exchange", "_given", "_head", "_hop", "_onward", "_reader", "_recording",
        "keep",
    )  # fmt: skip

    def __init__(self, hop: RoundTrip, recording: CacheWriter | None, keep: bool) -> None:
        self._hop, self._recording = hop, recording
        self._client, self._exchange, self._head = hop.client, hop.exchange, hop.head
        self._reader: BodyReader | None = None
        self._given: ResponseHead | None = None
        self._onward: int | None = None
        self.keep, self._begun = keep, False

    @property
    def all_read(self) -> bool:
        """Whether nothing is left of the request's body."""
        return self._hop.all_read

    def skip_body(self) -> bool:
        """Drop what has arrived of the request's body, for it goes nowhere; returns whether that was all."""
        return self._hop.skip_body()

    @property
    def awaited(self) -> UpstreamConnection | None:
        """The connection that an answer is awaited on."""
        return self._hop.connection

    def run(self, worker: ThreadState) -> None:
        """Do it, or what is left of it, and wait for whatever it takes.

        Parameters
        ----------
        worker : ThreadState
            Has memory for long bodies.

        Raises
        ------
        LocalReply, Malformed
            While nothing was sent to the client.
        Aborted
            When nothing more can be sent to it.
        """
        try:
            if not self._begun:
                self._relay(*self._hop.answer())
            self._relay_rest(worker)
        finally:
            self._end()

    def late(self) -> None:
        """The upstream has had its time; `run` says so."""
        self._hop.late()

    def abandon(self) -> None:
        """Let go of what it has, for the client is gone."""
        self._end()

    # --- without waiting ------------------------------------------------------------------------

    def ask_at_once(self) -> bool:
        """Send the request if that needs no wait; if not, `run` goes on from here. See `RoundTrip`."""
        return self._hop.ask_at_once()

    def answer_at_once(self) -> ReadProgress:
        """Pass on as much of the answer as has arrived; `run` goes on from here if there is more to it.

        Raises
        ------
        Refusal, Malformed, Cut
            Like `run`.
        """
        connection = self._hop.connection
        assert connection is not None
        if not connection.try_receive():
            return ReadProgress.NOTHING_YET
        answer = self._hop.head_at_once(connection)
        if answer is None:
            return ReadProgress.MORE_TO_IT
        over = True
        try:
            self._relay(answer, connection.buffer)
            over = self._reader is None or self._reader.done
        finally:
            if over:
                self._end()
        return ReadProgress.DONE if over else ReadProgress.MORE_TO_IT

    # --- the way back ---------------------------------------------------------------------------

    def _relay(self, answer: ResponseHead, rest: bytes) -> None:
        """Send the head on, and what came of the body."""
        exchange, recording = self._exchange, self._recording
        exchange.answered = time.monotonic()
        if recording is not None:
            instead = recording.begin(answer, exchange.answered - exchange.asked)
            if instead is not None:
                self._hop.release(answer.framing == 0 and not rest and self.all_read and answer.keeps_alive)
                self.send_stored(instead)
                return
        self.keep = self.keep and self.all_read and not self._client.leaving
        framing = self._framing(answer)
        reader = self._reader = body_reader(answer.framing, self._hop.limits.head)
        self._given, self._onward = answer, framing
        pieces = self._arrived(answer, reader, rest)
        added = connection_field(self._head, self.keep)
        if recording is not None:
            exchange.cache = recording.outcome
            added += status_field(exchange.cache)
        if answer.status >= 500:
            added += relayed(answer.status)
        self._begun = True
        exchange.status = answer.status
        out = encode(framing, pieces, reader) if framing is not None else []
        self._client.send([client_response(answer, framing, added), *out])
        exchange.sent = sum(map(len, pieces))

    def _relay_rest(self, worker: ThreadState) -> None:
        """Send on what is still to come of the body."""
        answer, reader, framing = self._given, self._reader, self._onward
        if answer is None or reader is None:
            return
        while not reader.done:
            pieces = self._arrived(answer, reader, self._more(worker.buffer, reader, framing))
            self._client.send(encode(framing or 0, pieces, reader) or [b""])
            self._exchange.sent += sum(map(len, pieces))

    def send_stored(self, stored: CacheEntry) -> None:
        """Answer from the store: what the upstream has confirmed, or what stands in for it."""
        exchange, recording = self._exchange, self._recording
        assert recording is not None
        self.keep = self.keep and self.all_read and not self._client.leaving
        exchange.cache = recording.outcome
        added = status_field(exchange.cache) + connection_field(self._head, self.keep)
        exchange.status, pieces = stored.respond(self._head, added, time.monotonic())
        self._begun = True
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
            if self._begun:
                raise self._cut(Termination.UPSTREAM_BAD) from None
            raise Malformed(502, f"the upstream sent a {error.problem}") from None
        if self._recording is not None:
            self._recording.add(pieces)
        if reader.done:
            at_end = answer.framing != UNTIL_CLOSE and not reader.rest and self.all_read
            self._hop.release(at_end and answer.keeps_alive)
            if self._recording is not None:
                self._recording.finish()
        return pieces

    def _more(self, buffer: memoryview, reader: BodyReader, framing: int | None) -> memoryview:
        """Wait for more of the body."""
        try:
            size = self._hop.more(buffer)
        except BlockingIOError:
            raise self._cut(Termination.UPSTREAM_SLOW, framing) from None
        except OSError:
            raise self._cut(Termination.UPSTREAM_BROKEN, framing) from None
        except (LocalReply, Malformed):
            raise self._cut(Termination.CLIENT_BAD, framing) from None
        if size == 0 and not reader.end():
            raise self._cut(Termination.UPSTREAM_BROKEN, framing)
        return buffer[:size]

    def _cut(self, end: Termination, framing: int | None = None) -> Aborted:
        self._hop.failed = end is not Termination.CLIENT_BAD
        if framing == UNTIL_CLOSE:
            self._client.reset_on_close()
        return Aborted(end)

    def _end(self) -> None:
        self.keep = self.keep and self.all_read
        self._hop.release(False)
        if self._recording is not None:
            self._recording.drop(NotStored.INCOMPLETE)
