"""The header of a stored response: which fields are stored and updated, and which are sent.

An *open* head lacks the empty line at its end, so that lines can be appended.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from policies.http_cache.stored_fields import (
    IN_NOT_MODIFIED,
    NOT_FOR_HEAD,
    NOT_UPDATED,
    not_for_part,
    not_stored,
)
from realproxy.http1 import Fields, Line, ResponseHead
from realproxy.messages.headers import HOP_BY_HOP, PSEUDONYM, framing_line, http_date

# Not stored: RFC 9111, 3.1; and the length and the age, which the proxy sets itself
_STORED_DROPS = HOP_BY_HOP | {
    b"content-length", b"age", b"trailer", b"proxy-authenticate", b"proxy-authentication-info",
}  # fmt: skip
_NOT_UPDATED = frozenset(name.encode() for name in NOT_UPDATED) | {b"via"}
_IN_NOT_MODIFIED = frozenset(name.encode() for name in IN_NOT_MODIFIED) | {b"via"}


_NOT_FOR_HEAD = re.compile(rb"^(?:%b):.*\r\n" % "|".join(NOT_FOR_HEAD).encode(), re.IGNORECASE | re.MULTILINE)


@lru_cache
def _as_bytes(names: frozenset[str]) -> frozenset[bytes]:
    return frozenset(name.encode() for name in names)


def storable_lines(head: ResponseHead, omitted: frozenset[str]) -> list[Line]:
    """The fields of a response that are stored: not those of one hop or one form, nor those in `omitted`."""
    fields, drops = head.fields, _STORED_DROPS.union(_as_bytes(not_stored(head.status)))
    lines = fields.passed_on(drops.union(name.encode("latin-1") for name in omitted) if omitted else drops)
    lines.append((b"Via", b"1.%d %b" % (head.minor, PSEUDONYM)))
    if b"date" not in fields:
        lines.append((b"Date", http_date()))
    return lines


def storable_head(head: ResponseHead, omitted: frozenset[str], length: int) -> bytes:
    """The open head that is stored of a response, remembered with the head if it can be."""
    if omitted or b"date" not in head.fields.names:
        return stored_head(head.status, head.reason, storable_lines(head, omitted), length)
    known = head.stored.get(length)
    if known is None:
        lines = storable_lines(head, omitted)
        known = head.stored[length] = stored_head(head.status, head.reason, lines, length)
    return known


def updated_lines(stored: Fields, confirmation: Fields) -> list[Line]:
    """Stored fields, updated by the response that has validated them. RFC 9111, 3.2"""
    newer = confirmation.passed_on(_STORED_DROPS | _NOT_UPDATED)
    if b"date" not in confirmation:
        newer.append((b"Date", http_date()))
    return stored.passed_on(frozenset(name.lower() for name, _ in newer) | _STORED_DROPS) + newer


def stored_head(status: int, reason: bytes, lines: Iterable[Line], length: int) -> bytes:
    """The open head that is stored: without the fields that differ for each request."""
    start = b"HTTP/1.1 %d %b\r\n" % (status, reason)
    framing = b"" if status == 204 else framing_line(length)  # RFC 9110, 8.6
    return b"".join((start, *(b"%b: %b\r\n" % line for line in lines), framing))


def not_modified_head(fields: Fields) -> bytes:
    """The open head of a 304, for a client that has the stored response. RFC 9110, 15.4.5"""
    names = _IN_NOT_MODIFIED if b"etag" in fields else _IN_NOT_MODIFIED | {b"last-modified"}
    lines = zip(fields.names, fields.lines, strict=True)
    kept = (b"%b: %b\r\n" % line for name, line in lines if name in names)
    return b"".join((b"HTTP/1.1 304 Not Modified\r\n", *kept))


def bodiless_head(head: bytes) -> bytes:
    """The open head of the response to HEAD, from a stored one."""
    return _NOT_FOR_HEAD.sub(b"", head)


def partial_head(fields: Fields, part: range, length: int) -> bytes:
    """The open head of a 206 with a part of the stored body. RFC 9110, 15.3.7"""
    content_range = b"Content-Range: bytes %d-%d/%d\r\n" % (part.start, part.stop - 1, length)
    lines = fields.joined(_as_bytes(not_for_part(fields.text)))
    return b"".join((b"HTTP/1.1 206 Partial Content\r\n", lines, content_range, framing_line(len(part))))


def unsatisfiable_head(length: int) -> bytes:
    """The open head of a 416, for a range beyond the end of the body. RFC 9110, 15.5.17"""
    start = b"HTTP/1.1 416 Range Not Satisfiable\r\nDate: %b\r\n" % http_date()
    return start + b"Content-Range: bytes */%d\r\nContent-Length: 0\r\n" % length
