"""Response heads: read strictly, and mended if that fails."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from realproxy.http1.fields import REMEMBERED, SHORT, Fields, Malformed, parse_fields
from realproxy.http1.framing import is_persistent, response_framing
from realproxy.http1.mending import head_end, mended_head

# status-line = HTTP-version SP status-code SP [ reason-phrase ]                       RFC 9112, 4
# Many servers leave the last space out together with the phrase.
_LINE = re.compile(rb"HTTP/1\.([0-9]) ([1-9][0-9]{2})(?: ([\t -~\x80-\xff]*+))?\r\n")


class ResponseHead:
    """A checked response head. Never changes: many requests may share one.

    `status` is 100 to 999, and `reason` may be empty. `fields` lack the lines that Connection lists. The
    connection is not used again after a head that was `mended`. What is remembered: the head for clients
    (`passed_on`), by the framing of the body towards them, and the head that is stored (`stored`), by the
    length of the body.
    """

    __slots__ = ("fields", "framing", "keeps_alive", "minor", "passed_on", "reason", "status", "stored")

    def __init__(
        self, status: int, reason: bytes, minor: int, fields: Fields, method: str, mended: bool = False
    ) -> None:
        self.status: Final = status
        self.reason: Final = reason
        self.minor: Final = minor
        self.fields: Final = fields.without_connection_options()
        self.framing: Final = response_framing(fields, minor, status, method)
        self.keeps_alive: Final = not mended and is_persistent(fields, minor)
        self.passed_on: Final[dict[int | None, bytes]] = {}
        self.stored: Final[dict[int, bytes]] = {}


def parse_response(head: bytes, method: str) -> ResponseHead:
    """Parse the whole head of a response to `method`, as `head_end` delimits it; raises `Malformed` 502."""
    read = _read if len(head) <= SHORT else _read.__wrapped__
    return read(head, "HEAD" if method == "HEAD" else "GET")  # only HEAD matters for the framing


@lru_cache(REMEMBERED)
def _read(head: bytes, method: str, mended: bool = False) -> ResponseHead:
    try:
        found = _LINE.match(head)
        if found is None:
            raise Malformed(502, "the upstream sent a bad status line")
        minor, status, reason = found.groups()
        try:
            fields = parse_fields(head, found.end(), len(head) - 2)
        except Malformed as error:
            raise Malformed(502, f"the upstream sent a {error.problem}") from None
        return ResponseHead(int(status), reason or b"", 0 if minor == b"0" else 1, fields, method, mended)
    except Malformed as problem:
        if mended or head_end(head) != len(head):  # what follows an empty line is no part of the head
            raise
        return _read_mended(head, method, problem)


def _read_mended(head: bytes, method: str, problem: Malformed) -> ResponseHead:
    try:
        return _read.__wrapped__(mended_head(head), method, True)
    except Malformed:
        raise problem from None  # in the words of what was sent
