"""UDP ASSOCIATE: datagrams between a SOCKS5 client and the targets that it names. RFC 1928, 7

Threads. Any thread may construct and `start` a `UdpAssociation`. Everything else happens in the relay thread,
which owns the sockets of every association. The client's connection is released when its association ends.

An association ends with its TCP connection, or when no datagram has passed for the idle time-out. Its
client socket accepts datagrams from the client's address only, and only from the port that the client
announced or used first. Its target sockets accept datagrams only from targets that the client has sent
something to. The targets pass the same access checks as those of other requests.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Sequence
from typing import Protocol

from policies.addresses import plain_address
from realproxy.downstream.connection import DownstreamConnection
from realproxy.errors import LocalReply, Termination
from realproxy.messages.record import RequestRecord
from realproxy.net.address import Address, family_of
from realproxy.net.dial import AsyncResolver
from realproxy.socks import SocksRequest, read_datagram, wrap_datagram
from realproxy.tunnel.relay import TunnelRelay

LARGEST = 65_535
"""Bytes of a datagram."""
BATCH = 64
"""Datagrams that are moved before other sockets get their turn."""
MAX_TARGETS = 256
"""Targets of one association; a new one replaces the oldest."""
MAX_QUEUED = 16
"""Datagrams that wait for the address of one name."""
LAST = 4096
"""Datagrams of each socket that are still moved when an association ends."""


class AccessCheck(Protocol):
    """Decides which targets are allowed; each method raises `LocalReply` for a target that is not."""

    def check_socks_port(self, port: int) -> None:
        """Check the port of a target."""

    def check_name(self, host: str) -> None:
        """Check the name of a target."""

    def check_addresses(self, host: str, found: Sequence[Address], own: Address) -> list[Address]:
        """The allowed ones of the addresses of a target."""


class UdpAssociations:
    """All associations of a proxy that listens on `own`, in the relay thread."""

    def __init__(self, own: Address, relay: TunnelRelay, resolver: AsyncResolver) -> None:
        self.own, self.relay, self.resolver = own, relay, resolver
        self.running: set[UdpAssociation] = set()
        relay.loop.at_stop.append(self._stop)

    def _stop(self) -> None:
        for association in list(self.running):
            association.end(Termination.STOPPED)


class UdpAssociation:
    """One association. The client was told the address of `client_side`, a UDP socket.

    It ends with the client's connection, or after the relay's `idle_timeout` without a datagram.
    """

    def __init__(
        self, owner: UdpAssociations, client: DownstreamConnection, client_side: socket.socket,
        request: SocksRequest, record: RequestRecord, access: AccessCheck,
    ) -> None:  # fmt: skip
        self._owner, self._client, self._client_side, self._record = owner, client, client_side, record
        self._relay, self._loop, self._access = owner.relay, owner.relay.loop, access
        self._idle_timeout, self._last_active, self._ended = owner.relay.idle_timeout, time.monotonic(), False
        self._target_side: dict[int, socket.socket] = {}
        """By address family."""
        self._targets: dict[Address, Address | None] = {}
        """Where datagrams go, by target; None if the target is not allowed."""
        self._queued: dict[Address, list[bytes]] = {}
        # "The DST.ADDR and DST.PORT fields contain the address and port that the client expects to
        # use to send UDP datagrams on"; all zeros if it does not know.                  RFC 1928, 4
        self._port = request.port
        self._peer: Address | None = None

    def start(self) -> None:
        """Hand the association and the client's connection over to the relay thread."""
        if not self._loop.call(self._begin):
            self.end(Termination.STOPPED)

    def _begin(self) -> None:
        self._owner.running.add(self)
        self._loop.watch(self._client.sock, select.EPOLLIN | select.EPOLLRDHUP, self._tcp_readable)
        self._loop.watch(self._client_side, select.EPOLLIN, self._from_client)
        self._check_idle(time.monotonic())

    # --- the end --------------------------------------------------------------------------------

    def _tcp_readable(self, _: int, __: float) -> None:
        """Read the TCP connection. Nothing is expected there but its end."""
        try:
            if self._client.sock.recv(4096, socket.MSG_DONTWAIT):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self.end(Termination.DONE)

    def _check_idle(self, now: float) -> None:
        if self._ended:
            return
        until = self._last_active + self._idle_timeout
        if until <= now:
            self.end(Termination.IDLE)
        else:
            self._loop.at(until, self._check_idle)

    def end(self, end: Termination) -> None:
        """Move the datagrams that have arrived, and close everything."""
        if end is Termination.DONE:
            now = time.monotonic()
            self._from_client(0, now, LAST)
            for sock in self._target_side.values():
                self._from_target(sock, now, LAST)
        self._ended = True
        for sock in (self._client_side, *self._target_side.values()):
            self._loop.forget(sock)
            sock.close()
        self._loop.forget(self._client.sock)
        self._owner.running.discard(self)
        self._record.finish(end)
        self._relay.release(self._client)
        self._relay.log(self._record)

    # --- from the client ------------------------------------------------------------------------

    def _from_client(self, _: int, now: float, most: int = BATCH) -> None:
        for _ in range(most):
            try:
                packet, sender = self._client_side.recvfrom(LARGEST)
            except OSError:  # nothing more, or an ICMP error that an earlier datagram has caused
                return
            if not self._is_client(sender):
                continue
            if (datagram := read_datagram(packet)) is not None:
                target, data = datagram
                self._last_active = now
                self._record.received += len(data)
                self._forward(target, data)

    def _is_client(self, sender: tuple[str, int]) -> bool:
        # "MUST drop any datagrams arriving from any source IP address other than the one recorded
        # for the particular association."                                                RFC 1928, 7
        if plain_address(sender[0]) != plain_address(self._client.address):
            return False
        if self._peer is None and self._port in (0, sender[1]):
            self._peer = sender
        return self._peer is not None and sender[1] == self._peer[1]

    def _forward(self, target: Address, data: bytes) -> None:
        """Send a datagram, now or when the name of its target is resolved."""
        if target in self._queued:
            if len(self._queued[target]) < MAX_QUEUED:
                self._queued[target].append(data)
            return
        if target in self._targets:
            self._send(self._targets[target], data)
            return
        self._queued[target] = [data]
        try:
            self._access.check_socks_port(target[1])
            self._access.check_name(target[0])
        except LocalReply as denied:
            self._settle(target, None, denied.detail)
            return
        self._owner.resolver.resolve(target, lambda found: self._resolved(target, found))

    def _resolved(self, target: Address, found: list[Address]) -> None:
        if self._ended:
            return
        if not found:
            self._queued.pop(target, None)  # looked up again for the next datagram
            return
        try:
            admitted = self._access.check_addresses(target[0], found, self._owner.own)
            # No handshake shows whether an address works, so IPv4 goes first.
            address = min(admitted, key=lambda one: ":" in one[0])
        except LocalReply as denied:
            self._settle(target, None, denied.detail)
        else:
            self._settle(target, address)

    def _settle(self, target: Address, address: Address | None, denied: str = "") -> None:
        """Remember where datagrams for `target` go, None for nowhere; send those that have waited for it."""
        while len(self._targets) >= MAX_TARGETS:
            del self._targets[next(iter(self._targets))]
        self._targets[target] = address
        self._record.detail = self._record.detail or denied
        for data in self._queued.pop(target, []):
            self._send(address, data)

    def _send(self, address: Address | None, data: bytes) -> None:
        if address is None:
            return
        family = family_of(address[0])
        with contextlib.suppress(OSError):  # a datagram may be lost
            if family not in self._target_side:
                sock = self._target_side[family] = socket.socket(family, socket.SOCK_DGRAM)
                sock.setblocking(False)
                self._loop.watch(sock, select.EPOLLIN, lambda _, now: self._from_target(sock, now))
            self._target_side[family].sendto(data, address)

    # --- from targets ---------------------------------------------------------------------------

    def _from_target(self, sock: socket.socket, now: float, most: int = BATCH) -> None:
        for _ in range(most):
            try:
                data, sender = sock.recvfrom(LARGEST)
            except OSError:
                return
            address = (sender[0].partition("%")[0], sender[1])
            if self._peer is None or address not in self._targets.values():
                continue
            self._last_active = now
            self._record.sent += len(data)
            with contextlib.suppress(OSError):
                self._client_side.sendto(wrap_datagram(*address, data), self._peer)
