"""Validators: how a request asks whether a stored response still holds.

The sections are those of RFC 9111 unless another RFC is named.
"""

from __future__ import annotations

import re

from policies.http_cache.dates import parse_http_date
from policies.http_cache.directives import Header

# entity-tag = [ weak ] opaque-tag                                            RFC 9110, 8.8.3
# Some servers send tags without quotes; such a tag is compared as a whole.
_TAG = re.compile(r'(?:[Ww]/)?"[^"]*"|[^\s,]+')


def validators(header: Header) -> list[tuple[str, str]]:
    """The fields that ask whether a stored response with this header still holds (section 4.3.1)."""
    found = (("If-None-Match", header("etag")), ("If-Modified-Since", header("last-modified")))
    return [(name, value) for name, value in found if value]


def _opaque(tag: str) -> str:
    """A tag without its mark of weakness, for the weak comparison. RFC 9110, 8.8.3.2"""
    return tag[2:] if tag[:2] in ("W/", "w/") else tag


def tag_listed(tag: str | None, value: str) -> bool:
    """Whether an If-None-Match value lists an entity tag, by the weak comparison. RFC 9110, 13.1.2"""
    if value.strip() == "*":
        return True
    return tag is not None and _opaque(tag) in {_opaque(other) for other in _TAG.findall(value)}


def not_modified(request_header: Header, stored_header: Header, now: float) -> bool:
    """Whether a conditional request already has the stored response (section 4.3.2).

    Parameters
    ----------
    request_header, stored_header : callable
    now : float
        Seconds since 1970.
    """
    value = request_header("if-none-match")
    if value is not None:  # If-Modified-Since does not count then. RFC 9110, 13.1.3
        return tag_listed(stored_header("etag"), value)
    since = parse_http_date(request_header("if-modified-since"), now)
    if since is None:
        return False
    changed = parse_http_date(stored_header("last-modified") or stored_header("date"), now)
    return changed is not None and changed <= since


def head_agrees(stored_header: Header, response_header: Header, length: int) -> bool:
    """Whether a response to HEAD is about the stored version (section 4.3.5).

    Parameters
    ----------
    stored_header, response_header : callable
        Of the stored response and of the response to HEAD.
    length : int
        Bytes of the stored body.
    """
    for name in ("etag", "last-modified"):
        if response_header(name) is not None and response_header(name) != stored_header(name):
            return False
    return response_header("content-length") in (None, str(length))
