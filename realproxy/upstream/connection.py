"""A connection to an upstream: calls that wait, with the time limits of the kernel.

Owner: the worker that took it, until it is put back into the pool or closed.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Sequence

from realproxy.errors import Termination, UpstreamError
from realproxy.http1 import Malformed
from realproxy.net.address import Address
from realproxy.net.tls import TlsSocket
from realproxy.runtime.blocking import BlockedThreads
from realproxy.runtime.sockets import DONTWAIT, send_pieces, set_time_limits

READ = 64 * 2**10
PEEK = DONTWAIT | int(socket.MSG_PEEK)


class UpstreamConnection:
    """One connection to an upstream.

    Attributes
    ----------
    sock : socket.socket
        Blocking, with the time limits of the kernel.
    address : Address
        What it was taken for.
    reused : bool
        Whether it has carried a request before.
    idle_since : float
        When it was put back, on the monotonic clock.
    buffer : bytes
        What has arrived and is not used yet.
    deadline : float or None
        When the present exchange must be over, on the monotonic clock.
    timeout : float
        Seconds that a call may wait anyway.
    watched : bool
        Whether the socket is in the front's epoll set.
    """

    __slots__ = (
        "_waits", "address", "buffer", "deadline", "idle_since", "reused", "sock", "timeout", "watched",
    )  # fmt: skip

    def __init__(self, sock: socket.socket, address: Address, waits: BlockedThreads) -> None:
        self.sock, self.address, self._waits = sock, address, waits.events
        self.reused = self.watched = False
        self.deadline: float | None = None
        self.timeout = 0.0
        self.idle_since = 0.0
        self.buffer = b""

    def send(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Send all of `pieces`; raises `UpstreamError`."""
        try:
            if self.deadline is not None:
                self._tighten(self.deadline)
            send_pieces(self.sock, pieces)
        except BlockingIOError:
            raise UpstreamError(
                504, Termination.UPSTREAM_SLOW, "the upstream does not take the request"
            ) from None
        except OSError:
            raise self._broken() from None

    def receive(self) -> None:
        """Wait for something to read, and append it to `buffer`; raises `UpstreamError`."""
        fd = self.sock.fileno()
        self._waits[fd] = select.POLLIN
        try:
            if self.deadline is not None:
                self._tighten(self.deadline)
            data = self.sock.recv(READ)
        except BlockingIOError:
            raise UpstreamError(
                504, Termination.UPSTREAM_SLOW, "the upstream did not answer in time"
            ) from None
        except OSError:
            raise self._broken() from None
        finally:
            del self._waits[fd]
        if not data:
            raise self._broken()
        self.buffer = self.buffer + data if self.buffer else data

    def try_send(self, data: bytes) -> bool:
        """Send without waiting; returns whether all of it could be sent."""
        try:
            return self.sock.send(data, DONTWAIT) == len(data)
        except OSError:
            return False

    def try_receive(self) -> bool:
        """Append what has arrived to `buffer`; returns False if nothing has, and the connection lives."""
        try:
            self.buffer += self.sock.recv(READ, DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True  # met again by who reads on
        return True

    def receive_into(self, buffer: memoryview) -> int:
        """Wait for something to read; returns its bytes, 0 at the end. Raises `OSError`."""
        fd = self.sock.fileno()
        self._waits[fd] = select.POLLIN
        try:
            if self.deadline is not None:
                self._tighten(self.deadline)
            return self.sock.recv_into(buffer)
        finally:
            del self._waits[fd]

    def _tighten(self, until: float) -> None:
        """Let the next call wait no longer than until then; raises `BlockingIOError` if that is past."""
        left = until - time.monotonic()
        if left <= 0:
            raise BlockingIOError
        left = min(left, self.timeout)
        set_time_limits(self.sock, left, left)

    def read_head(self, limit: int, timeout: float) -> bytes:
        """Wait for a whole response head; what arrived behind it is left in `buffer`.

        Parameters
        ----------
        limit : int
            Bytes that it may have.
        timeout : float
            Seconds until it must be whole.

        Raises
        ------
        UpstreamError
            504 when late, 502 when the connection ends.
        Malformed
            502 for a head that is too long.
        """
        deadline = 0.0
        while (end := self.buffer.find(b"\r\n\r\n")) < 0 and len(self.buffer) <= limit:
            deadline = deadline or time.monotonic() + timeout
            self._wait(deadline - time.monotonic())  # the socket's limit is for one read, not for the head
            self.receive()
        if not -1 < end <= limit:
            raise Malformed(502, "the upstream's head is too long")
        head, self.buffer = self.buffer[: end + 4], self.buffer[end + 4 :]
        return head

    def _wait(self, seconds: float) -> None:
        if isinstance(self.sock, TlsSocket) and self.sock.has_text:
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
            raise UpstreamError(504, Termination.UPSTREAM_SLOW, "the upstream's head took too long")

    def _broken(self) -> UpstreamError:
        return UpstreamError(
            502,
            Termination.UPSTREAM_BROKEN,
            "the upstream closed the connection instead of answering",
            retry_safe=self.reused and not self.buffer,
        )

    def is_alive(self) -> bool:
        """Whether an idle connection can be used: one that has something to read has ended, or lies."""
        try:
            self.sock.recv(1, PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False
