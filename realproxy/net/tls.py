"""TLS on a socket that is used like any other.

A `TlsSocket` keeps what the rest of the proxy relies on: kernel time limits, MSG_DONTWAIT, one
owner at a time, and a descriptor for epoll. `ssl.SSLSocket` has none of the first two. So that no
event is missed, every read takes out all that has been decrypted: when `recv` would block, nothing
is left inside that epoll could not see.

Owner: as of the socket that it stands for; see `realproxy.downstream.connection` and
`realproxy.upstream.pool`.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import time
from typing import Any

RECORD = 16 * 2**10
"""Bytes of a TLS record's text, at most (RFC 8446, 5.1)."""
RAW = 64 * 2**10
"""Bytes read from the network at once."""
CHUNK = 64 * 2**10
"""Bytes encrypted at once, and held at most if the network does not take them."""


class Truncated(ConnectionError):
    """The connection ended without a close_notify: what was read may not be all (RFC 8446, 6.1)."""


class ServerTls(ssl.SSLObject):
    """The server's side of a connection.

    Attributes
    ----------
    sni : str
        What the client asked for (SNI, RFC 6066, 3); empty if it named nothing.
    """

    sni = ""


class TlsSocket(socket.socket):
    """A connected socket that speaks TLS.

    Parameters
    ----------
    sock : socket.socket
        It is taken over: its descriptor is this one's.
    context : ssl.SSLContext
        With the certificates.
    server_name : str, optional
        For a client: the name that the server must prove. Without it this is the server.

    Attributes
    ----------
    abrupt : bool
        Whether the close must not look like a proper end.
    """

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, server_name: str | None = None) -> None:
        super().__init__(sock.family, sock.type, sock.proto, fileno=sock.detach())
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_name is None, server_hostname=server_name
        )
        self._text = b""  # decrypted, not asked for yet
        self._unsent = memoryview(b"")  # encrypted, not taken by the network yet
        self._taken = 0  # bytes of text in it that the caller does not know to be sent
        self._secured = self._ended = self._notified = False
        self.abrupt = False

    @property
    def sni(self) -> str:
        """What the client asked for, in lower case; empty if it named nothing."""
        return self._tls.sni if isinstance(self._tls, ServerTls) else ""

    @property
    def version(self) -> str | None:
        """Such as ``TLSv1.3``."""
        return self._tls.version()

    # --- the handshake --------------------------------------------------------------------------

    def handshake(self) -> bool:
        """Do what can be done without waiting.

        Returns
        -------
        bool
            Whether it is complete; if not, more must arrive first.

        Raises
        ------
        OSError
            If it has failed, such as `ssl.SSLError`.
        """
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush_some()
                try:
                    self._fill(socket.MSG_DONTWAIT)
                except BlockingIOError:
                    return False
            except OSError:
                self._flush_some()  # the alert that says why
                raise
            else:
                self._flush_some()
                self._secured = True
                return True

    def feed(self, data: bytes) -> None:
        """Take what somebody has read from the network before."""
        self._incoming.write(data)

    def recv_raw(self, size: int, flags: int = 0) -> bytes:
        """What arrives on the network, as it is."""
        return super().recv(size, flags)

    # --- reading --------------------------------------------------------------------------------

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """What has arrived, all of it, even if that is more than `size`; empty at a proper end.

        Raises
        ------
        BlockingIOError
            If nothing comes in time.
        Truncated
            If the connection ends as an attacker could end it.
        """
        text = self._take()
        while not text and not self._ended:
            self._fill(flags & socket.MSG_DONTWAIT)
            text = self._take()
        if flags & socket.MSG_PEEK:
            self._text = text
            return text[:size]
        return text

    def recv_into(self, buffer: Any, size: int = 0, flags: int = 0) -> int:
        """The same into memory; what does not fit is kept for the next read."""
        view = memoryview(buffer)
        text = self.recv(len(view), flags)
        fits = min(len(text), len(view))
        view[:fits] = text[:fits]
        self._text = text[fits:] if len(text) > fits else b""
        return fits

    @property
    def has_plaintext(self) -> bool:
        """Whether something is decrypted that nobody has taken: the network says nothing more of it."""
        return bool(self._text)

    def is_readable(self) -> bool:
        """Whether a read would not wait: of what arrives, some is for TLS alone, such as session tickets."""
        try:
            self.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def _take(self) -> bytes:
        """All that is decrypted or can be."""
        pieces = [self._text] if self._text else []
        self._text = b""
        incoming, tls = self._incoming, self._tls
        try:
            while not self._ended and (incoming.pending or tls.pending()):
                piece = tls.read(RECORD)
                self._ended = not piece
                pieces.append(piece)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self._ended = True
        except ssl.SSLError:
            if not pieces:  # else it is met again by the next read
                raise
        if self._outgoing.pending:  # such as the answer to a key update
            self._flush_some()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _fill(self, flags: int) -> None:
        data = super().recv(RAW, flags)
        if not data:
            raise Truncated("the connection ended without a close_notify")
        self._incoming.write(data)

    # --- writing --------------------------------------------------------------------------------

    def send(self, data: Any, flags: int = 0, /) -> int:
        """Send some of `data`; returns how many bytes of it need not be offered again.

        Raises
        ------
        BlockingIOError
            If the network takes no more now. The same data must be offered again: some of it is
            encrypted already.
        """
        self._flush(flags)
        if self._taken:
            taken, self._taken = self._taken, 0
            return taken
        chunk = memoryview(data)[:CHUNK]
        if not chunk:
            return 0
        self._tls.write(chunk)
        self._taken = len(chunk)
        self._flush(flags)
        self._taken = 0
        return len(chunk)

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Send all of `data`."""
        view = memoryview(data)
        while view:
            view = view[self.send(view, flags) :]

    def _flush(self, flags: int) -> None:
        while self._unsent or self._outgoing.pending:
            if not self._unsent:
                self._unsent = memoryview(self._outgoing.read())
            self._unsent = self._unsent[super().send(self._unsent, flags) :]

    def _flush_some(self) -> None:
        with contextlib.suppress(OSError):  # what is left goes before the next write
            self._flush(socket.MSG_DONTWAIT)

    # --- the end --------------------------------------------------------------------------------

    def shutdown(self, how: int, /) -> None:
        """As of any socket; the other side is told properly that nothing more comes.

        To break both directions off (SHUT_RDWR) is allowed to any thread, and tells nothing.
        """
        if how == socket.SHUT_WR:
            self._notify()
        super().shutdown(how)

    def close(self) -> None:
        """Close; properly, unless `abrupt`."""
        if self.fileno() >= 0 and not self.abrupt:
            self._notify()
        super().close()

    def _notify(self) -> None:
        """Send close_notify, once."""
        if self._secured and not self._notified:
            self._notified = True
            with contextlib.suppress(ssl.SSLError):  # it is sent; the other side's is not waited for
                self._tls.unwrap()
            self._flush_some()


def shake_hands(sock: TlsSocket, deadline: float) -> None:
    """Complete a handshake; the caller's thread waits until `deadline` on the monotonic clock.

    Raises
    ------
    OSError
        `TimeoutError` after the deadline; `ssl.SSLError` and others if the handshake fails.
    """
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    while not sock.handshake():
        if not poller.poll(max(0.0, 1000 * (deadline - time.monotonic()))):
            raise TimeoutError


def server_context() -> ssl.SSLContext:
    """A context for accepting connections, without a certificate yet."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.sslobject_class = ServerTls
    context.set_alpn_protocols(["http/1.1"])
    return context


def client_context(authorities: str | None, *, verify: bool = True) -> ssl.SSLContext:
    """A context for connections to servers.

    Parameters
    ----------
    authorities : str or None
        PEM file of the authorities that may have signed the server's certificate; None for those that
        this machine trusts.
    verify : bool
        Whether the certificate is checked at all.

    Raises
    ------
    OSError
        If the file cannot be used; `ssl.SSLError` if it holds no certificate.
    """
    context = ssl.create_default_context(cafile=authorities)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
