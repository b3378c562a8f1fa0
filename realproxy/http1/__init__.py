"""HTTP/1.1 without I/O: bytes in, heads and pieces of bodies out. RFC 9112; it refuses, it never guesses.

Reading order: `request` (request line, target, Host), `response` (the status line), `fields` (field
lines), `framing` (where a body ends, and readers of bodies), `mending` (responses that are not strict).

Owners. `Fields` and `ResponseHead` never change; several requests and threads may share one. A
`RequestHead` and a `BodyReader` belong to the thread that serves the request. Everything malformed raises
`Malformed` with the status for the client.
"""

from realproxy.http1.fields import Fields, Line, Malformed
from realproxy.http1.framing import CHUNKED, UNTIL_CLOSE, BodyReader, body_reader
from realproxy.http1.mending import head_end
from realproxy.http1.request import RequestHead, TargetForm, parse_request
from realproxy.http1.response import ResponseHead, parse_response

__all__ = [
    "CHUNKED", "UNTIL_CLOSE", "BodyReader", "Fields", "Line", "Malformed", "RequestHead",
    "ResponseHead", "TargetForm", "body_reader", "head_end", "parse_request", "parse_response",
]  # fmt: skip
