"""The admin port: a small HTTP server of its own, apart from the proxy's traffic.

It serves a table of pages. Who may ask: whoever reaches the port; it is meant for loopback. A browser
there must not become the tool of a web site, so a request is refused if its Host is a name that
such a site may point here (DNS rebinding), or if another site's page sent it.

Threads. One thread accepts; each connection is served by a short-lived thread that owns it and
gives it up after `PATIENCE`. Pages are called in those threads. `_told` is only added to.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qs

from realproxy.http1 import Malformed, RequestHead, TargetForm, body_reader, parse_request
from realproxy.messages.headers import http_date
from realproxy.runtime.isolation import location_of, report

PATIENCE = 5.0
"""Seconds for a whole request, and for each write of its answer."""
MOST_BYTES = 64 * 2**10
"""Bytes of a request, body included."""
MOST_AT_ONCE = 32
"""Connections that are served; further ones wait."""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """What a page is asked.

    Parameters
    ----------
    method : str
        ``GET`` (HEAD too is asked as GET) or ``POST``.
    path : str
        Without the query.
    parameters : dict of str to str
        Of the query and of a form in the body.
    host : str
        Host (and port) that the client used, as in Host.
    """

    method: str
    path: str
    parameters: Mapping[str, str]
    host: str


@dataclass(frozen=True, slots=True)
class Page:
    """An answer of the admin port.

    Parameters
    ----------
    body : bytes
        Its content.
    type : str
        Of the content.
    status : int
        200 unless something is wrong.
    fields : mapping of str to str
        Further header fields.
    """

    body: bytes
    type: str = "text/plain; charset=utf-8"
    status: int = 200
    fields: Mapping[str, str] = field(default_factory=dict)


Pages = Mapping[tuple[str, str], Callable[[PageRequest], Page]]
"""The pages by method and path, such as ``("GET", "/stats")``."""


def error_page(status: int, text: str) -> Page:
    """An answer that says in one line what is wrong."""
    return Page(f"{status} {HTTPStatus(status).phrase}: {text}\n".encode(), status=status)


class AdminServer:
    """Serves pages on a listening socket.

    Parameters
    ----------
    listener : socket.socket
        Bound and listening; closed by `stop`.
    name : str
        Host that the settings name; a request may use it too.
    pages : Pages
        What is served.
    """

    def __init__(self, listener: socket.socket, name: str, pages: Pages) -> None:
        self._listener, self._name, self._pages = listener, name.lower(), pages
        self._slots = threading.BoundedSemaphore(MOST_AT_ONCE)
        self._stopping = False
        self._told: set[tuple[str, int]] = set()
        """Where the program has failed: each place is told once, for whoever asks can ask again."""
        self.address: tuple[str, int] = listener.getsockname()[:2]
        self._thread = threading.Thread(target=self._run, name="proxy-admin", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and close the listener; answers that are under way are finished or given up."""
        self._stopping = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE)
        deadline = time.monotonic() + PATIENCE
        for _ in range(MOST_AT_ONCE):
            self._slots.acquire(timeout=max(0.0, deadline - time.monotonic()))
        self._listener.close()

    def _run(self) -> None:
        while not self._stopping:
            if not self._slots.acquire(timeout=1.0):
                continue
            try:
                sock, _ = self._listener.accept()
            except OSError:
                self._slots.release()
                time.sleep(0 if self._stopping else 0.05)  # no descriptors: others may give some back
                continue
            threading.Thread(target=self._serve, args=(sock,), name="proxy-admin-page", daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            with sock, contextlib.suppress(OSError):
                sock.settimeout(PATIENCE)
                page, head = self._answer(sock)
                self._send(sock, page, head)
        finally:
            self._slots.release()

    def _answer(self, sock: socket.socket) -> tuple[Page, RequestHead | None]:
        head = None
        try:
            head, body = _receive(sock)
            return self._page(head, body), head
        except Malformed as error:
            return error_page(error.status, error.problem), head
        except Exception as fault:
            if head is None and isinstance(fault, OSError):
                raise  # the client is gone, or says nothing
            self._tell(fault)
            return error_page(500, "a fault of the proxy: see what it has written to standard error"), head

    def _tell(self, fault: Exception) -> None:
        place = location_of(fault)
        if place not in self._told:
            self._told.add(place)
            report(fault)

    def _page(self, head: RequestHead, body: bytes) -> Page:
        if head.form is not TargetForm.ORIGIN:
            return error_page(400, "this is the admin port, not the proxy")
        if (refused := self._refused(head)) is not None:
            return error_page(403, refused)
        path, _, query = head.path.decode("latin-1").partition("?")
        method = "GET" if head.method == "HEAD" else head.method
        handler = self._pages.get((method, path))
        if handler is None:
            others = [known for known, where in self._pages if where == path]
            if others:
                return error_page(405, f"{path} takes {', '.join(others)}")
            return error_page(404, "there are " + ", ".join(f"{m} {p}" for m, p in self._pages))
        given = parse_qs(f"{query}&{body.decode('latin-1')}", keep_blank_values=True)
        parameters = {name: values[-1] for name, values in given.items()}
        return handler(PageRequest(method, path, parameters, head.authority.decode()))

    def _refused(self, head: RequestHead) -> str | None:
        """Why a request may be the doing of a web site."""
        host = head.host.decode().removeprefix("[").removesuffix("]")
        if host not in ("localhost", self._name) and not _is_address(host):
            return f"{host} is not a name of this port; use its address"
        origin = head.fields.text("origin")
        # scheme "://" host [ ":" port ], or "null".                                     RFC 6454, 7.1
        if origin is not None and origin.partition("://")[2] != head.fields.text("host"):
            return f"pages of {origin} may not ask here"
        if head.method != "GET" and head.fields.text("sec-fetch-site") in ("cross-site", "same-site"):
            return "pages of other sites may not ask here"
        return None

    def _send(self, sock: socket.socket, page: Page, head: RequestHead | None) -> None:
        fields = {
            "Date": http_date().decode(),
            "Content-Type": page.type,
            "Content-Length": str(len(page.body)),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Connection": "close",
            **page.fields,
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        phrase = HTTPStatus(page.status).phrase
        sock.sendall(f"HTTP/1.1 {page.status} {phrase}\r\n{lines}\r\n".encode("latin-1"))
        if head is None or head.method != "HEAD":
            sock.sendall(page.body)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _receive(sock: socket.socket) -> tuple[RequestHead, bytes]:
    """A whole request within `PATIENCE` and `MOST_BYTES`; raises `Malformed`."""
    deadline = time.monotonic() + PATIENCE
    data = b""
    while (end := data.find(b"\r\n\r\n")) < 0:
        data += _more(sock, deadline, len(data))
    head = parse_request(data[: end + 4])
    reader = body_reader(head.framing, MOST_BYTES)
    body = [bytes(piece) for piece in reader.feed(data[end + 4 :])]
    size = len(data)
    while not reader.done:
        more = _more(sock, deadline, size)
        size += len(more)
        body += [bytes(piece) for piece in reader.feed(more)]
    return head, b"".join(body)


def _more(sock: socket.socket, deadline: float, had: int) -> bytes:
    if had > MOST_BYTES:
        raise Malformed(413, "the request is too long")
    left = deadline - time.monotonic()
    if left <= 0:
        raise Malformed(408, "the request took too long")
    sock.settimeout(left)
    data = sock.recv(MOST_BYTES)
    if not data:
        raise Malformed(400, "the request ended too early")
    return data
