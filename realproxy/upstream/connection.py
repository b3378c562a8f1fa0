"""A connection to an upstream: blocking calls, with time limits of the kernel.

Owner: the worker that acquired it, until it is released to the pool or closed.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Sequence

from realproxy.errors import Termination, UpstreamError
from realproxy.http1 import Malformed, head_end
from realproxy.net.tls import TlsSocket, fault_of, reason_of
from realproxy.runtime.blocking import BlockedThreads
from realproxy.runtime.sockets import DONTWAIT, send_pieces, set_time_limits
from realproxy.upstream.endpoint import Endpoint

READ = 64 * 2**10
PEEK = DONTWAIT | int(socket.MSG_PEEK)


class UpstreamConnection:
    """One connection to an upstream. Times are in seconds, and on the monotonic clock."""

    __slots__ = (
        "_waits", "buffer", "deadline", "endpoint", "idle_since", "limited", "reused", "sock", "timeout",
        "watched",
    )  # fmt: skip

    def __init__(self, sock: socket.socket, endpoint: Endpoint, waits: BlockedThreads) -> None:
        self.sock, self.endpoint, self._waits = sock, endpoint, waits.events
        self.reused = False  # it has carried a request before
        self.watched = False  # the socket is in the event loop's epoll set
        self.deadline: float | None = None  # when the present request must be over
        self.timeout = 0.0  # for one call, if there is a deadline
        self.limited = False  # the kernel's limits are those of the present request
        self.idle_since = 0.0  # when it was released
        self.buffer = b""  # what has arrived and is not used yet

    def send(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Send all of `pieces`; raises `UpstreamError`."""
        try:
            if self.deadline is not None:
                self._limit_wait(self.deadline)
            send_pieces(self.sock, pieces)
        except BlockingIOError:
            raise _slow("the upstream does not take the request") from None
        except OSError:
            raise self._broken() from None

    def receive(self) -> None:
        """Wait for data and append it to `buffer`; raises `UpstreamError`, also at the end."""
        fd = self.sock.fileno()
        self._waits[fd] = select.POLLIN
        try:
            if self.deadline is not None:
                self._limit_wait(self.deadline)
            data = self.sock.recv(READ)
        except BlockingIOError:
            raise _slow("the upstream did not answer in time") from None
        except OSError:
            raise self._broken() from None
        finally:
            del self._waits[fd]
        if not data:
            raise self._broken()
        self.buffer = self.buffer + data if self.buffer else data

    def try_send(self, data: bytes) -> bool:
        """Send without waiting; returns whether all of `data` was sent."""
        try:
            return self.sock.send(data, DONTWAIT) == len(data)
        except OSError:
            return False

    def try_receive(self) -> bool:
        """Append to `buffer` without waiting; False if nothing has arrived and the connection is open."""
        try:
            self.buffer += self.sock.recv(READ, DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True  # the next read meets the error again
        return True

    def receive_into(self, buffer: memoryview) -> int:
        """Wait for data; returns the bytes in `buffer`, 0 at the end. Raises `OSError`."""
        fd = self.sock.fileno()
        self._waits[fd] = select.POLLIN
        try:
            if self.deadline is not None:
                self._limit_wait(self.deadline)
            return self.sock.recv_into(buffer)
        finally:
            del self._waits[fd]

    def _limit_wait(self, deadline: float) -> None:
        """Let the next call wait until `deadline` at most; raises `BlockingIOError` if that is past."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise BlockingIOError
        left, self.limited = min(left, self.timeout), True
        set_time_limits(self.sock, left, left)

    def read_head(self, limit: int, timeout: float) -> bytes:
        """Wait for a whole response head, of `limit` bytes at most; data after it stays in `buffer`.

        Raises `UpstreamError` 504 if the head takes longer than `timeout` seconds, 502 if the connection
        ends, and `Malformed` 502 if the head is too long.
        """
        deadline = 0.0
        while not (end := head_end(self.buffer)) and len(self.buffer) <= limit:
            deadline = deadline or time.monotonic() + timeout
            self._wait(deadline - time.monotonic())  # the kernel's limit is for one read, not for the head
            self.receive()
        if not 0 < end <= limit + 4:
            raise Malformed(502, "the upstream's head is too long")
        head, self.buffer = self.buffer[:end], self.buffer[end:]
        return head

    def _wait(self, seconds: float) -> None:
        if isinstance(self.sock, TlsSocket) and self.sock.has_plaintext:
            return
        fd = self.sock.fileno()
        poller = select.poll()
        poller.register(fd, select.POLLIN)
        self._waits[fd] = select.POLLIN
        try:
            in_time = seconds > 0 and poller.poll(seconds * 1000)
        finally:
            del self._waits[fd]
        if not in_time:
            raise _slow("the upstream's head took too long")

    def _broken(self) -> UpstreamError:
        refusal = self.sock.failure() if isinstance(self.sock, TlsSocket) else None
        if refusal is not None:
            problem = f"TLS with the upstream: {reason_of(refusal)}"
            return UpstreamError(502, Termination.UPSTREAM_BAD, problem, fault=fault_of(refusal))
        detail = "the upstream closed the connection instead of answering"
        retry_safe = self.reused and not self.buffer
        return UpstreamError(502, Termination.UPSTREAM_BROKEN, detail, retry_safe=retry_safe)

    def is_alive(self) -> bool:
        """Whether an idle connection can be used: if it has data, it has ended or breaks the protocol."""
        try:
            self.sock.recv(1, PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False


def _slow(detail: str) -> UpstreamError:
    return UpstreamError(504, Termination.UPSTREAM_SLOW, detail)
