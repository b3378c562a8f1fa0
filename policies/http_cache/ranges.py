"""Byte ranges of a stored response. RFC 9110, 14"""

from __future__ import annotations

import re

from policies.http_cache.dates import parse_http_date
from policies.http_cache.directives import Header

# ranges-specifier = "bytes" "=" ( first-pos "-" [ last-pos ] / "-" suffix-length )    RFC 9110, 14.1.1
_RANGE = re.compile(r"bytes=[ \t]*(?:(\d{1,18})-(\d{0,18})|-(\d{1,18}))[ \t]*", re.ASCII | re.IGNORECASE)


def select_range(value: str, length: int) -> range | None:
    """The bytes that a Range field selects.

    Parameters
    ----------
    value : str
        Of Range.
    length : int
        Bytes of the whole.

    Returns
    -------
    range or None
        None if the field is ignored: it is malformed, or asks for several ranges (a server may
        ignore it then, 14.2). An empty range if the request cannot be satisfied.
    """
    found = _RANGE.fullmatch(value)
    if found is None:
        return None
    first, last, suffix = found.groups()
    if suffix is not None:
        return range(max(0, length - int(suffix)), length)
    if last and int(last) < int(first):
        return None
    return range(int(first), min(length, int(last) + 1) if last else length)


def range_applies(request_header: Header, stored_header: Header, now: float) -> bool:
    """Whether the range counts: there is no If-Range, or it matches the stored response strongly (13.1.5).

    A part of ``multipart/byteranges`` cannot be sent: its type would say that it is several parts (15.3.7.2).
    """
    if (stored_header("content-type") or "").lower().startswith("multipart/byteranges"):
        return False
    condition = request_header("if-range")
    if condition is None:
        return True
    if condition.startswith(('"', "W/")):
        return condition == stored_header("etag") and not condition.startswith("W/")
    modified = parse_http_date(stored_header("last-modified"), now)
    date = parse_http_date(stored_header("date"), now)
    # Last-Modified is a strong validator only if it is at least a second before Date. 8.8.2.2
    strong = modified is not None and date is not None and date - modified >= 1
    return strong and parse_http_date(condition, now) == modified
