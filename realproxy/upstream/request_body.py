"""The body of a request on its way upstream. Runs in the worker that owns both connections."""

from __future__ import annotations

import select
import socket
import time

from policies.settings import Limits
from realproxy.downstream.connection import DownstreamConnection
from realproxy.errors import LocalReply, Termination, UpstreamError
from realproxy.http1 import CHUNKED, BodyReader, RequestHead, body_reader
from realproxy.messages.headers import trailer_lines
from realproxy.net.tls import TlsSocket
from realproxy.runtime.blocking import BlockedThreads
from realproxy.upstream.connection import UpstreamConnection

Pieces = list[bytes | memoryview]

READ = 128 * 2**10
KEEP = 64 * 2**10
"""Bytes of a body that are kept, in case the request has to be sent again."""


def encode(framing: int, pieces: Pieces, reader: BodyReader) -> Pieces:
    """What to send for `pieces` of a body, with the end of the body if `reader` has reached it."""
    if framing != CHUNKED:
        return pieces
    size = sum(len(piece) for piece in pieces)
    coded: Pieces = [b"%x\r\n" % size, *pieces, b"\r\n"] if size else []
    if reader.done:
        coded.append(b"0\r\n%b\r\n" % trailer_lines(reader.trailer))
    return coded


class RequestBody:
    """The body of a request on its way upstream.

    `until_answer` waits for both sides, so that an upstream may respond before it has read everything.
    Memory is bounded by one read and `KEEP`. `until` is when the request must be over, on the monotonic
    clock.
    """

    def __init__(
        self, client: DownstreamConnection, head: RequestHead, limits: Limits, waits: BlockedThreads,
        until: float | None = None,
    ) -> None:  # fmt: skip
        self._client, self._framing, self._limits, self._waits = client, head.framing, limits, waits
        self._reader = body_reader(head.framing, limits.head, head.fields)
        self._unsent = memoryview(b"")
        self._given_up = False
        self._until, self._pace = until, client.pace.fresh() if client.pace is not None else None
        self._kept: Pieces | None = []
        self._size = 0  # bytes of the body that have arrived, without the frames of chunks

    @property
    def done(self) -> bool:
        """Whether all of it was sent."""
        return self._reader.done and not self._unsent

    def first(self) -> Pieces:
        """What had arrived together with the head."""
        data, self._client.buffer = self._client.buffer, b""
        return self._read(data) if data else []

    def skip(self) -> bool:
        """Drop what has arrived; returns whether the body is complete. Raises `Malformed`."""
        if not self._reader.done:
            self.first()
        return self._reader.done

    def _read(self, data: bytes) -> Pieces:
        found = self._reader.feed(data)
        pieces = encode(self._framing, found, self._reader)
        if self._reader.done:
            self._client.buffer = self._reader.rest
        self._size += sum(map(len, found))
        if self._limits.body is not None and self._size > self._limits.body:
            raise LocalReply(413, Termination.REFUSED, f"the body is larger than {self._limits.body} bytes")
        if self._kept is not None:
            self._kept = [*self._kept, *pieces] if self._size <= KEEP else None
        return pieces

    def kept(self) -> Pieces | None:
        """All that was sent; None if it was too much to keep."""
        return self._kept

    def again(self) -> Pieces | None:
        """What to send first to another upstream; None if too much of the body was not kept."""
        self._unsent, self._given_up = memoryview(b""), False
        return self._kept

    def until_answer(self, connection: UpstreamConnection) -> None:
        """Go on sending until the upstream has sent something, or the whole body is sent.

        Raises `LocalReply` (504 if the upstream does not read on, 408 if the client is slow), `Malformed`
        400, or `Aborted` if the client is gone.
        """
        while not (self.done or self._given_up):
            if self._wait(connection.sock):
                return
            if self._unsent:
                self._send(connection.sock)
            else:
                data = self._client.receive(READ)
                if self._pace is not None:
                    self._pace.moved(len(data))
                self._unsent = memoryview(b"".join(self._read(data)))

    def _wait(self, upstream: socket.socket) -> bool:
        """Wait until a socket is ready; returns whether the upstream has sent something."""
        poller = select.poll()
        poller.register(upstream, select.POLLIN | (select.POLLOUT if self._unsent else 0))
        if not self._unsent:
            poller.register(self._client.sock, select.POLLIN)
        limits = self._limits
        seconds = limits.answer_timeout if self._unsent else limits.idle_timeout
        if self._pace is not None and not self._unsent:
            seconds = max(0.0, min(seconds, self._pace.time_left))
        if self._until is not None:
            seconds = max(0.0, min(seconds, self._until - time.monotonic()))
        before = time.monotonic()
        try:
            with self._waits.blocking():
                return self._first_event(poller, upstream, before + seconds)
        finally:
            if self._pace is not None and not self._unsent:
                self._pace.waited(time.monotonic() - before)

    def _first_event(self, poller: select.poll, upstream: socket.socket, until: float) -> bool:
        """As `_wait`, until a point in time; TLS records without data do not count."""
        while True:
            ready = dict(poller.poll(max(0.0, 1000 * (until - time.monotonic()))))
            if not ready and self._unsent:
                raise UpstreamError(504, Termination.UPSTREAM_SLOW, "the upstream does not take the request")
            if not ready:
                raise LocalReply(408, Termination.CLIENT_SLOW, "the request body took too long")
            of_upstream = ready.pop(upstream.fileno(), 0)
            if of_upstream & ~select.POLLOUT and _is_readable(upstream):
                return True
            if of_upstream & select.POLLOUT or (ready and _is_readable(self._client.sock)):
                return False

    def _send(self, upstream: socket.socket) -> None:
        try:
            self._unsent = self._unsent[upstream.send(self._unsent, socket.MSG_DONTWAIT) :]
        except BlockingIOError:
            return
        except OSError:
            self._given_up = True  # the upstream reads no more, but may have sent its response


def _is_readable(sock: socket.socket) -> bool:
    """Whether a read from a socket with an event would not wait."""
    return not isinstance(sock, TlsSocket) or sock.is_readable()
