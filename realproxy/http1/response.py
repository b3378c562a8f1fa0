"""Response heads."""

from __future__ import annotations

import re

from realproxy.http1.fields import Fields, Malformed, parse_fields
from realproxy.http1.framing import response_framing

# status-line = HTTP-version SP status-code SP [ reason-phrase ]                       RFC 9112, 4
# The last space may be missing: many servers leave it out together with the phrase.
_LINE = re.compile(rb"HTTP/1\.([0-9]) ([1-9][0-9]{2})(?: ([\t -~\x80-\xff]*+))?+")


class ResponseHead:
    """A checked response head.

    Attributes
    ----------
    status : int
        100 to 999.
    reason : bytes
        May be empty.
    minor : int
        0 for HTTP/1.0, 1 for HTTP/1.1 and above (RFC 9110, 2.5).
    fields : Fields
        Its field lines.
    framing : int
        As `realproxy.http1.framing.response_framing` says.
    """

    __slots__ = ("fields", "framing", "minor", "reason", "status")

    def __init__(self, status: int, reason: bytes, minor: int, fields: Fields, method: str) -> None:
        self.status, self.reason, self.minor, self.fields = status, reason, minor, fields
        self.framing = response_framing(fields, minor, status, method)

    @property
    def keeps_alive(self) -> bool:
        """Whether the server lets the connection live on. RFC 9112, 9.3"""
        options = self.fields.elements(b"connection")
        return b"close" not in options and (self.minor == 1 or b"keep-alive" in options)


def parse_response(head: bytes, method: str) -> ResponseHead:
    """Check and read the head that answers a request of `method`.

    Parameters
    ----------
    head : bytes
        From the status line up to the end of the empty line.
    method : str
        What is answered: an answer to HEAD has no body.

    Raises
    ------
    Malformed
        502.
    """
    end = head.find(b"\r\n")
    found = _LINE.fullmatch(head, 0, end)
    if found is None:
        raise Malformed(502, "the upstream sent a bad status line")
    minor, status, reason = found.groups()
    try:
        fields = parse_fields(head, end + 2, len(head) - 2)
    except Malformed as error:
        raise Malformed(502, f"the upstream sent a {error.problem}") from None
    return ResponseHead(int(status), reason or b"", 0 if minor == b"0" else 1, fields, method)
