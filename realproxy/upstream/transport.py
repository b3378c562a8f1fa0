"""How connections to the upstreams of a service begin: who the client is (PROXY protocol), then TLS.

Runs in the worker that needs the connection; every wait ends with ``connect_timeout``. Connections
that were announced as one client's are never kept for another's request.
"""

from __future__ import annotations

import itertools
import select
import socket
import ssl
import time
from collections.abc import Callable

from policies.settings import Service as ServiceSettings
from policies.settings import UpstreamTls
from realproxy.errors import Termination, UpstreamError
from realproxy.net.address import Address
from realproxy.net.proxy_protocol import LOCAL, WRITERS, Endpoint
from realproxy.net.tls import TlsSocket

Ends = Callable[[], tuple[Endpoint, Endpoint]]
"""Tells where a client's connection comes from and where it arrived; raises `OSError` when it is gone."""

_numbers = itertools.count()
"""Tells the kept connections of a service from those of any other, a former one of its name too."""


class Beginning(tuple[str, int]):
    """An address whose connections begin with something; kept ones go by its name.

    Attributes
    ----------
    address : Address
        What is dialled.
    begin : callable
        Takes the connected socket and the seconds it may take; returns the one to use, or raises
        `UpstreamError`.
    kept : bool
        Whether connections may be kept for other requests.
    """

    address: Address
    begin: Callable[[socket.socket, float], socket.socket]
    kept: bool


class UpstreamTransport:
    """The beginning of connections to one service.

    Parameters
    ----------
    settings : policies.settings.Service
        Its table.

    Raises
    ------
    OSError
        If its file of authorities cannot be used.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self._tls, self._version = settings.tls, settings.proxy_protocol
        self._context = client_context(settings.tls) if settings.tls is not None else None
        self._mark = f"secured-{next(_numbers)}"

    def endpoint(self, address: Address, ends: Ends | None) -> Beginning:
        """Where a request is sent so that its connection begins as it must.

        Parameters
        ----------
        address : Address
            Of the upstream.
        ends : callable or None
            Of the client's connection; None if the proxy asks for itself.
        """
        place = Beginning((f"{self._mark} {address[0]}", address[1]))
        place.address = address
        header = self.header(ends)
        place.begin = lambda sock, timeout: self._begin(sock, address[0], header, timeout)
        place.kept = not header
        return place

    def header(self, ends: Ends | None) -> bytes:
        """The PROXY protocol header for a client, or for nobody but this proxy; empty if none is wanted."""
        if self._version is None:
            return b""
        try:
            return LOCAL[self._version] if ends is None else WRITERS[self._version](*ends())
        except OSError:  # the client is gone, and its request goes to waste
            return LOCAL[self._version]

    def wrap(self, sock: socket.socket, host: str) -> TlsSocket | None:
        """The socket with a handshake to come; None if there is no TLS."""
        if self._context is None or self._tls is None:
            return None
        return TlsSocket(sock, self._context, self._tls.name or host)

    def _begin(self, sock: socket.socket, host: str, header: bytes, timeout: float) -> socket.socket:
        try:
            if header:
                sock.sendall(header)
            secured = self.wrap(sock, host)
            if secured is not None:
                sock = secured
                shake_hands(secured, time.monotonic() + timeout)
        except TimeoutError:
            sock.close()
            raise UpstreamError(
                504, Termination.UPSTREAM_SLOW, f"no TLS handshake with {host} in time"
            ) from None
        except ssl.SSLError as error:
            sock.close()
            reason = getattr(error, "verify_message", "") or error.reason or "handshake failed"
            problem = f"TLS with {host}: {reason.lower().replace('_', ' ')}"
            raise UpstreamError(502, Termination.UPSTREAM_BAD, problem) from None
        except OSError as error:
            sock.close()
            problem = f"{host}: {(error.strerror or str(error)).lower()}"
            raise UpstreamError(502, Termination.UPSTREAM_BROKEN, problem) from None
        return sock


def shake_hands(sock: TlsSocket, until: float) -> None:
    """Wait for a handshake, but not beyond `until` on the monotonic clock; raises `OSError`."""
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    while not sock.handshake():
        if not poller.poll(max(0.0, 1000 * (until - time.monotonic()))):
            raise TimeoutError


def client_context(settings: UpstreamTls) -> ssl.SSLContext:
    """A context for connections to upstreams; raises `OSError` if its file cannot be used."""
    context = ssl.create_default_context(cafile=settings.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
