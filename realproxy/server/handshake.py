"""Connections that begin with a PROXY protocol header, with TLS, or with first the header and then TLS.

Owner: as in `realproxy.downstream.connection`. The event loop's thread reads the PROXY header. Of TLS it
only sees that bytes have arrived: a worker does each step of the handshake, and no step waits. A client
that does not finish its handshake holds a connection until ``limits.header_timeout``, but no thread.
"""

from __future__ import annotations

import socket

from policies.settings import Limits, ProxySettings
from realproxy.downstream.connection import READ, DownstreamConnection, ReadResult
from realproxy.net.address import Address
from realproxy.net.certificates import Certificates
from realproxy.net.proxy_protocol import BadHeader, TrustedPeers, read_header
from realproxy.net.tls import TlsSocket
from realproxy.runtime.blocking import BlockedThreads


class HandshakingConnection(DownstreamConnection):
    """A client's connection with a handshake before the first HTTP request.

    `sock` is a `TlsSocket` if there is TLS. `proxy_header` tells whether a PROXY protocol header comes first.
    """

    __slots__ = ("_header", "_peer", "handshaking", "inline", "scheme", "sni")

    def __init__(
        self, sock: socket.socket, address: str, limits: Limits, waits: BlockedThreads, *, proxy_header: bool
    ) -> None:
        super().__init__(sock, address, limits.head, waits)
        self._header: bytes | None = b"" if proxy_header else None
        self._peer: Address | None = None
        self.handshaking, self.inline = True, False
        self.scheme = b"https" if isinstance(sock, TlsSocket) else b"http"
        self.sni = ""

    def read(self) -> ReadResult:
        """Read once without waiting. Bytes of a TLS handshake give HEAD, so that a worker continues."""
        if not self.handshaking:
            return super().read()
        if self._header is not None:
            result = self._read_header()
            if self._header is not None or not isinstance(self.sock, TlsSocket):
                return result
        return ReadResult.HEAD

    def handshake(self) -> ReadResult:
        """Continue the handshake without waiting; when it is complete, read."""
        assert isinstance(self.sock, TlsSocket)
        try:
            if not self.sock.handshake():
                return ReadResult.PART
        except OSError:
            return ReadResult.END
        self.handshaking, self.sni = False, self.sock.sni
        return super().read()

    def peer(self) -> Address:
        """IP address and port of the client; those in the PROXY header, if there was one."""
        return self._peer or super().peer()

    def reset_on_close(self) -> None:
        """Reset the connection at the close, without a TLS close_notify."""
        if isinstance(self.sock, TlsSocket):
            self.sock.abrupt = True
        super().reset_on_close()

    def _read_header(self) -> ReadResult:
        assert self._header is not None
        sock = self.sock
        try:
            receive = sock.recv_raw if isinstance(sock, TlsSocket) else sock.recv
            data = receive(READ, socket.MSG_DONTWAIT)
            self._header += data
            self.unread = len(data) == READ
            header = read_header(self._header) if data else None
        except BlockingIOError:
            return ReadResult.PART
        except (OSError, BadHeader):
            return ReadResult.END
        if header is None:
            return ReadResult.PART if data else ReadResult.END
        rest, self._header = self._header[header.size :], None
        if header.source is not None:
            self._peer, self.address = header.source, header.source[0]
        if isinstance(sock, TlsSocket):
            sock.feed(rest)
            return ReadResult.HEAD
        self.handshaking, self.inline, self.buffer = False, True, rest
        return self.find_head() if rest else ReadResult.PART


class ConnectionFactory:
    """Makes the `DownstreamConnection` of an accepted socket.

    Raises `BadInput`, with `where` as the source of the settings, if a certificate cannot be used.
    """

    def __init__(self, settings: ProxySettings, where: str) -> None:
        self._limits = settings.limits
        self._trusted = TrustedPeers(settings.proxy_protocol)
        self._certificates = Certificates(settings.tls, where) if settings.tls else None

    def __call__(self, sock: socket.socket, address: str, waits: BlockedThreads) -> DownstreamConnection:
        """The connection of a socket that was accepted from `address`."""
        proxy_header = address in self._trusted
        if self._certificates is not None:
            sock = TlsSocket(sock, self._certificates.context)
        elif not proxy_header:
            return DownstreamConnection(sock, address, self._limits.head, waits)
        return HandshakingConnection(sock, address, self._limits, waits, proxy_header=proxy_header)
