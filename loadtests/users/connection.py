"""One kept-alive HTTP connection of a load test's client, timed close to its socket.

geventhttpclient parses the responses, but its clients are not used. They repeat a GET if the server closes
the connection without a response. That would hide the failure and count its work twice.
"""

from __future__ import annotations

import select
import socket
import time
from typing import NamedTuple

from gevent.monkey import get_original
from geventhttpclient.response import HTTPParseError, HTTPResponse

_POLL = get_original("select", "poll")
_BLOCK = 256 * 1024


class Exchange(NamedTuple):
    """The result of one request.

    Attributes
    ----------
    sent, done : float
        Times on the monotonic clock: before the first byte was sent, after the last byte arrived.
    status : int
        HTTP status; 0 if there was no complete response.
    size : int
        Received bytes of the body.
    cache_status, upstream, cookie : str
        The fields Cache-Status, Proxytwin-Upstream and Set-Cookie; empty if the response does not have them.
        X-Cache stands for a Cache-Status that is missing.
    refusal : str
        The field Proxytwin-Refusal: why a backend does not work on this scenario's requests.
    problem : Exception or None
        Why there was no response.
    """

    sent: float
    done: float
    status: int
    size: int
    cache_status: str = ""
    upstream: str = ""
    refusal: str = ""
    cookie: str = ""
    problem: Exception | None = None


class _Answer(HTTPResponse):
    """A response; its body is counted, not kept."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 0

    def _on_body(self, buf: bytearray) -> None:
        self.size += len(buf)

    @property
    def ended(self) -> bool:
        """Whether the final response is complete; 1xx responses are not final."""
        return self.message_complete and self.get_code() >= 200

    def text(self, field: str) -> str:
        """A field's value; several lines are joined (RFC 9110, section 5.2)."""
        value = self.get(field) or ""
        return value if isinstance(value, str) else ", ".join(value)


def _of_x_cache(said: str) -> str:
    """X-Cache of Squid and others as Cache-Status, of the cache next to the client; empty if it is no hit."""
    return "x-cache; hit" if said.rpartition(",")[2].strip().upper().startswith("HIT") else ""


class Connection:
    """A connection that is opened at its first use and stays open as long as the server keeps it open.

    Parameters
    ----------
    host, port
        The server.
    source : str, optional
        Local address of the connection.
    timeout : float
        Longest wait in seconds, to connect and between two reads.
    """

    def __init__(self, host: str, port: int, source: str | None = None, timeout: float = 60.0) -> None:
        self._address = (host, port)
        self._source = None if source is None else (source, 0)
        self._timeout = timeout
        self._socket: socket.socket | None = None
        self._poll = _POLL()

    def open(self) -> socket.socket:
        """Connect, unless there is a connection that is still open.

        Raises
        ------
        OSError
            If the server cannot be reached.
        """
        if self._socket is not None:
            if not self._poll.poll(0):
                return self._socket
            self.close()
        self._socket = socket.create_connection(self._address, self._timeout, self._source)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._poll.register(self._socket.fileno(), select.POLLIN)
        return self._socket

    def fetch(self, request: bytes) -> Exchange:
        """Send a request once and read its whole response; failures are in the result, not raised."""
        answer = _Answer()
        sent = time.monotonic()
        try:
            connection = self.open()
            connection.sendall(request)
            while not answer.ended:
                data = connection.recv(_BLOCK)
                answer.feed(data)
                if not data and not answer.ended:
                    raise ConnectionError("the server closed the connection before the end of its answer")
        except (OSError, HTTPParseError) as problem:
            self.close()
            return Exchange(sent, time.monotonic(), 0, answer.size, problem=problem)
        done = time.monotonic()
        if answer.should_close():
            self.close()
        return Exchange(
            sent,
            done,
            answer.get_code(),
            answer.size,
            answer.text("cache-status") or _of_x_cache(answer.text("x-cache")),
            answer.text("proxytwin-upstream"),
            answer.text("proxytwin-refusal"),
            answer.text("set-cookie"),
        )

    def abandon(self) -> None:
        """End the connection, which wakes a greenlet that waits for a response."""
        if self._socket is not None:
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket, if there is one."""
        if self._socket is not None:
            self._poll.unregister(self._socket.fileno())
            self._socket.close()
            self._socket = None
