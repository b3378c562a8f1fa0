"""UDP ASSOCIATE: datagrams between a SOCKS5 client and the targets that it names. RFC 1928, 7

Threads. Any thread may call `UdpAssociations.add`. Everything else happens in the relay thread, which owns
the sockets of every association. When an association ends, `release` gets the client's connection back.

An association ends with its TCP connection, or when no datagram has passed for the idle timeout. Its inner
socket serves the client alone: it ignores any other address, and any other port than the one that the
client announced or used first. Its outer sockets, one for IPv4 and one for IPv6, exchange datagrams with
targets that passed the access check and to which the client has sent a datagram.
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

MAX_DATAGRAM = 65_535
"""Bytes."""
BATCH = 64
"""Datagrams that are moved in one turn of the event loop."""
MAX_TARGETS = 256
"""Targets that an association remembers; a new one replaces the oldest."""
MAX_PENDING = 16
"""Datagrams that wait for the look-up of one target."""


class AccessCheck(Protocol):
    """The access rules for targets. Each method raises `LocalReply` to refuse one."""

    def check_socks_port(self, port: int) -> None:
        """Check the port of a target."""

    def check_name(self, host: str) -> None:
        """Check the host of a target, before its look-up."""

    def check_addresses(self, host: str, found: Sequence[Address], own: Address) -> list[Address]:
        """Return those of the addresses of a host that are allowed."""


class UdpAssociations:
    """All associations of a proxy.

    Parameters
    ----------
    own : Address
        Where this proxy listens.
    release : callable
        Takes the client of an association that has ended, and closes it.
    log : callable
        Takes the record of each association that has ended, in the relay thread.
    """

    def __init__(
        self,
        own: Address,
        release: Callable[[DownstreamConnection], None],
        relay: TunnelRelay,
        log: Callable[[RequestRecord], None],
    ) -> None:
        self.own, self.release, self.relay, self.log = own, release, relay, log
        self._open: set[UdpAssociation] = set()
        relay.at_stop.append(self._stop)

    @property
    def count(self) -> int:
        """Number of open associations."""
        return len(self._open)

    def add(
        self,
        client: DownstreamConnection,
        inner: socket.socket,
        request: SocksRequest,
        record: RequestRecord,
        access: AccessCheck,
        resolver: Resolver,
        idle_timeout: float,
    ) -> None:
        """Begin an association, or end it at once if the proxy is stopping.

        Parameters
        ----------
        client : DownstreamConnection
            The relay thread owns it from now on; the association ends with it.
        inner : socket.socket
            Bound, non-blocking; its address is the one in the SOCKS reply.
        request : SocksRequest
        record : RequestRecord
            Finished and logged when the association ends.
        access : AccessCheck
            Checks every target.
        resolver : Resolver
        idle_timeout : float
            Seconds without a datagram after which the association ends.
        """

        def begin() -> None:
            names = AsyncResolver(self.relay, resolver)
            self._open.add(UdpAssociation(self, client, inner, request, record, access, names, idle_timeout))

        if not self.relay.call(begin):
            inner.close()
            record.finish(Termination.STOPPED)
            self.release(client)
            self.log(record)

    def discard(self, association: UdpAssociation) -> None:
        """Forget an association that has ended."""
        self._open.discard(association)

    def _stop(self) -> None:
        for association in list(self._open):
            association.close(Termination.STOPPED)


class UdpAssociation:
    """One association, in the relay thread."""

    def __init__(
        self,
        owner: UdpAssociations,
        client: DownstreamConnection,
        inner: socket.socket,
        request: SocksRequest,
        record: RequestRecord,
        access: AccessCheck,
        names: AsyncResolver,
        idle_timeout: float,
    ) -> None:
        self._owner, self._client, self._inner, self._record = owner, client, inner, record
        self._access, self._names, self._idle_timeout = access, names, idle_timeout
        self._outer: dict[int, socket.socket] = {}
        self._targets: dict[Address, Address | None] = {}
        self._pending: dict[Address, list[bytes]] = {}
        # "The DST.ADDR and DST.PORT fields contain the address and port that the client expects to
        # use to send UDP datagrams on"; all zeros if it does not know.                  RFC 1928, 4
        self._port = request.port
        self._peer: Address | None = None
        self._last_active = time.monotonic()
        self._ended = False
        owner.relay.watch(client.sock, select.EPOLLIN | select.EPOLLRDHUP, self._at_client)
        owner.relay.watch(inner, select.EPOLLIN, self._from_client)
        owner.relay.at(self._last_active + self._idle_timeout, self._check_idle)

    # --- begin and end --------------------------------------------------------------------------

    def _at_client(self, _: int, __: float) -> None:
        """The TCP connection was closed, or the client sent bytes there, which are ignored."""
        try:
            ended = not self._client.sock.recv(4096, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            ended = True
        if ended:
            self.close(Termination.DONE)

    def _check_idle(self, now: float) -> None:
        if self._ended:
            return
        until = self._last_active + self._idle_timeout
        if until <= now:
            self.close(Termination.IDLE)
        else:
            self._owner.relay.at(until, self._check_idle)

    def close(self, termination: Termination) -> None:
        """Close the sockets, release the client, and log the record."""
        self._ended = True
        for sock in (self._inner, *self._outer.values()):
            self._owner.relay.forget(sock)
            sock.close()
        self._owner.relay.forget(self._client.sock)
        self._owner.discard(self)
        self._record.finish(termination)
        self._owner.release(self._client)
        self._owner.log(self._record)

    # --- from the client ------------------------------------------------------------------------

    def _from_client(self, _: int, now: float) -> None:
        for _ in range(BATCH):
            try:
                packet, sender = self._inner.recvfrom(MAX_DATAGRAM)
            except OSError:  # no more datagrams, or an ICMP error for an earlier one that was sent
                return
            if not self._is_client(sender):
                continue
            datagram = read_datagram(packet)
            if datagram is not None:
                self._last_active = now
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
        """Send a datagram now, or after the look-up of its target."""
        target = (datagram.host, datagram.port)
        if target in self._pending:
            if len(self._pending[target]) < MAX_PENDING:
                self._pending[target].append(datagram.data)
            return
        if target in self._targets:
            self._send(self._targets[target], datagram.data)
            return
        self._pending[target] = [datagram.data]
        try:
            self._access.check_socks_port(datagram.port)
            self._access.check_name(datagram.host)
        except LocalReply as refusal:
            self._set_address(target, None, refusal.detail)
            return
        self._names.resolve(target, lambda found: self._resolved(target, found))

    def _resolved(self, target: Address, found: list[Address]) -> None:
        if self._ended:
            return
        if not found:
            self._pending.pop(target, None)  # the next datagram begins another look-up
            return
        try:
            allowed = self._access.check_addresses(target[0], found, self._owner.own)
            # No handshake can show that an address works, so prefer IPv4.
            address = min(allowed, key=lambda one: ":" in one[0])
        except LocalReply as refusal:
            self._set_address(target, None, refusal.detail)
        else:
            self._set_address(target, address)

    def _set_address(self, target: Address, address: Address | None, refused: str = "") -> None:
        """Remember the address of `target`, None if it is refused, and send the pending datagrams."""
        while len(self._targets) >= MAX_TARGETS:
            del self._targets[next(iter(self._targets))]
        self._targets[target] = address
        self._record.detail = self._record.detail or refused
        for data in self._pending.pop(target, []):
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
        for _ in range(BATCH):
            try:
                data, sender = sock.recvfrom(MAX_DATAGRAM)
            except OSError:
                return
            address = (sender[0].partition("%")[0], sender[1])
            if self._peer is None or address not in self._targets.values():
                continue
            self._last_active = now
            self._record.sent += len(data)
            with contextlib.suppress(OSError):
                self._inner.sendto(wrap_datagram(*address, data), self._peer)
