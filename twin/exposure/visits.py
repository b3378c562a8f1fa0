"""The client's programs: one visit by each way, from the namespace of the calling thread.

A program that is set to a proxy talks to the proxy only, and never falls back to a direct visit.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from twin.exposure.provider import FORWARD_PORT, FORWARD_TLS_PORT, INTERCEPT_PORT
from twin.exposure.search import Secrets
from twin.exposure.servers import HTTP_PORT, HTTPS_PORT, look_up
from twin.exposure.serving import SECONDS, Stream, read_head, read_message
from twin.exposure.vocabulary import VPNS, Way


@dataclass(frozen=True)
class Surroundings:
    """What the client's machine is set to.

    Parameters
    ----------
    names : str
        The system's name server.
    provider : str
        Address of the provider.
    proxy_name : str
        The name in the certificate of the TLS proxy.
    trust : ssl.SSLContext
        Whose certificates the client accepts.
    """

    names: str
    provider: str
    proxy_name: str
    trust: ssl.SSLContext


def fetch(way: Way, wanted: Secrets, here: Surroundings, *, encrypted: bool, ipv6: bool = False) -> None:
    """Ask for the page once; raises `OSError` or `ValueError` if no page comes."""
    encrypted = encrypted and way is not Way.HTTP  # which gets only http:// URLs
    direct = way in (Way.DIRECT, Way.REVERSE, *VPNS)
    port = HTTPS_PORT if encrypted else HTTP_PORT
    if direct:
        stream: Stream = _dial(look_up(here.names, wanted.host, ipv6=ipv6), port)
    else:
        stream = _through_proxy(way, wanted, here, port, encrypted=encrypted, ipv6=ipv6)
    try:
        if encrypted:
            stream = _secured(stream, here.trust, wanted.host)
        target = f"http://{wanted.host}{wanted.path}" if way is Way.HTTP else wanted.path
        stream.sendall(_request(target, wanted.host, wanted.request_label.encode()))
        answer = read_message(stream)
        if not answer.startswith(b"HTTP/1.1 200") or wanted.page_label.encode() not in answer:
            raise ValueError(f"not the page: {answer[:60]!r}")
    finally:
        stream.close()


def fetch_other(wanted: Secrets, here: Surroundings, *, encrypted: bool) -> None:
    """The second program, which knows of no proxy, visits its own site."""
    port = HTTPS_PORT if encrypted else HTTP_PORT
    stream: Stream = _dial(look_up(here.names, wanted.other_host, ipv6=False), port)
    try:
        if encrypted:
            stream = _secured(stream, here.trust, wanted.other_host)
        stream.sendall(_request("/", wanted.other_host, b"other"))
        read_message(stream)
    finally:
        stream.close()


def _request(target: str, host: str, body: bytes) -> bytes:
    head = (
        f"POST {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


def _dial(address: str, port: int) -> socket.socket:
    return socket.create_connection((address, port), timeout=SECONDS)


def _through_proxy(
    way: Way, wanted: Secrets, here: Surroundings, port: int, *, encrypted: bool, ipv6: bool
) -> Stream:
    """A connection to the proxy on which the request can be sent."""
    if way is Way.SOCKS5:
        address = look_up(here.names, wanted.host, ipv6=ipv6)
        return _begun(_dial(here.provider, FORWARD_PORT), lambda s: _socks5(s, _packed(address), port))
    if way is Way.SOCKS5H:
        name = wanted.host.encode()
        asked = b"\x03" + bytes([len(name)]) + name
        return _begun(_dial(here.provider, FORWARD_PORT), lambda s: _socks5(s, asked, port))
    if way is Way.HTTP:
        return _dial(here.provider, FORWARD_PORT)
    if way is Way.TLS_PROXY and encrypted:
        outer = _secured(_dial(here.provider, FORWARD_TLS_PORT), here.trust, here.proxy_name)
        return _begun(outer, lambda s: _connect(s, wanted.host, port))
    own = INTERCEPT_PORT if way is Way.INTERCEPT else FORWARD_PORT
    return _begun(_dial(here.provider, own), lambda s: _connect(s, wanted.host, port))


def _begun(stream: Stream, begin: Callable[[Stream], None]) -> Stream:
    try:
        begin(stream)
    except BaseException:
        stream.close()
        raise
    return stream


def _packed(address: str) -> bytes:
    """An address as SOCKS writes it (RFC 1928, 5)."""
    ip = ipaddress.ip_address(address)
    return (b"\x01" if ip.version == 4 else b"\x04") + ip.packed


def _socks5(stream: Stream, asked: bytes, port: int) -> None:
    stream.sendall(b"\x05\x01\x00")
    if _exactly(stream, 2) != b"\x05\x00":
        raise ValueError("the SOCKS proxy asks for a password")
    stream.sendall(b"\x05\x01\x00" + asked + port.to_bytes(2, "big"))
    status, kind = _exactly(stream, 4)[1::2]
    _exactly(stream, {1: 4, 4: 16}[kind] + 2)
    if status:
        raise ValueError(f"the SOCKS proxy answers {status}")


def _exactly(stream: Stream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = stream.recv(size - len(data))
        if not piece:
            raise ValueError("the proxy has closed the connection")
        data += piece
    return data


def _connect(stream: Stream, host: str, port: int) -> None:
    stream.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    head, _ = read_head(stream)
    if b" 200 " not in head.split(b"\r\n")[0]:
        raise ValueError(f"the proxy answers {head[:60]!r}")


def _secured(stream: Stream, trust: ssl.SSLContext, name: str) -> Stream:
    """TLS on a connection, which may itself be TLS."""
    try:
        if isinstance(stream, socket.socket) and not isinstance(stream, ssl.SSLSocket):
            return trust.wrap_socket(stream, server_hostname=name)
        return _TlsInside(stream, trust, name)
    except BaseException:
        stream.close()
        raise


class _TlsInside:
    """TLS inside another TLS, which `ssl.SSLContext.wrap_socket` cannot do."""

    def __init__(self, stream: Stream, trust: ssl.SSLContext, name: str) -> None:
        self._stream = stream
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = trust.wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        self._until_done(self._tls.do_handshake)

    def _until_done(self, step: Callable[[], object]) -> object:
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                pass
            finally:
                if self._outgoing.pending:
                    self._stream.sendall(self._outgoing.read())
            data = self._stream.recv(2**16)
            self._incoming.write(data) if data else self._incoming.write_eof()

    def recv(self, size: int, /) -> bytes:
        """Decrypted data, empty at the end."""
        try:
            data = self._until_done(lambda: self._tls.read(size))
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return b""
        assert isinstance(data, bytes)
        return data

    def sendall(self, data: bytes, /) -> None:
        """Send all data."""
        self._until_done(lambda: self._tls.write(data))

    def close(self) -> None:
        """Close the connection below."""
        self._stream.close()
