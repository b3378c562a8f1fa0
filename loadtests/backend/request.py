"""A request as a backend reads it: head, and a body that is discarded (RFC 9112).

Nothing here is shared: each connection's thread reads its own requests.
"""

from __future__ import annotations

import math
import socket
from collections.abc import Iterator
from typing import Any, NamedTuple

_HEAD_LIMIT = 64 * 1024


class BadRequest(ValueError):
    """The request cannot be read; the response is 400, and the connection is closed."""


class Head(NamedTuple):
    """A request's head: method, target, version, and fields by lower-case name."""

    method: str
    target: str
    version: str
    fields: dict[str, str]

    @property
    def keep_alive(self) -> bool:
        """Whether the connection stays open after the response (RFC 9112, section 9.3)."""
        options = [option.strip() for option in self.fields.get("connection", "").lower().split(",")]
        if "close" in options:
            return False
        return self.version == "HTTP/1.1" or "keep-alive" in options

    def size(self) -> int:
        """Bytes of body that the response should have."""
        return max(int(number(self.fields.get("proxytwin-size", "1024"))), 0)


def number(text: str) -> float:
    """A finite number; raises `BadRequest` for anything else."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise BadRequest(f"expected a number, not {text!r}")
    return value


def read_head(reader: Any) -> Head | None:
    """The next request's head; None at the end of the connection."""
    request_line = reader.readline(_HEAD_LIMIT)
    while request_line == b"\r\n":  # RFC 9112, section 2.2: an empty line before a request is ignored
        request_line = reader.readline(_HEAD_LIMIT)
    if not request_line:
        return None
    parts = request_line.decode("latin-1").split()
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise BadRequest("expected a request line such as 'GET / HTTP/1.1'")
    return Head(parts[0], parts[1], parts[2], dict(_fields(reader)))


def _fields(reader: Any) -> Iterator[tuple[str, str]]:
    """The field lines up to the empty line, of a head or of a chunked body's trailer."""
    left = _HEAD_LIMIT
    while (line := reader.readline(left)) not in (b"\r\n", b"\n"):
        left -= len(line)
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon or left <= 0:
            raise BadRequest("expected field lines and an empty line, within 64 KiB")
        yield name.strip().lower(), value.strip()


def discard_body(head: Head, reader: Any, connection: socket.socket) -> None:
    """Read and discard a request's body (RFC 9112, section 6)."""
    if head.fields.get("expect", "").lower() == "100-continue":
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    if "chunked" in head.fields.get("transfer-encoding", "").lower():
        while size := _chunk_size(reader.readline(1024)):
            _skip(reader, size)
            reader.readline(2)
        for _ in _fields(reader):
            pass
        return
    length = head.fields.get("content-length", "0")
    if not length.isdecimal():
        raise BadRequest(f"expected a Content-Length, not {length!r}")
    _skip(reader, int(length))


def _chunk_size(line: bytes) -> int:
    try:
        return int(line.split(b";")[0], 16)
    except ValueError:
        raise BadRequest("expected the size of a chunk") from None


def _skip(reader: Any, size: int) -> None:
    while size:
        block = reader.read(min(size, 65536))
        if not block:
            raise BadRequest("the body ended early")
        size -= len(block)
