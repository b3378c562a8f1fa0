"""Response heads."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from realproxy.http1.fields import REMEMBERED, SHORT, Fields, Malformed, parse_fields
from realproxy.http1.framing import is_persistent, response_framing

# status-line = HTTP-version SP status-code SP [ reason-phrase ]                       RFC 9112, 4
# The last space may be missing: many servers leave it out together with the phrase.
_LINE = re.compile(rb"HTTP/1\.([0-9]) ([1-9][0-9]{2})(?: ([\t -~\x80-\xff]*+))?\r\n")


class ResponseHead:
    """A checked response head. Never changes: one may be the answer to many requests.

    Attributes
    ----------
    status : int
        100 to 999.
    reason : bytes
        May be empty.
    minor : int
        0 for HTTP/1.0, 1 for HTTP/1.1 and above (RFC 9110, 2.5).
    fields : Fields
        Its field lines, but for those that Connection lists.
    framing : int
        As `realproxy.http1.framing.response_framing` says.
    keeps_alive : bool
        Whether the server lets the connection live on. RFC 9112, 9.3
    passed_on : dict of int to bytes
        What `realproxy.messages.headers` makes of it for clients, by the framing towards them.
    """

    __slots__ = ("fields", "framing", "keeps_alive", "minor", "passed_on", "reason", "status")

    def __init__(self, status: int, reason: bytes, minor: int, fields: Fields, method: str) -> None:
        self.status: Final = status
        self.reason: Final = reason
        self.minor: Final = minor
        self.fields: Final = fields.without_connection_options()
        self.framing: Final = response_framing(fields, minor, status, method)
        self.keeps_alive: Final = is_persistent(fields, minor)
        self.passed_on: Final[dict[int | None, bytes]] = {}


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
    read = _read if len(head) <= SHORT else _read.__wrapped__
    return read(head, "HEAD" if method == "HEAD" else "GET")  # no other method matters to the framing


@lru_cache(REMEMBERED)
def _read(head: bytes, method: str) -> ResponseHead:
    found = _LINE.match(head)
    if found is None:
        raise Malformed(502, "the upstream sent a bad status line")
    minor, status, reason = found.groups()
    try:
        fields = parse_fields(head, found.end(), len(head) - 2)
    except Malformed as error:
        raise Malformed(502, f"the upstream sent a {error.problem}") from None
    return ResponseHead(int(status), reason or b"", 0 if minor == b"0" else 1, fields, method)
