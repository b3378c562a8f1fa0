"""A parent proxy: the next proxy of a chain, by HTTP, HTTPS or SOCKS5, with credentials for it alone.

Runs in the worker that owns the client. A failure of the parent is a 502 or 504 that names it.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Iterator

from policies.bad_input import BadInput
from policies.basic_auth import basic
from policies.forward.parent import Parent
from policies.settings import Limits
from realproxy.errors import Termination, UpstreamError
from realproxy.http1 import Malformed, ResponseHead, head_end, parse_response
from realproxy.net.address import Address
from realproxy.net.dial import connect
from realproxy.net.resolver import Resolver
from realproxy.net.tls import TlsSocket, client_context, shake_hands
from realproxy.socks import ClientHandshake, Refused
from realproxy.upstream.endpoint import Endpoint

READ = 16 * 2**10


class ParentProxy:
    """The next proxy of a chain.

    Its response, for which ``limits.answer_timeout`` is, includes its connection to the target. `fields` are
    the field lines with credentials. Raises `BadInput` if the file of `authorities` cannot be used.
    """

    def __init__(self, parent: Parent, authorities: str | None, resolver: Resolver, limits: Limits) -> None:
        self.parent, self._resolver, self._limits = parent, resolver, limits
        self.name = parent.name
        self.takes_requests = parent.scheme != "socks5"
        self.address: Address = (parent.host, parent.port)
        value = basic(parent.user, parent.password) if parent.user else ""
        self.fields = f"Proxy-Authorization: {value}\r\n".encode() if value else b""
        self._context = _context(authorities) if parent.scheme == "https" else None

    def check_response(self, response: ResponseHead) -> None:
        """A parent that asks for credentials means this proxy, not the client: raises `UpstreamError` 502."""
        if response.status == 407:  # RFC 9110, 15.5.8
            raise UpstreamError(502, Termination.UPSTREAM_BAD, "the parent: it wants other credentials")

    def endpoint(self, host: str, port: int) -> Endpoint:
        """Where to send a plain request for a target."""
        name = self.name  # holds a scheme, so no plain connection has the same key
        if self.takes_requests:
            key = (name, self.parent.port)
            return Endpoint([self.address], key=key, dialer=lambda *_: self.connect())
        key = (f"{name} {host}", port)
        return Endpoint([(host, port)], key=key, dialer=lambda *_: self._socket_to(host, port))

    def _socket_to(self, host: str, port: int) -> socket.socket:
        sock, rest = self.open_tunnel(host, port)
        if rest:
            sock.close()
            raise self._error("something came before the request")
        return sock

    def connect(self) -> socket.socket:
        """A connection to the parent itself; raises `UpstreamError`."""
        try:
            sock = connect(self._resolver.resolve(self.address), self._limits.connect_timeout)
        except UpstreamError as error:
            raise self._error(error.detail, error.status, error.end) from None
        return sock if self._context is None else self._secured(sock, self._context)

    def open_tunnel(self, host: str, port: int, fields: bytes = b"") -> tuple[socket.socket, bytes]:
        """See `realproxy.proxying.forward_access.NextProxy`; raises `UpstreamError` 502 or 504."""
        sock = self.connect()
        deadline = time.monotonic() + self._limits.answer_timeout
        with self._close_on_error(sock):
            if self.parent.scheme == "socks5":
                rest = self._ask_socks(sock, host, port, deadline)
            else:
                rest = self._ask_connect(sock, host, port, deadline, fields)
            sock.settimeout(None)
        return sock, rest

    @contextlib.contextmanager
    def _close_on_error(self, sock: socket.socket) -> Iterator[None]:
        try:
            yield
        except TimeoutError:
            sock.close()
            raise self._error("no answer in time", 504, Termination.UPSTREAM_SLOW) from None
        except ssl.SSLError as error:
            sock.close()
            reason = getattr(error, "verify_message", "") or error.reason or "TLS failed"
            raise self._error(reason.lower().replace("_", " ")) from None
        except OSError as error:
            sock.close()
            reason = (error.strerror or str(error)).lower()
            raise self._error(reason, end=Termination.UPSTREAM_BROKEN) from None
        except UpstreamError:
            sock.close()
            raise

    def _secured(self, plain: socket.socket, context: ssl.SSLContext) -> socket.socket:
        sock = TlsSocket(plain, context, self.parent.host)
        deadline = time.monotonic() + self._limits.connect_timeout
        with self._close_on_error(sock):
            shake_hands(sock, deadline)
        return sock

    def refused(self, status: int) -> UpstreamError:
        """The error for a client of this proxy if the parent refuses its request."""
        if status == 508:
            return self._error("the request goes in circles behind it", 508, Termination.LOOP)
        reason = "it wants other credentials" if status == 407 else f"it answers {status}"
        return self._error(reason)

    def _error(
        self, reason: str, status: int = 502, end: Termination = Termination.UPSTREAM_BAD
    ) -> UpstreamError:
        return UpstreamError(status, end, f"the parent {self.name}: {reason}")

    def _receive(self, sock: socket.socket, deadline: float) -> bytes:
        sock.settimeout(max(0.001, deadline - time.monotonic()))
        data = sock.recv(READ)
        if not data:
            reason = "it closed the connection instead of answering"
            raise self._error(reason, end=Termination.UPSTREAM_BROKEN)
        return data

    def _ask_socks(self, sock: socket.socket, host: str, port: int, deadline: float) -> bytes:
        handshake = ClientHandshake(host, port, self.parent.user, self.parent.password)
        sock.settimeout(max(0.001, deadline - time.monotonic()))
        sock.sendall(handshake.start())
        try:
            while not handshake.done:
                reply = handshake.feed(self._receive(sock, deadline))
                if reply:
                    sock.sendall(reply)
        except Refused as refused:
            raise self._error(str(refused)) from None
        return handshake.rest

    def _ask_connect(
        self, sock: socket.socket, host: str, port: int, deadline: float, fields: bytes
    ) -> bytes:
        # RFC 9110, 9.3.6: after the head of a 2xx, the connection is a tunnel
        authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        start = f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n".encode()
        sock.settimeout(max(0.001, deadline - time.monotonic()))
        sock.sendall(start + self.fields + fields + b"\r\n")
        data = b""
        while not (end := head_end(data)):
            if len(data) > self._limits.head:
                raise self._error("the head of its answer is too long")
            data += self._receive(sock, deadline)
        try:
            # No body follows, whatever the length fields say: the same as after HEAD. RFC 9112, 6.3
            response = parse_response(data[:end], "HEAD")
        except Malformed as error:
            raise self._error(error.problem) from None
        if response.status == 101 or not 200 <= response.status < 300:
            raise self.refused(response.status)
        return data[end:]


def _context(authorities: str | None) -> ssl.SSLContext:
    try:
        return client_context(authorities)
    except OSError as error:
        reason = "no certificate in it" if isinstance(error, ssl.SSLError) else (error.strerror or "").lower()
        raise BadInput("forward.parent_ca", "", f"{authorities}: {reason}") from None
