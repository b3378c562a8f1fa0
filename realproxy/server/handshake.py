"""Connections on which something comes before HTTP, or instead of it: PROXY protocol, TLS, SOCKS.

Owner: as in `realproxy.downstream.connection`. The event loop's thread reads the PROXY header, and goes
through the handshake of SOCKS. Of TLS it only sees that bytes have arrived: a worker does each step of the
handshake, and no step waits. A client that does not finish its handshake holds a connection until
``limits.header_timeout``, but no thread.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable
from enum import Enum
from functools import partial

from policies.basic_auth import is_known
from policies.settings import Forward, ProxySettings
from realproxy.downstream.connection import READ, Door, DownstreamConnection, ReadResult
from realproxy.errors import Aborted, LocalReply, Termination
from realproxy.net.address import Address
from realproxy.net.certificates import Certificates
from realproxy.net.identity import accepting_context, name_in
from realproxy.net.proxy_protocol import BadHeader, TrustedPeers, read_header
from realproxy.net.tls import TlsSocket, reason_of
from realproxy.runtime.blocking import BlockedThreads
from realproxy.runtime.sockets import DONTWAIT
from realproxy.socks import ServerHandshake

BeginSocks = Callable[[], ServerHandshake | None]
"""Returns a new handshake for a SOCKS client; None if SOCKS is off."""


PLAIN = "this listener speaks TLS, and demands a certificate of its clients"
"""For a client that speaks HTTP without TLS where a certificate is demanded."""


class Opening(Enum):
    """What comes first on a connection, besides a `ServerHandshake`."""

    PROXY_HEADER = "a header of the PROXY protocol"
    TLS = "a TLS handshake"


class HandshakingConnection(DownstreamConnection):
    """A client's connection with a handshake before the first HTTP request, or with SOCKS instead of HTTP.

    `sock` is a `TlsSocket` if there is TLS; with `mutual`, its client must prove a name. `proxy_header` tells
    whether a PROXY protocol header comes first. `begin_socks` is None if SOCKS is off.
    """

    __slots__ = (
        "_begin_socks", "_begun", "_first", "_header", "_mutual", "_peer", "caller", "failure", "inline",
        "names", "opening", "scheme", "sni",
    )  # fmt: skip

    def __init__(
        self, sock: socket.socket, address: str, max_head: int, waits: BlockedThreads, door: Door, *,
        proxy_header: bool, begin_socks: BeginSocks | None, mutual: bool,
    ) -> None:  # fmt: skip
        super().__init__(sock, address, max_head, waits, door)
        secure = isinstance(sock, TlsSocket)
        self._begin_socks, self._header = begin_socks, b""
        self._mutual, self.caller, self._first = mutual, "", b""
        self._begun = False  # bytes of TLS were read
        self.failure: LocalReply | None = None
        self._peer: Address | None = None
        self.opening: object | None = Opening.TLS if secure else None
        if proxy_header:
            self.opening = Opening.PROXY_HEADER
        self.inline = self.opening is None
        self.scheme, self.sni = b"https" if secure else b"http", ""
        self.names: frozenset[str] | None = None

    def read(self) -> ReadResult:
        """Read once without waiting. HEAD if a worker continues, as with bytes of a TLS handshake."""
        opening = self.opening
        if opening is None and self._begin_socks is None:
            return super().read()
        if opening is Opening.TLS:
            return ReadResult.HEAD
        receive = self.sock.recv_raw if isinstance(self.sock, TlsSocket) else self.sock.recv
        try:
            data = receive(READ, DONTWAIT)
        except BlockingIOError:
            return ReadResult.PART
        except OSError:
            return ReadResult.END
        self.unread = len(data) == READ
        return self._go_on(opening, data) if data else ReadResult.END

    def _go_on(self, opening: object | None, data: bytes) -> ReadResult:
        if opening is Opening.PROXY_HEADER:
            return self._read_header(data)
        return self._feed(opening, data) if isinstance(opening, ServerHandshake) else self._begin(data)

    def handshake(self) -> ReadResult:
        """Continue the handshake without waiting; when it is complete, read."""
        if isinstance(self.opening, ServerHandshake):
            return ReadResult.OTHER
        sock = self.sock
        assert isinstance(sock, TlsSocket)
        if self._mutual and not self._begun and self._speaks_plainly(sock):
            self.failure = LocalReply(400, Termination.CLIENT_BAD, PLAIN)
            return ReadResult.END
        self._begun = True
        try:
            if not sock.handshake():
                return ReadResult.PART
        except OSError as error:
            if self._mutual and isinstance(error, ssl.SSLError):
                self.failure = LocalReply(0, Termination.UNAUTHENTICATED, f"TLS: {reason_of(error)}")
            return ReadResult.END
        if self._mutual:
            self.caller = name_in(sock.peer_certificate)
        self.opening, self.sni, self.names = None, sock.sni, sock.names
        return super().read()

    def _speaks_plainly(self, sock: TlsSocket) -> bool:
        """Whether what comes is a method, and not the handshake of a TLS client (RFC 8446, 5.1: type 22)."""
        try:
            return (self._first or sock.recv_raw(1, DONTWAIT | socket.MSG_PEEK)).isalpha()
        except OSError:
            return False

    def send_early(self, data: bytes) -> None:
        """As `DownstreamConnection.send_early`; never encrypted."""
        if isinstance(self.sock, TlsSocket):
            with contextlib.suppress(OSError):  # what is left unread would reset the connection
                self.sock.recv_raw(READ, DONTWAIT)
            self.sock.send_raw(data)

    def _begin(self, data: bytes) -> ReadResult:
        """Tell SOCKS from HTTP by the first byte: no HTTP begins with the version of SOCKS."""
        begin, self._begin_socks = self._begin_socks, None
        handshake = begin() if begin is not None and data[:1] in (b"\x04", b"\x05") else None
        if handshake is not None:
            self.opening, self.inline = handshake, False
            return self._feed(handshake, data)
        self.buffer = data
        return self.find_head()

    def _feed(self, handshake: ServerHandshake, data: bytes) -> ReadResult:
        """Go on with SOCKS. Its replies are few bytes: a client with no room for them is not waited for."""
        reply = handshake.feed(data)
        try:
            if reply:
                self.try_send_all(reply)
        except Aborted:
            return ReadResult.END
        return ReadResult.HEAD if handshake.ended else ReadResult.PART

    def peer(self) -> Address:
        """IP address and port of the client; those in the PROXY header, if there was one."""
        return self._peer or super().peer()

    def reset_on_close(self) -> None:
        """Reset the connection at the close, without a TLS close_notify."""
        if isinstance(self.sock, TlsSocket):
            self.sock.abrupt = True
        super().reset_on_close()

    def _read_header(self, data: bytes) -> ReadResult:
        self._header += data
        try:
            header = read_header(self._header)
        except BadHeader:
            return ReadResult.END
        if header is None:
            return ReadResult.PART
        rest, self._header = self._header[header.size :], b""
        if header.source is not None:
            self._peer, self.address = header.source, header.source[0]
        if isinstance(self.sock, TlsSocket):
            self.opening, self._first = Opening.TLS, rest[:1]
            self.sock.feed(rest)
            return ReadResult.HEAD
        self.opening, self.inline = None, True
        return self._begin(rest) if rest else ReadResult.PART


class ConnectionFactory:
    """Makes the `DownstreamConnection` of a socket that one listener, the `door`, has accepted.

    Raises `BadInput`, with `where` as the source of the settings, if a certificate cannot be used.
    """

    def __init__(
        self, settings: ProxySettings, where: str, begin_socks: BeginSocks, door: Door = Door.BOTH
    ) -> None:
        self._max_head, self._door = settings.limits.head, door
        socks = door is not Door.REVERSE and settings.forward and socks_versions(settings.forward)
        self._begin_socks = begin_socks if socks else None
        inside = door is Door.FORWARD  # `tls` and `proxy_protocol` are for `listen`
        self._trusted = TrustedPeers(None if inside else settings.proxy_protocol)
        self._context: ssl.SSLContext | None = None
        self._mutual = settings.knows_callers and not inside
        if settings.identity is not None and self._mutual:
            self._context = accepting_context(settings.identity, where)
        elif settings.tls and not inside:
            self._context = Certificates(settings.tls, where).context

    def __call__(self, sock: socket.socket, address: str, waits: BlockedThreads) -> DownstreamConnection:
        """The connection of a socket that was accepted from `address`."""
        proxy_header, begin_socks = address in self._trusted, self._begin_socks
        if self._context is not None:
            sock, begin_socks = TlsSocket(sock, self._context), None
        elif not proxy_header and begin_socks is None:
            return DownstreamConnection(sock, address, self._max_head, waits, self._door)
        return HandshakingConnection(
            sock, address, self._max_head, waits, self._door,
            proxy_header=proxy_header, begin_socks=begin_socks, mutual=self._mutual,
        )  # fmt: skip


def doors_of(settings: ProxySettings) -> tuple[Door, ...]:
    """What the HTTP listeners serve: one both sides, or each side its own, the reverse side first."""
    own = settings.forward is not None and settings.forward.listen is not None
    return (Door.REVERSE, Door.FORWARD) if own else (Door.BOTH,)


def socks_versions(forward: Forward) -> frozenset[int]:
    """The versions of SOCKS that the settings allow."""
    return frozenset(int(name[-1]) for name in forward.protocols if name.startswith("socks"))


def socks_handshake(forward: Forward | None) -> ServerHandshake | None:
    """A new handshake for a SOCKS client; None if SOCKS is off."""
    if forward is None or not (versions := socks_versions(forward)):
        return None
    return ServerHandshake(versions, partial(is_known, forward.auth) if forward.auth else None)
