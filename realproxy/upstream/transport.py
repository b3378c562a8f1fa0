"""What comes before HTTP on a connection to an upstream: the PROXY protocol, then TLS.

Runs in the worker that needs the connection; every wait ends with ``connect_timeout``. A connection whose
PROXY header names a client is never kept for another client's request.
"""

from __future__ import annotations

import itertools
import socket
import ssl
import time

from policies.settings import Service as ServiceSettings
from realproxy.errors import Termination, UpstreamError
from realproxy.net.address import Address
from realproxy.net.dial import connect
from realproxy.net.proxy_protocol import LOCAL, WRITERS
from realproxy.net.resolver import Resolver
from realproxy.net.tls import TlsSocket, client_context, fault_of, reason_of, shake_hands
from realproxy.upstream.endpoint import Endpoint, Ends

_numbers = itertools.count()
"""Keeps apart the idle connections of two services, even if a reload gives a service the same name."""


class UpstreamTransport:
    """How connections to the upstreams of one service start.

    `mutual` is the context of this proxy's identity, and the name that the upstreams must prove. Raises
    `OSError` if the service's file of authorities cannot be used.
    """

    def __init__(self, settings: ServiceSettings, mutual: tuple[ssl.SSLContext, str] | None = None) -> None:
        self._version, tls = settings.proxy_protocol, settings.tls
        self._context: ssl.SSLContext | None = None
        self._name, self._mutual = "", mutual is not None
        if mutual is not None:
            self._context, self._name = mutual
        if tls is not None:
            self._context, self._name = client_context(tls.ca, verify=tls.verify), tls.name or ""
        self._mark = f"secured-{next(_numbers)}"

    def endpoint(self, address: Address, ends: Ends | None, dial: Address | None = None) -> Endpoint:
        """See `realproxy.upstream.service.Transport`."""
        header = self.header(ends)

        def start(resolver: Resolver, timeout: float) -> socket.socket:
            sock = connect(resolver.in_turn(dial or address), timeout, resolver.avoid)
            return self._start(sock, address[0], header, timeout)

        key = (f"{self._mark} {address[0]} {dial[0] if dial is not None else ''}", address[1])
        return Endpoint([address], key=key, kept=not header, dialer=start)

    def header(self, ends: Ends | None) -> bytes:
        """The PROXY protocol header, empty if none is wanted; without `ends` that of the proxy itself."""
        if self._version is None:
            return b""
        try:
            return LOCAL[self._version] if ends is None else WRITERS[self._version](*ends())
        except OSError:  # the client has closed its connection: nobody reads the response
            return LOCAL[self._version]

    def wrap(self, sock: socket.socket, host: str) -> TlsSocket | None:
        """The socket before its TLS handshake; None if the service does not use TLS."""
        return None if self._context is None else TlsSocket(sock, self._context, self._name or host)

    def _start(self, sock: socket.socket, host: str, header: bytes, timeout: float) -> socket.socket:
        try:
            if header:
                sock.sendall(header)
            secured = self.wrap(sock, host)
            if secured is not None:
                sock = secured
                shake_hands(secured, time.monotonic() + timeout)
        except TimeoutError:
            sock.close()
            problem = f"no TLS handshake with {host} in time"
            raise UpstreamError(504, Termination.UPSTREAM_SLOW, problem) from None
        except ssl.SSLError as error:
            sock.close()
            peer = f"{self._name} at {host}" if self._mutual else host
            problem = f"TLS with {peer}: {reason_of(error)}"
            raise UpstreamError(502, Termination.UPSTREAM_BAD, problem, fault=fault_of(error)) from None
        except OSError as error:
            sock.close()
            problem = f"{host}: {(error.strerror or str(error)).lower()}"
            raise UpstreamError(502, Termination.UPSTREAM_BROKEN, problem) from None
        return sock
