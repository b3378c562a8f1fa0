"""Validators: the requests that ask whether a stored answer still holds, and what their answers change.

Sections are those of RFC 9111 unless another one is named.
"""

from __future__ import annotations

import re

from policies.http_cache.dates import parse_http_date
from policies.http_cache.directives import Header

# entity-tag = [ weak ] opaque-tag                                            RFC 9110, 8.8.3
# What lacks its quotes is taken as one piece: servers send such tags, and they compare as well.
_TAG = re.compile(r'(?:[Ww]/)?"[^"]*"|[^\s,]+')

# What describes the stored bytes, or identifies them, is not for a 304 to change (section 3.2).
NOT_UPDATED = frozenset({"content-encoding", "content-length", "content-md5", "content-range", "etag"})

# What a 304 carries: what the client may not know yet. RFC 9110, 15.4.5
IN_NOT_MODIFIED = frozenset({"cache-control", "content-location", "date", "etag", "expires", "vary"})


def validators(header: Header) -> list[tuple[str, str]]:
    """The fields that ask whether the answer with this header still holds (section 4.3.1)."""
    found = (("If-None-Match", header("etag")), ("If-Modified-Since", header("last-modified")))
    return [(name, value) for name, value in found if value]


def _opaque(tag: str) -> str:
    """A tag for the weak comparison. RFC 9110, 8.8.3.2"""
    return tag[2:] if tag[:2] in ("W/", "w/") else tag


def tag_listed(tag: str | None, listed: str) -> bool:
    """Whether an entity tag is in an If-None-Match, by the weak comparison. RFC 9110, 13.1.2"""
    if listed.strip() == "*":
        return True
    return tag is not None and _opaque(tag) in {_opaque(other) for other in _TAG.findall(listed)}


def not_modified(asked: Header, stored: Header, now: float) -> bool:
    """Whether a client that asks conditionally has what is stored (section 4.3.2).

    Parameters
    ----------
    asked, stored : callable
        Headers of the request and of the stored answer.
    now : float
        Seconds since 1970.
    """
    listed = asked("if-none-match")
    if listed is not None:  # If-Modified-Since then does not count. RFC 9110, 13.1.3
        return tag_listed(stored("etag"), listed)
    since = parse_http_date(asked("if-modified-since"), now)
    if since is None:
        return False
    changed = parse_http_date(stored("last-modified") or stored("date"), now)
    return changed is not None and changed <= since


def head_agrees(stored: Header, head: Header, length: int) -> bool:
    """Whether the answer to a HEAD is about what is stored (section 4.3.5).

    Parameters
    ----------
    stored, head : callable
        Headers of the stored answer and of the one to HEAD.
    length : int
        Bytes of the stored body.
    """
    for name in ("etag", "last-modified"):
        if head(name) is not None and head(name) != stored(name):
            return False
    return head("content-length") in (None, str(length))
