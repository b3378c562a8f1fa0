"""The admin port: a small HTTP server for a table of pages, separate from the proxy's traffic.

Every client that reaches the port may use it; it is meant for loopback. A web site must not use a
browser on this machine to reach it. So requests are refused if their Host is a name that a site could
point here (DNS rebinding), or if a page of another site sent them.

Threads. One thread accepts. Each connection has a short-lived thread, which owns it, calls the page
and closes the connection after `PATIENCE` at the latest. `_reported` only grows.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import parse_qs

from realproxy.http1 import Malformed, RequestHead, TargetForm, body_reader, parse_request
from realproxy.messages.headers import http_date
from realproxy.net.resolver import is_literal
from realproxy.runtime.isolation import location_of, report

PATIENCE = 5.0
"""Seconds for a whole request, and for each write of the response."""
MOST_BYTES = 64 * 2**10
"""Bytes of a request, body included."""
MOST_AT_ONCE = 32
"""Connections that are served at once; further ones wait."""


class PageRequest(NamedTuple):
    """The parameters in the query and in a form in the body; `host` has the port unless that is 80."""

    parameters: Mapping[str, str]
    host: str


@dataclass(frozen=True, slots=True)
class Page:
    """A response of the admin port, with its content type and further header fields."""

    body: bytes
    type: str = "text/plain; charset=utf-8"
    status: int = 200
    fields: Mapping[str, str] = field(default_factory=dict)


Pages = Mapping[tuple[str, str], Callable[[PageRequest], Page]]
"""The pages by method and path, such as ``("GET", "/stats")``."""


def error_page(status: int, text: str) -> Page:
    """A response with one line of text."""
    return Page(f"{status} {HTTPStatus(status).phrase}: {text}\n".encode(), status=status)


class AdminServer:
    """Serves pages on a listening socket, which `stop` closes; `name` is allowed in Host."""

    def __init__(self, listener: socket.socket, name: str, pages: Pages) -> None:
        self._listener, self._name, self._pages = listener, name.lower(), pages
        self._slots, self._stopping = threading.BoundedSemaphore(MOST_AT_ONCE), False
        self._reported: set[tuple[str, int]] = set()
        """Locations of faults, each of which is reported once: a client could repeat its request."""
        self.address: tuple[str, int] = listener.getsockname()[:2]
        self._thread = threading.Thread(target=self._run, name="proxy-admin", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and close the listener; wait `PATIENCE` for responses under way."""
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
                time.sleep(0 if self._stopping else 0.05)  # no descriptors: wait until some are free
                continue
            try:
                thread = threading.Thread(
                    target=self._serve, args=(sock,), name="proxy-admin-page", daemon=True
                )
                thread.start()
            except RuntimeError:  # there are too many threads
                sock.close()
                self._slots.release()

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
                raise  # the client has closed the connection, or is too slow
            if (location := location_of(fault)) not in self._reported:
                self._reported.add(location)
                report(fault)
            return error_page(500, "a fault of the proxy: see its standard error"), head

    def _page(self, head: RequestHead, body: bytes) -> Page:
        if head.form is not TargetForm.ORIGIN:
            return error_page(400, "this is the admin port, not the proxy")
        if (refused := self._refused(head)) is not None:
            return error_page(403, refused)
        path, _, query = head.path.decode("latin-1").partition("?")
        method = "GET" if head.method == "HEAD" else head.method
        handler = self._pages.get((method, path))
        if handler is None:
            if others := [known for known, known_path in self._pages if known_path == path]:
                return error_page(405, f"{path} takes {', '.join(others)}")
            return error_page(404, "there are " + ", ".join(f"{m} {p}" for m, p in self._pages))
        given = parse_qs(f"{query}&{body.decode('latin-1')}", keep_blank_values=True)
        parameters = {name: values[-1] for name, values in given.items()}
        return handler(PageRequest(parameters, head.authority.decode()))

    def _refused(self, head: RequestHead) -> str | None:
        """Why a request may come from a web site; None if it cannot."""
        host = head.hostname
        if host not in ("localhost", self._name) and not is_literal(host):
            return f"{host} is not a name of this port; use its address"
        origin = head.fields.text("origin")
        # scheme "://" host [ ":" port ], or "null".                                     RFC 6454, 7.1
        if origin is not None and origin.partition("://")[2] != head.fields.text("host"):
            return f"pages of {origin} may not use this port"
        if head.method != "GET" and head.fields.text("sec-fetch-site") in ("cross-site", "same-site"):
            return "pages of other sites may not use this port"
        return None

    def _send(self, sock: socket.socket, page: Page, head: RequestHead | None) -> None:
        fields = {
            "Date": http_date().decode(), "Content-Type": page.type, "Content-Length": len(page.body),
            "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
            "Connection": "close", **page.fields,
        }  # fmt: skip
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        phrase = HTTPStatus(page.status).phrase
        sock.sendall(f"HTTP/1.1 {page.status} {phrase}\r\n{lines}\r\n".encode("latin-1"))
        if head is None or head.method != "HEAD":
            sock.sendall(page.body)


def _receive(sock: socket.socket) -> tuple[RequestHead, bytes]:
    """A whole request within `PATIENCE` and `MOST_BYTES`; raises `Malformed`."""
    deadline = time.monotonic() + PATIENCE
    data = b""
    while (end := data.find(b"\r\n\r\n")) < 0:
        data += _more(sock, deadline, len(data))
    head = parse_request(data[: end + 4])
    reader, size = body_reader(head.framing, MOST_BYTES), len(data)
    body = b"".join(reader.feed(data[end + 4 :]))
    while not reader.done:
        more = _more(sock, deadline, size)
        size += len(more)
        body += b"".join(reader.feed(more))
    return head, body


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
