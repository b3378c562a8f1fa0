"""Replies that the proxy makes itself."""

from __future__ import annotations

from http import HTTPStatus

from realproxy.http1 import RequestHead
from realproxy.messages.headers import connection_field, http_date


def local_reply(
    request: RequestHead | None, status: int, detail: str, keep: bool, added: bytes = b"",
    page: tuple[bytes, bytes] | None = None,
) -> bytes:  # fmt: skip
    """A whole response in plain text, with `detail` behind the status in its body.

    `request` is None if it could not be read, `keep` tells whether the connection is kept open, and
    `added` are further field lines. `page` is a media type and a body to send instead of the text.
    """
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Status"
    text = f"{status} {phrase}{': ' if detail else ''}{detail}\n".encode()
    kind, body = page or (b"text/plain; charset=utf-8", text)
    connection = b"" if keep else b"Connection: close\r\n"
    if request is not None:
        connection = connection_field(request, keep)
    start = b"HTTP/1.1 %d %b\r\nDate: %b\r\n%b%b" % (status, phrase.encode(), http_date(), connection, added)
    if status in (204, 304):
        return start + b"\r\n"
    start += b"Content-Type: %b\r\nContent-Length: %d\r\n\r\n" % (kind, len(body))
    return start if request is not None and request.method == "HEAD" else start + body
