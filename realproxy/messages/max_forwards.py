"""Max-Forwards: how many more hops a TRACE or OPTIONS request may take. RFC 9110, 7.6.2"""

from __future__ import annotations

import re

from realproxy.http1 import Fields, Malformed, RequestHead
from realproxy.messages.headers import connection_field, http_date

METHODS = frozenset({"TRACE", "OPTIONS"})
ALLOW = b"GET, HEAD, POST, PUT, DELETE, OPTIONS, TRACE"
_NUMBER = re.compile(rb"[0-9]++")  # 1*DIGIT: however many
MOST = 2**63 - 1
"""The largest value that is forwarded. RFC 9110, 7.6.2 leaves it to the recipient."""
# Fields that a reply to TRACE must not repeat. RFC 9110, 9.3.8
_SECRET = frozenset({b"authorization", b"cookie", b"proxy-authorization"})


def decrement(head: RequestHead) -> bool:
    """Whether a request may be forwarded; if so, Max-Forwards is one less now. Raises `Malformed` 400."""
    value = head.fields.get(b"max-forwards")
    if value is None or head.method not in METHODS:
        return True
    if _NUMBER.fullmatch(value) is None:
        raise Malformed(400, "bad Max-Forwards")
    left = int(value.lstrip(b"0")[:20] or b"0")  # twenty digits are more than `MOST` anyway
    if left == 0:
        return False
    fields = head.fields
    head.fields = Fields(
        (line[0], b"%d" % min(left - 1, MOST)) if name == b"max-forwards" else line
        for name, line in zip(fields.names, fields.lines, strict=True)
    )
    return True


def final_response(head: RequestHead, keep: bool) -> bytes:
    """The response of the last recipient: TRACE gets its request back, OPTIONS the allowed methods."""
    start = b"HTTP/1.1 200 OK\r\nDate: %b\r\n%b" % (http_date(), connection_field(head, keep))
    if head.method == "OPTIONS":
        return b"%bAllow: %b\r\nContent-Length: 0\r\n\r\n" % (start, ALLOW)
    line = b"TRACE %b HTTP/1.%d\r\n" % (head.target, head.minor)
    lines = zip(head.fields.names, head.fields.lines, strict=True)
    body = line + b"".join(b"%b: %b\r\n" % pair for name, pair in lines if name not in _SECRET) + b"\r\n"
    return b"%bContent-Type: message/http\r\nContent-Length: %d\r\n\r\n%b" % (start, len(body), body)
