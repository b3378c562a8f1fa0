"""Clients with something below HTTP: a PROXY protocol header, TLS, or the first and then the second.

Owner: as `realproxy.downstream.connection` says. The front thread reads the header; of TLS it only sees that
something has arrived. Every step of a handshake is done by a worker, and none of them waits: a
client that does not finish one costs a connection, until its head would be due, and no thread.
"""

from __future__ import annotations

import socket

from policies.bad_input import BadInput
from policies.settings import Limits, ProxySettings
from realproxy.downstream.connection import READ, DownstreamConnection, ReadResult
from realproxy.net.address import Address
from realproxy.net.certificates import Certificates
from realproxy.net.proxy_protocol import BadHeader, TrustedPeers, read_header
from realproxy.net.tls import TlsSocket
from realproxy.runtime.blocking import BlockedThreads


class HandshakingConnection(DownstreamConnection):
    """A client whose connection does not begin with HTTP.

    Parameters
    ----------
    sock : socket.socket
        A `TlsSocket` if there is TLS.
    address : str
        Where it comes from.
    limits : Limits
        From the settings.
    waits : BlockedThreads
        Where workers that wait for clients are counted.
    announced : bool
        Whether a PROXY protocol header comes first.
    """

    __slots__ = ("_header", "_peer", "handshaking", "scheme", "sni")

    def __init__(
        self, sock: socket.socket, address: str, limits: Limits, waits: BlockedThreads, *, announced: bool
    ) -> None:
        super().__init__(sock, address, limits.head, waits)
        self._header: bytes | None = b"" if announced else None
        self._peer: Address | None = None
        self.handshaking = True
        self.scheme = b"https" if isinstance(sock, TlsSocket) else b"http"
        self.sni = ""

    @property
    def is_simple(self) -> bool:
        """See `DownstreamConnection.is_simple`: what TLS encrypts may not all go out at once."""
        return self.pace is None and not self.handshaking and not isinstance(self.sock, TlsSocket)

    def read(self) -> ReadResult:
        """Read once without waiting; a handshake is reported like a head, for a worker to go on with."""
        if not self.handshaking:
            return super().read()
        if self._header is not None:
            arrival = self._read_header()
            if self._header is not None or not isinstance(self.sock, TlsSocket):
                return arrival
        return ReadResult.HEAD

    def handshake(self) -> ReadResult:
        """Go on with the handshake as far as it goes without waiting, and then read."""
        assert isinstance(self.sock, TlsSocket)
        try:
            if not self.sock.handshake():
                return ReadResult.PART
        except OSError:
            return ReadResult.END
        self.handshaking, self.sni = False, self.sock.sni
        return super().read()

    def peer(self) -> Address:
        """IP address and port that it comes from, as the PROXY protocol says."""
        return self._peer or super().peer()

    def reset_on_close(self) -> None:
        """Let the close be seen as an error: without a close_notify, too."""
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
            self.missed = len(data) == READ
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
        self.handshaking, self.buffer = False, rest
        return self.look() if rest else ReadResult.PART


class ConnectionFactory:
    """Makes a client of every connection that is accepted.

    Parameters
    ----------
    settings : ProxySettings
        Of the whole proxy.
    where : str
        What messages call the source of the settings.

    Raises
    ------
    BadInput
        If a certificate cannot be used.
    """

    def __init__(self, settings: ProxySettings, where: str) -> None:
        self._limits = settings.limits
        self._trusted = TrustedPeers(settings.proxy_protocol)
        self._certificates = Certificates(settings.tls, where) if settings.tls else None

    def __call__(self, sock: socket.socket, address: str, waits: BlockedThreads) -> DownstreamConnection:
        """The client of a socket that was accepted from an address."""
        announced = address in self._trusted
        certificates = self._certificates
        if certificates is not None:
            sock = TlsSocket(sock, certificates.context)
        elif not announced:
            return DownstreamConnection(sock, address, self._limits.head, waits)
        return HandshakingConnection(sock, address, self._limits, waits, announced=announced)


def check_certificates(settings: ProxySettings, where: str) -> list[BadInput]:
    """What is wrong with the files of certificates: the first finding of each."""
    found = []
    for number, certificate in enumerate(settings.tls):
        try:
            Certificates([certificate], where)
        except BadInput as problem:
            key = problem.key if len(settings.tls) == 1 else problem.key.replace("tls.", f"tls.{number}.", 1)
            found.append(BadInput(where, key, problem.problem))
    return found
