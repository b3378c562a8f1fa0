"""Parts of an answer: which may be stored, which make one, and which requests they answer.

A part says itself which bytes of which version it holds: Content-Range, and an ETag that is strong.
Sections are those of RFC 9110 unless another one is named.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from policies.http_cache.directives import Header
from policies.http_cache.freshness import NotStored, Request
from policies.http_cache.ranges import select_range
from policies.http_cache.reuse import Use

# range-resp = first-pos "-" last-pos "/" complete-length; an unknown length ("*") does not do    14.4
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", re.ASCII | re.IGNORECASE)
# opaque-tag = DQUOTE *etagc DQUOTE                                                             8.8.3
_STRONG_TAG = re.compile(r'"[!#-~\x80-\xff]*"')

MOST_COMBINED = 16 * 2**20
"""Bytes: longer parts do not grow, for each step would copy all of them."""


class Part(NamedTuple):
    """Some bytes of one version.

    Attributes
    ----------
    tag : str
        The strong ETag of the version.
    complete : int
        Bytes of the whole.
    at : range
        Which of them these are; never empty.
    """

    tag: str
    complete: int
    at: range


def read_part(method: str, asked: Header, said: Header, length: int | None) -> Part | NotStored:
    """What an answer with status 206 holds, or why it must not be stored.

    Parameters
    ----------
    method : str
        Of the request.
    asked, said : callable
        Headers of the request and of the answer.
    length : int or None
        Bytes of the body, if they are known already.
    """
    if method != "GET" or asked("range") is None:
        return NotStored.STATUS  # nobody asked for a part
    tag = _strong_tag(said)
    if tag is None:
        return NotStored.NO_STRONG_ETAG  # such parts could never be combined. RFC 9111, 3.4
    found = _CONTENT_RANGE.fullmatch(said("content-range") or "")
    if found is None or (said("content-type") or "").lower().startswith("multipart/byteranges"):
        return NotStored.CONTENT_RANGE
    first, last, complete = map(int, found.groups())
    at = range(first, last + 1)
    if not first <= last < complete or length not in (None, len(at)):
        return NotStored.CONTENT_RANGE
    return Part(tag, complete, at)


def whole_part(said: Header, length: int) -> Part | None:
    """A whole of `length` bytes as a part of its version, or None if no other part can be told to fit."""
    tag = _strong_tag(said)
    return Part(tag, length, range(length)) if tag is not None else None


def _strong_tag(said: Header) -> str | None:
    tag = said("etag") or ""
    return tag if _STRONG_TAG.fullmatch(tag) else None


def is_whole(part: Part) -> bool:
    """Whether nothing is missing: it is a complete 200 then (15.3.7.3)."""
    return len(part.at) == part.complete


def combine(newer: Part, new: bytes, older: Part, old: bytes) -> tuple[Part, bytes] | None:
    """What two parts make together (15.3.7.3; RFC 9111, 3.4).

    Parameters
    ----------
    newer, older : Part
    new, old : bytes
        What they hold.

    Returns
    -------
    (Part, bytes) or None
        None if they are of two versions, leave a gap, say different things about the same bytes, or
        are too long together.
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


def answers(part: Part, request: Request, asked: Header) -> bool:
    """Whether a part holds all that a request wants: one range of this version (14.2, 13.1.5)."""
    wanted = asked("range")
    if wanted is None or request.unstorable is NotStored.METHOD:  # a HEAD, for which Range means nothing
        return False
    if asked("if-range") not in (None, part.tag):
        return False
    chosen = select_range(wanted, part.complete)
    if not chosen:
        return False
    return part.at.start <= chosen.start and chosen.stop <= part.at.stop


def use_of_part(use: Use, enough: bool) -> Use:
    """What to do with a part that a request selects, given what would be done with a whole.

    It is fresh as any answer is, but never validated: what is asked again is fetched.
    """
    return use if enough and use in (Use.FRESH, Use.STALE) else Use.ASK
