"""Raw TCP services: each connection becomes a tunnel to an upstream of a service, whatever its protocol.

Threads. Everything here happens in the relay thread, except construction, `drain` and `counts`. The relay
thread owns the listeners, and every connection until its tunnel has ended. Only `_Connection._close`
closes a client's socket. A connection does not occupy a thread.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable

from policies.bad_input import BadInput
from policies.settings import Limits, ProxySettings
from policies.settings import Tcp as TcpSettings
from realproxy.errors import Termination
from realproxy.messages.record import RequestRecord
from realproxy.net.address import Address
from realproxy.net.dial import AsyncResolver, Dial
from realproxy.net.listener import listen, refuse_new_connections
from realproxy.net.proxy_protocol import WRITERS, BadHeader, Endpoint, TrustedPeers, read_header
from realproxy.net.resolver import Resolver
from realproxy.tunnel.relay import Tunnel, TunnelRelay
from realproxy.upstream.service import PickedUpstream, Service

RETRY_ACCEPT = 1.0
"""Seconds until the next try after the process was out of descriptors."""
ACCEPT_BATCH = 64
"""Connections that are accepted in one turn of the event loop."""


class TcpProxy:
    """One raw TCP listener.

    Parameters
    ----------
    sock : socket.socket
        Bound and listening; this object closes it.
    limits : Limits
        ``connections`` limits each listener on its own.
    log : callable
        Takes the record of each connection that has ended.

    Attributes
    ----------
    service : Service
        May be replaced at any time, for further connections.
    empty : threading.Event
        Set when the listener is closed and the last connection has ended.
    """

    def __init__(
        self,
        settings: TcpSettings,
        sock: socket.socket,
        service: Service,
        relay: TunnelRelay,
        names: AsyncResolver,
        limits: Limits,
        log: Callable[[RequestRecord], None],
    ) -> None:
        self.settings, self.service, self.relay, self.names = settings, service, relay, names
        self.limits, self.log = limits, log
        self.trusted = TrustedPeers(settings.proxy_protocol)
        self.address: Address = sock.getsockname()[:2]
        self._sock = sock
        self._open: set[_Connection] = set()
        self._accepted = self._failed = self._sent = self._received = 0
        self.empty = threading.Event()
        sock.setblocking(False)
        relay.at_stop.append(self._stop)
        relay.call(lambda: self._listen(True))

    def counts(self) -> dict[str, str | int]:
        """Address and service; connections (open, accepted, failed); bytes in both directions."""
        tunnels = [c.tunnel for c in list(self._open) if c.tunnel is not None]
        return {
            "listen": f"{self.address[0]}:{self.address[1]}",
            "service": self.service.name,
            "open": len(self._open),
            "accepted": self._accepted,
            "failed": self._failed,
            "sent": self._sent + sum(tunnel.down.count for tunnel in tunnels),
            "received": self._received + sum(tunnel.up.count for tunnel in tunnels),
        }

    def drain(self) -> None:
        """Accept no more; `empty` is set when the last connection has ended."""
        self.relay.call(self._drain)

    def ended(self, connection: _Connection) -> None:
        """Note that a connection was closed, and accept another."""
        record = connection.record
        self._open.discard(connection)
        self._sent += record.sent
        self._received += record.received
        self._failed += record.end not in (Termination.DONE, Termination.IDLE, Termination.STOPPED)
        self.log(record)
        self._listen(True)

    def _drain(self) -> None:
        if self._sock.fileno() >= 0:
            refuse_new_connections(self._sock)
            self._accept()  # the kernel has accepted the connections in its queue already
            self.relay.forget(self._sock)
            self._sock.close()
        if not self._open:
            self.empty.set()

    def _stop(self) -> None:
        self._drain()
        for connection in [c for c in self._open if c.tunnel is None]:
            connection.fail(Termination.STOPPED)

    def _listen(self, on: bool) -> None:
        if self._sock.fileno() >= 0:
            self.relay.watch(self._sock, select.EPOLLIN if on else 0, self._ready)
        elif not self._open:
            self.empty.set()

    def _ready(self, _: int, __: float) -> None:
        self._accept()

    def _accept(self) -> None:
        for _ in range(ACCEPT_BATCH):
            if len(self._open) >= self.limits.connections:
                self._listen(False)  # further clients stay in the kernel's queue until a connection ends
                return
            try:
                sock, peer = self._sock.accept()
            except BlockingIOError:
                return
            except ConnectionError:
                continue  # the client has closed the connection already
            except OSError:
                self._listen(False)
                self.relay.at(time.monotonic() + RETRY_ACCEPT, lambda _: self._listen(True))
                return
            self._accepted += 1
            connection = _Connection(self, sock, peer[:2])
            self._open.add(connection)
            connection.begin()


class _Connection:
    """A client's connection: first a PROXY header, if any, then the choice of an upstream, then a tunnel."""

    __slots__ = (
        "_dial", "_failed", "_header", "_owner", "_peer", "_pick", "_read", "_service", "_sock", "record",
        "tunnel",
    )  # fmt: skip

    def __init__(self, owner: TcpProxy, sock: socket.socket, peer: Endpoint) -> None:
        self._owner, self._sock, self._peer = owner, sock, peer
        self._read = self._header = b""
        self._pick: PickedUpstream | None = None
        self._dial: Dial | None = None
        self._failed: list[int] = []
        self.tunnel: Tunnel | None = None
        now = time.monotonic()
        self.record = RequestRecord(peer[0], now, now)
        self._service = owner.service
        self.record.side, self.record.service = "tcp", self._service.name

    def begin(self) -> None:
        owner, sock = self._owner, self._sock
        sock.setblocking(False)
        with contextlib.suppress(OSError):  # if the client has left, the first event shows it
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if self._peer[0] in owner.trusted:
            owner.relay.watch(sock, select.EPOLLIN, lambda *_: self._read_header())
            owner.relay.at(time.monotonic() + owner.limits.header_timeout, lambda _: self._header_timed_out())
        else:
            self._find_upstream()

    def fail(self, end: Termination) -> None:
        """End the connection before there is a tunnel."""
        if self._dial is not None:
            self._dial.cancel()
        self._close(end)

    # --- the PROXY header -----------------------------------------------------------------------

    def _read_header(self) -> None:
        try:
            data = self._sock.recv(4096)
            self._read += data
            header = read_header(self._read) if data else None
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
            self._read = self._read[header.size :]
            self._owner.relay.forget(self._sock)
            self._find_upstream()
        elif not data:
            self.fail(Termination.CLIENT_GONE)

    def _header_timed_out(self) -> None:
        if self._pick is None and self._sock.fileno() >= 0:
            self.fail(Termination.CLIENT_SLOW)

    # --- the upstream ---------------------------------------------------------------------------

    def _find_upstream(self) -> None:
        """Try another upstream. This is safe, because nothing was sent to the ones that failed."""
        owner = self._owner
        pick = self._pick = self._service.start(self._peer[0], self._failed)
        if pick.index in self._failed:
            self.fail(Termination.UPSTREAM_UNREACHABLE)
            return
        self.record.upstream = pick.name
        owner.names.resolve(pick.address, self._connect)

    def _connect(self, addresses: list[Address]) -> None:
        owner = self._owner
        if self._sock.fileno() >= 0:  # else the proxy was stopped during the look-up
            self._dial = Dial(
                owner.relay, addresses, owner.limits.connect_timeout, self._connected, self._unreachable
            )

    def _unreachable(self, _: str) -> None:
        self._dial = None
        assert self._pick is not None
        self._failed.append(self._pick.index)
        self._pick.finish(True)
        if self._service.settings.failover and len(self._failed) < len(self._service.names):
            self._find_upstream()
        else:
            self.fail(Termination.UPSTREAM_UNREACHABLE)

    def _connected(self, upstream: socket.socket) -> None:
        owner, record = self._owner, self.record
        self._dial = None
        record.asked = record.answered = time.monotonic()
        record.connecting = record.asked - record.arrived
        try:
            upstream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if self._service.proxy_protocol is not None:
                self._header = WRITERS[self._service.proxy_protocol](self._peer, self._sock.getsockname()[:2])
        except OSError:  # the client has left
            upstream.close()
            self.fail(Termination.CLIENT_GONE)
            return
        first = self._header + self._read
        self.tunnel = Tunnel(self._sock, upstream, first, b"", owner.settings.idle_timeout, self._ended)
        owner.relay.begin(self.tunnel)

    # --- the end --------------------------------------------------------------------------------

    def _ended(self, tunnel: Tunnel, end: Termination) -> None:
        self.record.sent = tunnel.down.count
        self.record.received = max(0, tunnel.up.count - len(self._header))
        self._close(end)

    def _close(self, end: Termination) -> None:
        self.record.finish(end)
        self._owner.relay.forget(self._sock)
        self._sock.close()
        if self._pick is not None:
            self._pick.finish(False if self.record.asked else None)
        self._owner.ended(self)


def open_listeners(settings: ProxySettings, where: str) -> list[socket.socket]:
    """Open a socket for each raw TCP listener. If this raises `BadInput`, none stays open."""
    socks: list[socket.socket] = []
    try:
        for number, tcp in enumerate(settings.tcp):
            socks.append(listen(tcp.listen, where, f"tcp.{number}.listen"))
    except BadInput:
        for sock in socks:
            sock.close()
        raise
    return socks


class TcpProxies:
    """All raw TCP listeners of a proxy.

    Parameters
    ----------
    socks : list of socket.socket
        One for each table in ``settings.tcp``, from `open_listeners`.
    log : callable
        Takes the record of each connection that has ended, in the relay thread.
    """

    def __init__(
        self,
        settings: ProxySettings,
        socks: list[socket.socket],
        services: dict[str, Service],
        relay: TunnelRelay,
        resolver: Resolver,
        log: Callable[[RequestRecord], None],
    ) -> None:
        names = AsyncResolver(relay, resolver)
        self._listeners = [
            TcpProxy(tcp, sock, services[tcp.to], relay, names, settings.limits, log)
            for tcp, sock in zip(settings.tcp, socks, strict=True)
        ]

    @property
    def addresses(self) -> list[Address]:
        """Addresses of the listeners, in the order of the settings."""
        return [listener.address for listener in self._listeners]

    def counts(self) -> list[dict[str, str | int]]:
        """`TcpProxy.counts` of each listener."""
        return [listener.counts() for listener in self._listeners]

    def adopt(self, services: dict[str, Service]) -> None:
        """Use other services of the same names for further connections."""
        for listener in self._listeners:
            listener.service = services[listener.settings.to]

    def drain(self) -> None:
        """Accept no more."""
        for listener in self._listeners:
            listener.drain()

    def wait(self, until: float) -> None:
        """Wait until the last connection has ended, at most until `until` on the monotonic clock."""
        for listener in self._listeners:
            listener.empty.wait(max(0.0, until - time.monotonic()))
