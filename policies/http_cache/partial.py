"""Partial responses: which may be stored, which can be combined, and which requests they answer.

A partial response itself says which bytes of which version it holds: by Content-Range and a strong
ETag. The sections are those of RFC 9110 unless another RFC is named.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from policies.http_cache.directives import Header
from policies.http_cache.freshness import NotStored, Request
from policies.http_cache.ranges import select_range
from policies.http_cache.reuse import Use

# range-resp = first-pos "-" last-pos "/" complete-length; an unknown length ("*") is useless here   14.4
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", re.ASCII | re.IGNORECASE)
# opaque-tag = DQUOTE *etagc DQUOTE                                                             8.8.3
_STRONG_TAG = re.compile(r'"[!#-~\x80-\xff]*"')

MOST_COMBINED = 16 * 2**20
"""Bytes: a longer part is not extended, because every extension copies all of it."""


class Part(NamedTuple):
    """Some bytes of one version of a resource.

    Attributes
    ----------
    tag : str
        The strong ETag of the version.
    complete : int
        Bytes of the whole.
    at : range
        Which bytes of the whole it holds; never empty.
    """

    tag: str
    complete: int
    at: range


def read_part(
    method: str, request_header: Header, response_header: Header, length: int | None
) -> Part | NotStored:
    """What a response with status 206 holds, or why it must not be stored.

    Parameters
    ----------
    method : str
        Of the request.
    request_header, response_header : callable
    length : int or None
        Bytes of the body, if known.
    """
    if method != "GET" or request_header("range") is None:
        return NotStored.STATUS  # the request did not ask for a part
    tag = _strong_tag(response_header)
    if tag is None:
        return NotStored.NO_STRONG_ETAG  # such parts cannot be combined. RFC 9111, 3.4
    found = _CONTENT_RANGE.fullmatch(response_header("content-range") or "")
    if found is None or (response_header("content-type") or "").lower().startswith("multipart/byteranges"):
        return NotStored.CONTENT_RANGE
    first, last, complete = map(int, found.groups())
    at = range(first, last + 1)
    if not first <= last < complete or length not in (None, len(at)):
        return NotStored.CONTENT_RANGE
    return Part(tag, complete, at)


def whole_part(response_header: Header, length: int) -> Part | None:
    """A whole of `length` bytes as a `Part`; None without a strong ETag, for nothing can be combined then."""
    tag = _strong_tag(response_header)
    return Part(tag, length, range(length)) if tag is not None else None


def _strong_tag(response_header: Header) -> str | None:
    tag = response_header("etag") or ""
    return tag if _STRONG_TAG.fullmatch(tag) else None


def is_whole(part: Part) -> bool:
    """Whether nothing is missing, so that it is a complete 200 (15.3.7.3)."""
    return len(part.at) == part.complete


def combine(newer: Part, new: bytes, older: Part, old: bytes) -> tuple[Part, bytes] | None:
    """Combine two parts into one (15.3.7.3; RFC 9111, 3.4).

    Parameters
    ----------
    newer, older : Part
    new, old : bytes
        The bytes that they hold.

    Returns
    -------
    (Part, bytes) or None
        None if they are parts of two versions, leave a gap, differ in the bytes that both hold, or are
        too long together.
    """
    if (newer.tag, newer.complete) != (older.tag, older.complete):
        return None
    start, stop = max(newer.at.start, older.at.start), min(newer.at.stop, older.at.stop)
    if start > stop or _bytes_of(newer, new, start, stop) != _bytes_of(older, old, start, stop):
        return None
    at = range(min(newer.at.start, older.at.start), max(newer.at.stop, older.at.stop))
    if at == older.at:
        return older, old
    if len(at) > MOST_COMBINED:
        return None
    before = old[: max(0, newer.at.start - older.at.start)]
    after = old[newer.at.stop - older.at.start :] if newer.at.stop < older.at.stop else b""
    return newer._replace(at=at), b"".join((before, new, after))


def _bytes_of(part: Part, held: bytes, start: int, stop: int) -> bytes:
    return held[start - part.at.start : stop - part.at.start]


def answers(part: Part, request: Request, request_header: Header) -> bool:
    """Whether a part holds all that a request wants: one range of this version (14.2, 13.1.5)."""
    wanted = request_header("range")
    if wanted is None or request.unstorable is NotStored.METHOD:  # Range means nothing for HEAD
        return False
    if request_header("if-range") not in (None, part.tag):
        return False
    chosen = select_range(wanted, part.complete)
    if not chosen:
        return False
    return part.at.start <= chosen.start and chosen.stop <= part.at.stop


def use_of_part(use: Use, enough: bool) -> Use:
    """What to do with a stored part, given what would be done with a whole.

    A part is fresh as a whole is, but it is never validated: if the origin must be asked, the request
    is forwarded.

    Parameters
    ----------
    use : Use
        For a whole of the same age.
    enough : bool
        Whether the part `answers` the request.
    """
    return use if enough and use in (Use.FRESH, Use.STALE) else Use.ASK
