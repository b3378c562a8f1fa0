"""Raw TCP services: every connection to a listener leads to an upstream of a service, whatever it carries.

Threads. Any thread may construct a `TcpProxy`, and call `drain` and `counts`. Everything else happens in
the relay thread. It owns the listener, and each connection until its tunnel has ended. Only
`_Connection._close` closes a client's socket. No connection needs a thread.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time

from policies.addresses import unmapped
from policies.settings import Limits, Tcp
from realproxy.errors import Termination
from realproxy.messages.record import RequestRecord
from realproxy.net.address import Address
from realproxy.net.dial import AsyncResolver, Dial
from realproxy.net.listener import refuse_new_connections
from realproxy.net.proxy_protocol import WRITERS, BadHeader, TrustedPeers, read_header
from realproxy.runtime.isolation import tolerate
from realproxy.tunnel.relay import Tunnel, TunnelRelay
from realproxy.upstream.service import PickedUpstream, Service

RETRY_ACCEPT = 1.0
"""Seconds until the next accept when the process has no descriptor left."""
ACCEPTS = 64
"""Connections that are accepted before other sockets get their turn."""


class TcpProxy:
    """One raw TCP listener. `sock` is bound and listening; the relay thread closes it.

    ``limits.connections`` holds for each listener. `service` serves the connections to come and may be
    replaced at any time. `empty` is set after `drain`, once the last connection has ended.
    """

    def __init__(
        self, settings: Tcp, sock: socket.socket, service: Service, relay: TunnelRelay,
        resolver: AsyncResolver, limits: Limits,
    ) -> None:  # fmt: skip
        self.settings, self.service, self.relay, self.loop = settings, service, relay, relay.loop
        self.resolver, self.limits = resolver, limits
        self.trusted = TrustedPeers(settings.proxy_protocol)
        self.address: Address = sock.getsockname()[:2]
        self._sock = sock
        self._open: set[_Connection] = set()
        self._accepted = self._failed = self._sent = self._received = 0
        self.empty = threading.Event()
        sock.setblocking(False)
        self.loop.at_stop.append(self._stop)
        self.loop.call(lambda: self._listen(True))

    def counts(self) -> dict[str, str | int]:
        """Address and service, connections (open, accepted, failed), bytes in both directions."""
        tunnels = [c.tunnel for c in list(self._open) if c.tunnel is not None]
        return {
            "listen": f"{self.address[0]}:{self.address[1]}",
            "service": self.service.name,
            "open": len(self._open),
            "accepted": self._accepted,
            "failed": self._failed,
            "sent": self._sent + sum(tunnel.down.delivered for tunnel in tunnels),
            "received": self._received + sum(tunnel.up.delivered for tunnel in tunnels),
        }

    def drain(self) -> None:
        """Accept no more connections."""
        self.loop.call(self._drain)

    def ended(self, connection: _Connection) -> None:
        """Count and log a connection that is closed."""
        record = connection.record
        self._open.discard(connection)
        self._sent += record.sent
        self._received += record.received
        self._failed += record.end not in (Termination.DONE, Termination.IDLE, Termination.STOPPED)
        self.relay.log(record)
        self._listen(True)

    def _drain(self) -> None:
        if self._sock.fileno() >= 0:
            refuse_new_connections(self._sock)
            self._accept()  # connections in the kernel's queue came before the drain
            self.loop.forget(self._sock)
            self._sock.close()
        if not self._open:
            self.empty.set()

    def _stop(self) -> None:
        self._drain()
        for connection in [c for c in self._open if c.tunnel is None]:
            connection.fail(Termination.STOPPED)

    def _listen(self, on: bool) -> None:
        if self._sock.fileno() >= 0:
            self.loop.watch(self._sock, select.EPOLLIN if on else 0, self._accept)
        elif not self._open:
            self.empty.set()

    def _accept(self, *__: object) -> None:
        for _ in range(ACCEPTS):
            if len(self._open) >= self.limits.connections:
                self._listen(False)  # more connections wait in the kernel's queue until one ends
                return
            try:
                sock, peer = self._sock.accept()
            except BlockingIOError:
                return
            except ConnectionError:
                continue  # the client has gone already
            except OSError:
                self._listen(False)
                self.loop.at(time.monotonic() + RETRY_ACCEPT, lambda _: self._listen(True))
                return
            self._accepted += 1
            connection = _Connection(self, sock, (unmapped(peer[0]), peer[1]))
            self._open.add(connection)
            connection.begin()


class _Connection:
    """A client's connection: PROXY protocol header if it is trusted, connection to an upstream, tunnel."""

    __slots__ = (
        "_buffer", "_dial", "_failed", "_header", "_peer", "_pick", "_proxy", "_service", "_sock", "record",
        "tunnel",
    )  # fmt: skip

    def __init__(self, proxy: TcpProxy, sock: socket.socket, peer: Address) -> None:
        self._proxy, self._sock, self._peer = proxy, sock, peer
        self._service = proxy.service
        self._buffer = self._header = b""
        self._pick: PickedUpstream | None = None
        self._dial: Dial | None = None
        self._failed: list[int] = []
        self.tunnel: Tunnel | None = None
        now = time.monotonic()
        self.record = RequestRecord(peer[0], now, now)
        self.record.side, self.record.service = "tcp", self._service.name

    def begin(self) -> None:
        proxy, sock = self._proxy, self._sock
        sock.setblocking(False)
        with contextlib.suppress(OSError):  # the client has gone, as its first event will show
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if self._peer[0] in proxy.trusted:
            proxy.loop.watch(sock, select.EPOLLIN, self._read_header)
            proxy.loop.at(time.monotonic() + proxy.limits.header_timeout, self._time_out)
        else:
            self._find_upstream()

    def fail(self, end: Termination) -> None:
        """End the connection before there is a tunnel."""
        if self._dial is not None:
            self._dial.cancel()
        self._close(end)

    # --- PROXY protocol -------------------------------------------------------------------------

    def _read_header(self, *_: object) -> None:
        try:
            data = self._sock.recv(4096)
            self._buffer += data
            header = read_header(self._buffer) if data else None
        except BlockingIOError:
            return
        except OSError:
            self.fail(Termination.CLIENT_GONE)
            return
        except BadHeader:
            self.fail(Termination.CLIENT_BAD)
            return
        if header is not None:
            self._peer = header.source or self._peer
            self.record.client = self._peer[0]
            self._buffer = self._buffer[header.size :]
            self._proxy.loop.forget(self._sock)
            self._find_upstream()
        elif not data:
            self.fail(Termination.CLIENT_GONE)

    def _time_out(self, _: float) -> None:
        if self._pick is None and self._sock.fileno() >= 0:
            self.fail(Termination.CLIENT_SLOW)

    # --- upstream -------------------------------------------------------------------------------

    def _find_upstream(self) -> None:
        """Pick an upstream. Nothing was sent to those that failed, so another one may be tried."""
        proxy = self._proxy
        try:
            pick = self._pick = self._service.start(self._peer[0], self._failed)
        except Exception as error:  # noqa: BLE001 - an own balancer's
            tolerate(error)
            self.fail(Termination.FAULT)
            return
        if pick.index in self._failed:
            self.fail(Termination.UPSTREAM_UNREACHABLE)
            return
        self.record.upstream = pick.name
        proxy.resolver.in_turn(pick.address, self._connect)

    def _connect(self, addresses: list[Address]) -> None:
        if self._sock.fileno() >= 0:  # else the proxy has stopped while the name was looked up
            loop, timeout = self._proxy.loop, self._proxy.limits.connect_timeout
            self._dial = Dial(loop, addresses, timeout, self._connected, self._unreachable)
            self._dial.start()

    def _unreachable(self, _: str) -> None:
        self._dial = None
        assert self._pick is not None
        self._failed.append(self._pick.index)
        self._pick.finish(True)
        if self._service.settings.failover and len(self._failed) < self._service.present:
            self._find_upstream()
        else:
            self.fail(Termination.UPSTREAM_UNREACHABLE)

    def _connected(self, upstream: socket.socket) -> None:
        proxy, record = self._proxy, self.record
        self._dial = None
        record.asked = record.answered = time.monotonic()
        record.connecting = record.asked - record.arrived
        try:
            upstream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if self._service.proxy_protocol is not None:
                host, port = self._sock.getsockname()[:2]
                self._header = WRITERS[self._service.proxy_protocol](self._peer, (unmapped(host), port))
        except OSError:  # the client has gone
            upstream.close()
            self.fail(Termination.CLIENT_GONE)
            return
        first = self._header + self._buffer
        self.tunnel = Tunnel(self._sock, upstream, first, b"", proxy.settings.idle_timeout, self._ended)
        proxy.relay.begin(self.tunnel)

    # --- the end --------------------------------------------------------------------------------

    def _ended(self, tunnel: Tunnel, end: Termination) -> None:
        self.record.sent = tunnel.down.delivered
        self.record.received = max(0, tunnel.up.delivered - len(self._header))
        self._close(end)

    def _close(self, end: Termination) -> None:
        self.record.finish(end)
        self._proxy.loop.forget(self._sock)
        self._sock.close()
        if self._pick is not None:
            self._pick.finish(False if self.record.asked else None)
        self._proxy.ended(self)
