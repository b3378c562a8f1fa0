"""A web server that serves every name and records each request.

Threads. One accepts, one serves each connection; they only append to `seen`. All are daemons and end with
the server.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

_LINE = b"a page of the small web, 32 bytes\n"
PAGE = _LINE * 60
"""About 2 KiB."""


@dataclass(frozen=True)
class Seen:
    """One request that the server received.

    Attributes
    ----------
    address : str
        Source address of the connection.
    target : str
        The target of the request line.
    fields : dict of str to str
        Header fields, with names as the client wrote them; several lines of one name are joined.
    """

    address: str
    target: str
    fields: dict[str, str]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def do_GET(self) -> None:
        fields: dict[str, str] = {}
        for name, value in self.headers.items():
            fields[name] = f"{fields[name]}, {value}" if name in fields else value
        self.server.seen.append(Seen(self.client_address[0], self.path, fields))
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Cache-Control", "max-age=3600")
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)
        self.wfile.flush()

    def do_CONNECT(self) -> None:
        """Open a tunnel that leads to this server itself."""
        self.send_response_only(200)
        self.end_headers()
        self.wfile.flush()
        self.close_connection = False

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[Seen] = []


class SmallWeb:
    """The server; it runs inside a ``with`` statement.

    It also accepts requests in absolute-form. So a proxy that has it as the parent finds every name, and no
    experiment sends anything to the network.

    Examples
    --------
    >>> with SmallWeb() as web:
    ...     web.url.startswith("http://127.0.0.1:")
    True
    """

    def __init__(self) -> None:
        self._server = _Server()
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    @property
    def seen(self) -> list[Seen]:
        """All requests so far."""
        return self._server.seen

    @property
    def port(self) -> int:
        """Its port on 127.0.0.1."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> SmallWeb:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
