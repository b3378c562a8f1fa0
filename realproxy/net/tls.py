"""TLS on a socket that is used like any other.

A `TlsSocket` keeps what the rest of the proxy relies on: time limits of the kernel, MSG_DONTWAIT, one
owner at a time, and a descriptor for epoll. `ssl.SSLSocket` has neither of the first two. Each read
takes out everything that is decrypted: when `recv` would block, no data is left that epoll cannot
see. The owner of a `TlsSocket` is the owner of its connection.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import time
from typing import Any

RECORD = 16 * 2**10
"""The largest plaintext of a TLS record in bytes (RFC 8446, 5.1)."""
RAW = 64 * 2**10
"""Bytes read from the network at once."""
CHUNK = 64 * 2**10
"""Bytes encrypted at once; as many are held while the network does not take them."""


class Truncated(ConnectionError):
    """The connection ended without a close_notify: data may be missing (RFC 8446, 6.1)."""


def reason_of(error: OSError) -> str:
    """Why TLS has failed, in words."""
    text = getattr(error, "verify_message", "") or getattr(error, "reason", "") or "handshake failed"
    _, alert, told = text.partition("ALERT_")
    words = (told if alert else text).rstrip(".").replace("_", " ")
    words = words.lower() if words.isupper() else words[:1].lower() + words[1:]
    return f"the other side says {words!r}" if alert else words


def fault_of(error: OSError) -> str:
    """The error type of Proxy-Status for a failure of TLS. RFC 9209, 2.3"""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "tls_certificate_error"
    return "tls_alert_received" if "ALERT_" in (getattr(error, "reason", "") or "") else "tls_protocol_error"


class ServerTls(ssl.SSLObject):
    """The server's side of a connection.

    `sni` is the server name from the client (RFC 6066, 3), and `names` are those of the certificate that was
    chosen by it; None if the client sent no server name.
    """

    sni = ""
    names: frozenset[str] | None = None


class TlsSocket(socket.socket):
    """A connected socket that speaks TLS.

    `sock` gives its descriptor away and is not usable afterwards. On the client's side, `server_name` is
    the name that the server must prove; without it this is the server. If `abrupt` is set, `close` sends no
    close_notify, so that the other side sees an error.
    """

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, server_name: str | None = None) -> None:
        super().__init__(sock.family, sock.type, sock.proto, fileno=sock.detach())
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_name is None, server_hostname=server_name
        )
        self._text = b""  # decrypted, not read yet
        self._unsent = memoryview(b"")  # encrypted, not sent yet
        self._taken = 0  # bytes of plaintext in it; the caller does not know yet that they are accepted
        self._failure: ssl.SSLError | None = None  # what a read has met
        self._secured = self._ended = self._notified = self.abrupt = False

    @property
    def names(self) -> frozenset[str] | None:
        """The names of the certificate that was chosen for the client; see `ServerTls`."""
        return self._tls.names if isinstance(self._tls, ServerTls) else None

    @property
    def peer_certificate(self) -> dict[str, Any]:
        """What the other side has proven, as `ssl.SSLObject.getpeercert` returns it; empty without one."""
        return self._tls.getpeercert() or {}

    @property
    def sni(self) -> str:
        """The server name from the client, in lower case; empty without one."""
        return self._tls.sni if isinstance(self._tls, ServerTls) else ""

    # --- the handshake --------------------------------------------------------------------------

    def handshake(self) -> bool:
        """Go on without waiting; True once it is complete, False if more data must arrive first.

        Raises `OSError`, such as `ssl.SSLError`, if the handshake has failed.
        """
        while True:
            try:
                self._tls.do_handshake()
                self._secured = True
                return True
            except ssl.SSLWantReadError:
                pass
            finally:
                self._flush_some()  # after a failure, the alert with the reason
            try:
                self._fill(socket.MSG_DONTWAIT)
            except BlockingIOError:
                return False

    def feed(self, data: bytes) -> None:
        """Add data that was read from the network before this socket existed."""
        self._incoming.write(data)

    def send_raw(self, data: bytes) -> None:
        """Send bytes without encryption, if the network takes them at once."""
        with contextlib.suppress(OSError):
            super().send(data, socket.MSG_DONTWAIT)

    def recv_raw(self, size: int, flags: int = 0) -> bytes:
        """Data from the network without decryption."""
        return super().recv(size, flags)

    # --- reading --------------------------------------------------------------------------------

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """All data that has arrived, even if that is more than `size`; empty after a close_notify.

        Raises `BlockingIOError` if nothing comes in time, `Truncated` without a close_notify.
        """
        while not (text := self._take()) and not self._ended:
            self._fill(flags & socket.MSG_DONTWAIT)
        if flags & socket.MSG_PEEK:
            self._text = text
            return text[:size]
        return text

    def recv_into(self, buffer: Any, size: int = 0, flags: int = 0) -> int:
        """Read into memory; data that does not fit is kept for the next read."""
        view = memoryview(buffer)
        text = self.recv(len(view), flags)
        fits = min(len(text), len(view))
        view[:fits] = text[:fits]
        self._text = text[fits:] if len(text) > fits else b""
        return fits

    @property
    def has_plaintext(self) -> bool:
        """Whether decrypted data waits inside, which no event of the descriptor will report."""
        return bool(self._text)

    def is_readable(self) -> bool:
        """Whether a read would not wait. Data for TLS alone, such as session tickets, does not count."""
        try:
            self.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except OSError as error:
            return not isinstance(error, BlockingIOError)
        return True

    def _take(self) -> bytes:
        """Everything that can be decrypted now."""
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
        except ssl.SSLError as error:
            self._failure = error
            if not pieces:  # otherwise the next read raises it again
                raise
        if self._outgoing.pending:  # such as the reply to a key update
            self._flush_some()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _fill(self, flags: int) -> None:
        data = super().recv(RAW, flags)
        if not data:
            raise Truncated("the connection ended without a close_notify")
        self._incoming.write(data)

    def failure(self) -> ssl.SSLError | None:
        """The alert with which the other side has ended the connection, if it has sent one.

        A client of TLS 1.3 ends its handshake before the server has seen its certificate: a refusal comes
        where the answer is awaited (RFC 8446, 4.4.4). Does not wait.
        """
        with contextlib.suppress(OSError):
            while self._failure is None and not self._ended:
                self._fill(socket.MSG_DONTWAIT)
                self._text = self._take()
        return self._failure

    # --- writing --------------------------------------------------------------------------------

    def send(self, data: Any, flags: int = 0, /) -> int:
        """Send some of `data`; returns how many bytes are done.

        Raises `BlockingIOError` if the network takes no more now. Offer the same data again then, as
        some of it is already encrypted.
        """
        self._flush(flags)
        if not self._taken:
            chunk = memoryview(data)[:CHUNK]
            if not chunk:
                return 0
            self._tls.write(chunk)
            self._taken = len(chunk)
            self._flush(flags)
        taken, self._taken = self._taken, 0
        return taken

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
        with contextlib.suppress(OSError):  # the rest goes before the next write
            self._flush(socket.MSG_DONTWAIT)

    # --- the end --------------------------------------------------------------------------------

    def shutdown(self, how: int, /) -> None:
        """Shut down a direction; SHUT_WR sends close_notify first.

        Any thread may call this with SHUT_RDWR, which sends nothing.
        """
        if how == socket.SHUT_WR:
            self._notify()
        super().shutdown(how)

    def close(self) -> None:
        """Close, with a close_notify unless `abrupt`."""
        if self.fileno() >= 0 and not self.abrupt:
            self._notify()
        super().close()

    def _notify(self) -> None:
        """Send close_notify once."""
        if self._secured and not self._notified:
            self._notified = True
            with contextlib.suppress(ssl.SSLError):  # do not wait for the close_notify of the other side
                self._tls.unwrap()
            self._flush_some()


def shake_hands(sock: TlsSocket, deadline: float) -> None:
    """Wait for a handshake, until `deadline` on the monotonic clock.

    Raises `TimeoutError` after the deadline, another `OSError` if the handshake fails.
    """
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    while not sock.handshake():
        if not poller.poll(max(0.0, 1000 * (deadline - time.monotonic()))):
            raise TimeoutError


def server_context() -> ssl.SSLContext:
    """A context for the server's side, without a certificate yet."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.sslobject_class = ServerTls
    context.set_alpn_protocols(["http/1.1"])
    return context


def client_context(authorities: str | None, *, verify: bool = True) -> ssl.SSLContext:
    """A context for the client's side; `authorities` is a PEM file, by default the system's.

    Raises `OSError` if the file cannot be read, `ssl.SSLError` if it holds no certificate.
    """
    context = ssl.create_default_context(cafile=authorities)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
