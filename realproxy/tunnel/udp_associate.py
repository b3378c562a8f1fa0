"""UDP ASSOCIATE: datagrams between a SOCKS5 client and the targets that it names. RFC 1928, 7

Threads. `UdpAssociations.add` may be called by any thread; all else happens in the relay thread, which
owns the sockets of every association. The client's connection goes back to be closed when it ends.

An association lives as long as its TCP connection, and no longer than the idle time-out after its
last datagram. Its inner socket speaks with the client alone: another address, or another port than
the one that the client announced or used first, is not heard. Its outer ones speak with targets that
the client has sent something to, and that were let through as any other.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from policies.addresses import plain_address
from realproxy.downstream.connection import DownstreamConnection
from realproxy.errors import LocalReply, Termination
from realproxy.messages.record import RequestRecord
from realproxy.net.address import Address
from realproxy.net.dial import AsyncResolver
from realproxy.net.resolver import Resolver
from realproxy.socks import Datagram, SocksRequest, read_datagram, wrap_datagram
from realproxy.tunnel.relay import TunnelRelay

LARGEST = 65_535
"""Bytes of a datagram."""
AT_ONCE = 64
"""Datagrams that are moved before others get their turn."""
MOST_TARGETS = 256
"""Targets of one association; the oldest is forgotten for the next."""
MOST_HELD = 16
"""Datagrams that wait for the address of one name."""


class AccessCheck(Protocol):
    """What lets targets through; each raises `LocalReply` for what it does not."""

    def check_socks_port(self, port: int) -> None:
        """Whether a port may be asked for."""

    def check_name(self, host: str) -> None:
        """Whether a name may be asked for."""

    def check_addresses(self, host: str, found: Sequence[Address], own: Address) -> list[Address]:
        """Those of the addresses of a host that may be sent to."""


class UdpAssociations:
    """All associations of a proxy.

    Parameters
    ----------
    own : Address
        Where this proxy listens.
    release : callable
        Takes the client back to close it.
    relay : TunnelRelay
        Whose thread does everything.
    logged : callable
        Takes the record of an association that has ended.
    """

    def __init__(
        self,
        own: Address,
        release: Callable[[DownstreamConnection], None],
        relay: TunnelRelay,
        logged: Callable[[RequestRecord], None],
    ) -> None:
        self.own, self.release, self.relay, self.logged = own, release, relay, logged
        self._open: set[UdpAssociation] = set()
        relay.at_stop.append(self._stop)

    @property
    def count(self) -> int:
        """Associations that are open."""
        return len(self._open)

    def add(
        self,
        client: DownstreamConnection,
        inner: socket.socket,
        request: SocksRequest,
        record: RequestRecord,
        gate: AccessCheck,
        resolver: Resolver,
        idle_timeout: float,
    ) -> None:
        """Begin an association.

        Parameters
        ----------
        client : DownstreamConnection
            It lives as long as this connection.
        inner : socket.socket
            The one that the client was told of.
        request : SocksRequest
            What was asked.
        record : RequestRecord
            The record; it is logged when the association has ended.
        gate : AccessCheck
            Lets its targets through.
        resolver : Resolver
            Looks up their names.
        idle_timeout : float
            Seconds without a datagram after which it ends.
        """

        def begin() -> None:
            names = AsyncResolver(self.relay, resolver)
            self._open.add(UdpAssociation(self, client, inner, request, record, gate, names, idle_timeout))

        if not self.relay.call(begin):
            inner.close()
            record.finish(Termination.STOPPED)
            self.release(client)
            self.logged(record)

    def discard(self, association: UdpAssociation) -> None:
        """It has ended."""
        self._open.discard(association)

    def _stop(self) -> None:
        for association in list(self._open):
            association.end(Termination.STOPPED)


class UdpAssociation:
    """One association; all of it happens in the relay thread."""

    def __init__(
        self,
        owner: UdpAssociations,
        client: DownstreamConnection,
        inner: socket.socket,
        request: SocksRequest,
        record: RequestRecord,
        gate: AccessCheck,
        names: AsyncResolver,
        idle_timeout: float,
    ) -> None:
        self._owner, self._client, self._inner, self._record = owner, client, inner, record
        self._gate, self._names, self._idle_timeout = gate, names, idle_timeout
        self._outer: dict[int, socket.socket] = {}
        self._targets: dict[Address, Address | None] = {}
        self._held: dict[Address, list[bytes]] = {}
        # "The DST.ADDR and DST.PORT fields contain the address and port that the client expects to
        # use to send UDP datagrams on"; all zeros if it does not know.                  RFC 1928, 4
        self._port = request.port
        self._peer: Address | None = None
        self._active = time.monotonic()
        self._ended = False
        owner.relay.watch(client.sock, select.EPOLLIN | select.EPOLLRDHUP, self._at_client)
        owner.relay.watch(inner, select.EPOLLIN, self._from_client)
        owner.relay.at(self._active + self._idle_timeout, self._check_idle)

    # --- its life -------------------------------------------------------------------------------

    def _at_client(self, _: int, __: float) -> None:
        """Something came by TCP, where nothing is expected but the end."""
        try:
            ended = not self._client.sock.recv(4096, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            ended = True
        if ended:
            self.end(Termination.DONE)

    def _check_idle(self, now: float) -> None:
        if self._ended:
            return
        until = self._active + self._idle_timeout
        if until <= now:
            self.end(Termination.IDLE)
        else:
            self._owner.relay.at(until, self._check_idle)

    def end(self, end: Termination) -> None:
        """Close everything."""
        self._ended = True
        for sock in (self._inner, *self._outer.values()):
            self._owner.relay.forget(sock)
            sock.close()
        self._owner.relay.forget(self._client.sock)
        self._owner.discard(self)
        self._record.finish(end)
        self._owner.release(self._client)
        self._owner.logged(self._record)

    # --- from the client ------------------------------------------------------------------------

    def _from_client(self, _: int, now: float) -> None:
        for _ in range(AT_ONCE):
            try:
                packet, sender = self._inner.recvfrom(LARGEST)
            except OSError:  # nothing more, or what an earlier datagram of ours has caused
                return
            if not self._is_client(sender):
                continue
            datagram = read_datagram(packet)
            if datagram is not None:
                self._active = now
                self._record.received += len(datagram.data)
                self._forward(datagram)

    def _is_client(self, sender: tuple[str, int]) -> bool:
        # "MUST drop any datagrams arriving from any source IP address other than the one recorded
        # for the particular association."                                                RFC 1928, 7
        if plain_address(sender[0]) != plain_address(self._client.address):
            return False
        if self._peer is None and self._port in (0, sender[1]):
            self._peer = sender
        return self._peer is not None and sender[1] == self._peer[1]

    def _forward(self, datagram: Datagram) -> None:
        """Send it on, at once or when its name is known."""
        target = (datagram.host, datagram.port)
        if target in self._held:
            if len(self._held[target]) < MOST_HELD:
                self._held[target].append(datagram.data)
            return
        if target in self._targets:
            self._send(self._targets[target], datagram.data)
            return
        self._held[target] = [datagram.data]
        try:
            self._gate.check_socks_port(datagram.port)
            self._gate.check_name(datagram.host)
        except LocalReply as refusal:
            self._settle(target, None, refusal.detail)
            return
        self._names.resolve(target, lambda found: self._resolved(target, found))

    def _resolved(self, target: Address, found: list[Address]) -> None:
        if self._ended:
            return
        if not found:
            self._held.pop(target, None)  # asked for again with the next datagram
            return
        try:
            admitted = self._gate.check_addresses(target[0], found, self._owner.own)
            # No handshake will tell whether an address works: IPv4 first.
            address = min(admitted, key=lambda one: ":" in one[0])
        except LocalReply as refusal:
            self._settle(target, None, refusal.detail)
        else:
            self._settle(target, address)

    def _settle(self, target: Address, address: Address | None, refused: str = "") -> None:
        """It is known where datagrams for `target` go, or that they go nowhere."""
        while len(self._targets) >= MOST_TARGETS:
            del self._targets[next(iter(self._targets))]
        self._targets[target] = address
        self._record.detail = self._record.detail or refused
        for data in self._held.pop(target, []):
            self._send(address, data)

    def _send(self, address: Address | None, data: bytes) -> None:
        if address is None:
            return
        with contextlib.suppress(OSError):  # a datagram may be lost
            family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
            self._socket(family).sendto(data, address)

    def _socket(self, family: int) -> socket.socket:
        sock = self._outer.get(family)
        if sock is None:
            sock = self._outer[family] = socket.socket(family, socket.SOCK_DGRAM)
            sock.setblocking(False)
            outer = sock
            self._owner.relay.watch(sock, select.EPOLLIN, lambda _, now: self._from_target(outer, now))
        return sock

    # --- from targets ---------------------------------------------------------------------------

    def _from_target(self, sock: socket.socket, now: float) -> None:
        for _ in range(AT_ONCE):
            try:
                data, sender = sock.recvfrom(LARGEST)
            except OSError:
                return
            address = (sender[0].partition("%")[0], sender[1])
            if self._peer is None or address not in self._targets.values():
                continue
            self._active = now
            self._record.sent += len(data)
            with contextlib.suppress(OSError):
                self._inner.sendto(wrap_datagram(*address, data), self._peer)
