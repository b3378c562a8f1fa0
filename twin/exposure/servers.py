"""The site and the name server: both answer, and the site keeps what it got.

`_lock` in each guards what its threads and the experiment share.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading

from twin.exposure import dns_messages
from twin.exposure.namespaces import Namespace, NamespaceError
from twin.exposure.serving import SECONDS, Listener, read_message

HTTP_PORT, HTTPS_PORT, DNS_PORT = 80, 443, 53


class Site:
    """A web site over http and https, at addresses in a namespace; every answer is the current page."""

    def __init__(self, space: Namespace, addresses: tuple[str, ...], tls: ssl.SSLContext) -> None:
        self._tls, self._lock = tls, threading.Lock()
        self._page, self._got = b"", list[bytes]()
        self._listeners: list[Listener] = []
        try:
            for address in addresses:
                for port, serve in ((HTTP_PORT, self._serve), (HTTPS_PORT, self._serve_tls)):
                    self._listeners.append(Listener(space, address, port, serve))
        except BaseException:
            self.close()
            raise

    def show(self, page: bytes) -> None:
        """Answer with this page from now on."""
        with self._lock:
            self._page = page

    def take(self) -> list[bytes]:
        """What the site's program got and gave since the last call, with the addresses of its clients."""
        with self._lock:
            got, self._got = self._got, []
        return got

    def _serve_tls(self, connection: socket.socket) -> None:
        with self._tls.wrap_socket(connection, server_side=True) as secured:
            self._serve(secured)

    def _serve(self, connection: socket.socket) -> None:
        peer, own = connection.getpeername()[0], connection.getsockname()[0]
        request = read_message(connection)
        with self._lock:
            page = self._page
            self._got += [peer.encode(), own.encode(), request, page]
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(page)}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode() + page)

    def close(self) -> None:
        """Stop to serve."""
        for listener in self._listeners:
            listener.close()


class NameServer:
    """Answers for the names that it was told, over UDP.

    It stands for the resolver of the client's network and for the name server of the site at once.
    """

    def __init__(self, space: Namespace, address: str) -> None:
        self._lock, self._names = threading.Lock(), dict[str, tuple[str, ...]]()
        with space.entered():
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, DNS_PORT))
        self._socket.settimeout(0.2)
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, name="exposure-names", daemon=True)
        self._thread.start()

    def tell(self, names: dict[str, tuple[str, ...]]) -> None:
        """Answer for these names and no others from now on."""
        with self._lock:
            self._names = dict(names)

    def addresses_of(self, name: str) -> tuple[str, ...]:
        """What anybody would be answered who asks for a name."""
        with self._lock:
            return self._names.get(name.lower(), ())

    def _run(self) -> None:
        while not self._ends.is_set():
            with contextlib.suppress(OSError, ValueError):
                message, peer = self._socket.recvfrom(2**12)
                name = dns_messages.question(message)[1]
                with self._lock:
                    addresses = self._names.get(name)
                self._socket.sendto(dns_messages.answer(message, addresses), peer)

    def close(self) -> None:
        """Stop to answer."""
        self._ends.set()
        self._thread.join(SECONDS)
        self._socket.close()


def look_up(server: str, name: str, *, ipv6: bool) -> str:
    """Ask a name server from the namespace of the calling thread.

    Returns an IPv6 address if one is asked for and there is one, else the IPv4 address. Raises `OSError` if
    no answer comes, `NamespaceError` if the name has no address.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(SECONDS)
        sock.connect((server, DNS_PORT))
        kinds = (dns_messages.AAAA, dns_messages.A) if ipv6 else (dns_messages.A,)
        for number, kind in enumerate(kinds, 1):
            sock.send(dns_messages.query(number, name, kind))
            if found := dns_messages.addresses_in(sock.recv(2**12), number):
                return found[0]
    raise NamespaceError(f"the name {name} has no address")
