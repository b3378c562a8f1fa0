"""HTTP/1.1 without I/O: bytes in, heads and body pieces out. RFC 9112; it refuses, never guesses."""

from realproxy.http1.fields import Fields, Line, Malformed
from realproxy.http1.framing import CHUNKED, UNTIL_CLOSE, BodyReader, body_reader
from realproxy.http1.request import RequestHead, TargetForm, parse_request
from realproxy.http1.response import ResponseHead, parse_response

__all__ = [
    "CHUNKED", "UNTIL_CLOSE", "BodyReader", "Fields", "Line", "Malformed", "RequestHead",
    "ResponseHead", "TargetForm", "body_reader", "parse_request", "parse_response",
]  # fmt: skip
