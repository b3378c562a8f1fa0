"""Asking the next proxy of a chain: by CONNECT or SOCKS5, with credentials that only it gets.

Runs in the worker that owns the client. What goes wrong with the parent is a 502 or 504 that names it.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import time
from collections.abc import Iterator

from policies.bad_input import BadInput
from policies.forward.basic_auth import basic
from policies.forward.parent import Parent
from policies.settings import Limits
from realproxy.errors import Termination, UpstreamError
from realproxy.http1 import Malformed, ResponseHead, parse_response
from realproxy.net.address import Address, Detour
from realproxy.net.dial import connect
from realproxy.net.resolver import Resolver
from realproxy.net.tls import TlsSocket
from realproxy.socks import ClientHandshake, Refused
from realproxy.upstream.round_trip import RoundTrip

READ = 16 * 2**10


class ParentProxy:
    """The next proxy.

    Parameters
    ----------
    parent : Parent
        Where it is, and what it wants to know.
    authorities : str or None
        File of the certificates that its own must be signed by; the system's without it.
    resolver : Resolver
        Finds it.
    limits : Limits
        From the settings: ``connect_timeout`` to reach it, ``answer_timeout`` for its answer, which
        includes its own way to the target.

    Raises
    ------
    BadInput
        If the file of certificates cannot be used.

    Attributes
    ----------
    fields : bytes
        Field lines with credentials for each request that it gets.
    """

    def __init__(self, parent: Parent, authorities: str | None, resolver: Resolver, limits: Limits) -> None:
        self.parent, self._resolver, self._limits = parent, resolver, limits
        self.address: Address = (parent.host, parent.port)
        value = basic(parent.user, parent.password) if parent.user else ""
        self.fields = f"Proxy-Authorization: {value}\r\n".encode() if value else b""
        self._context = _context(authorities) if parent.scheme == "https" else None

    @property
    def takes_requests(self) -> bool:
        """Whether plain requests are sent to it as they are; else each needs a tunnel."""
        return self.parent.scheme != "socks5"

    def endpoint(self, host: str, port: int) -> Detour:
        """Where to send a plain request for `host`."""
        name = self.parent.name
        if self.takes_requests:
            return Detour.by(name, self.parent.port, self.connect)
        return Detour.by(f"{name} {host}", port, lambda: self._socket_to(host, port))

    def _socket_to(self, host: str, port: int) -> socket.socket:
        sock, rest = self.open(host, port)
        if rest:
            sock.close()
            raise self._trouble("something came before the request", end=Termination.UPSTREAM_BAD)
        return sock

    def connect(self) -> socket.socket:
        """A connection to the parent itself; raises `UpstreamError`."""
        try:
            sock = connect(self._resolver.resolve(self.address), self._limits.connect_timeout)
        except UpstreamError as trouble:
            raise self._trouble(trouble.detail, trouble.status, trouble.end) from None
        return sock if self._context is None else self._secured(sock, self._context)

    def open(self, host: str, port: int, fields: bytes = b"") -> tuple[socket.socket, bytes]:
        """A connection to the target through the parent, and the first bytes that came from there.

        Parameters
        ----------
        host, port
            The target.
        fields : bytes, optional
            Lines for a parent that is asked by HTTP.

        Raises
        ------
        UpstreamError
            502 or 504, naming the parent.
        """
        sock = self.connect()
        deadline = time.monotonic() + self._limits.answer_timeout
        with self._closing(sock):
            if self.parent.scheme == "socks5":
                rest = self._ask_socks(sock, host, port, deadline)
            else:
                rest = self._ask_connect(sock, host, port, deadline, fields)
            sock.settimeout(None)
        return sock, rest

    @contextlib.contextmanager
    def _closing(self, sock: socket.socket) -> Iterator[None]:
        """Close it if something goes wrong, and say what."""
        try:
            yield
        except TimeoutError:
            sock.close()
            raise self._trouble("no answer in time", 504, Termination.UPSTREAM_SLOW) from None
        except ssl.SSLError as error:
            sock.close()
            reason = getattr(error, "verify_message", "") or error.reason or "TLS failed"
            raise self._trouble(reason.lower().replace("_", " "), end=Termination.UPSTREAM_BAD) from None
        except OSError as error:
            sock.close()
            raise self._trouble(
                (error.strerror or str(error)).lower(), end=Termination.UPSTREAM_BROKEN
            ) from None
        except UpstreamError:
            sock.close()
            raise

    def _secured(self, plain: socket.socket, context: ssl.SSLContext) -> socket.socket:
        sock = TlsSocket(plain, context, self.parent.host)
        deadline = time.monotonic() + self._limits.connect_timeout
        with self._closing(sock):
            poller = select.poll()
            poller.register(sock, select.POLLIN)
            while not sock.handshake():
                if not poller.poll(max(0.0, 1000 * (deadline - time.monotonic()))):
                    raise TimeoutError
        return sock

    def refused(self, status: int) -> UpstreamError:
        """What a refusal by the parent means to a client of this proxy."""
        if status == 508:
            return self._trouble("the request goes in circles behind it", 508, Termination.LOOP)
        reason = "it wants other credentials" if status == 407 else f"it answers {status}"
        return self._trouble(reason, end=Termination.UPSTREAM_BAD)

    def _trouble(
        self, reason: str, status: int = 502, end: Termination = Termination.UPSTREAM_UNREACHABLE
    ) -> UpstreamError:
        return UpstreamError(status, end, f"the parent {self.parent.name}: {reason}")

    def _receive(self, sock: socket.socket, deadline: float) -> bytes:
        sock.settimeout(max(0.001, deadline - time.monotonic()))
        data = sock.recv(READ)
        if not data:
            raise self._trouble(
                "it closed the connection instead of answering", end=Termination.UPSTREAM_BROKEN
            )
        return data

    def _ask_socks(self, sock: socket.socket, host: str, port: int, deadline: float) -> bytes:
        asking = ClientHandshake(host, port, self.parent.user, self.parent.password)
        sock.settimeout(max(0.001, deadline - time.monotonic()))
        sock.sendall(asking.start())
        try:
            while not asking.done:
                answer = asking.feed(self._receive(sock, deadline))
                if answer:
                    sock.sendall(answer)
        except Refused as refused:
            raise self._trouble(refused.problem, end=Termination.UPSTREAM_BAD) from None
        return asking.rest

    def _ask_connect(
        self, sock: socket.socket, host: str, port: int, deadline: float, fields: bytes
    ) -> bytes:
        # RFC 9110, 9.3.6: a 2xx turns the connection into a tunnel right behind its head
        authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        start = f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n".encode()
        sock.settimeout(max(0.001, deadline - time.monotonic()))
        sock.sendall(start + self.fields + fields + b"\r\n")
        data = b""
        while (end := data.find(b"\r\n\r\n")) < 0:
            if len(data) > self._limits.head:
                raise self._trouble("the head of its answer is too long", end=Termination.UPSTREAM_BAD)
            data += self._receive(sock, deadline)
        try:
            # As after HEAD, no body follows and no length counts. RFC 9112, 6.3
            answer = parse_response(data[: end + 4], "HEAD")
        except Malformed as error:
            raise self._trouble(error.problem, end=Termination.UPSTREAM_BAD) from None
        if answer.status == 101 or not 200 <= answer.status < 300:
            raise self.refused(answer.status)
        return data[end + 4 :]


class ParentRoundTrip(RoundTrip):
    """A request to a parent: when that asks for credentials, it means this proxy and not the client."""

    def _final_answer(self) -> tuple[ResponseHead, bytes]:
        answer, rest = super()._final_answer()
        if answer.status == 407:  # RFC 9110, 15.5.8
            raise UpstreamError(502, Termination.UPSTREAM_BAD, "the parent: it wants other credentials")
        return answer, rest


def _context(authorities: str | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=authorities)
    except OSError as error:
        reason = "no certificate in it" if isinstance(error, ssl.SSLError) else (error.strerror or "").lower()
        raise BadInput("forward.parent_ca", "", f"{authorities}: {reason}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
