"""HTTP caching: what may be stored, for how long, and what a request lets its cache do.

Pure functions over field values; sections are those of RFC 9111 unless another one is named.
Headers come as a callable from a field's name in lower case to its value or None.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from policies.http_cache.dates import parse_http_date
from policies.http_cache.directives import (
    FOREVER,
    REMEMBERED,
    SHORT,
    Header,
    ResponseDirectives,
    delta_seconds,
    parse_cache_control,
    read_response_directives,
)

HEURISTIC_SHARE = 0.1
"""Of the time since Last-Modified, what an answer without explicit freshness is fresh for (4.2.2)."""
HEURISTIC_LIMIT = 86_400.0
"""Seconds that a heuristic says at most."""

# Statuses that may be stored without explicit freshness. RFC 9110, 15.1
HEURISTIC_STATUSES = frozenset({200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501})
# A part is no whole (see `policies.http_cache.partial`), and a 304 belongs to the answer that it confirms.
NEVER_STORED_STATUSES = frozenset({206, 304})
# Whose caching requirements are understood here, for must-understand. RFC 9110, 15
UNDERSTOOD_STATUSES = frozenset(
    {*range(200, 206), *range(300, 304), 305, 307, 308, *range(400, 418), 421, 422, 426, *range(500, 506)}
)


class Forwarded(StrEnum):
    """Why a request went upstream. RFC 9211, 2.2"""

    BYPASS = "bypass"
    METHOD = "method"
    URI_MISS = "uri-miss"
    VARY_MISS = "vary-miss"
    PARTIAL = "partial"
    REQUEST = "request"
    STALE = "stale"


class NotStored(StrEnum):
    """Why an answer was not stored; goes into Cache-Status as ``detail`` and into the log."""

    METHOD = "method"
    REQUEST_BODY = "request-body"
    REQUEST_NO_STORE = "request-no-store"
    STATUS = "status"
    NO_STORE = "no-store"
    PRIVATE = "private"
    NO_CACHE = "no-cache"
    AUTHORIZATION = "authorization"
    VARY = "vary"
    SET_COOKIE = "set-cookie"
    NO_FRESHNESS = "no-freshness"
    STALE = "stale"
    TOO_LARGE = "too-large"
    INCOMPLETE = "incomplete"
    NO_STRONG_ETAG = "no-strong-etag"
    CONTENT_RANGE = "content-range"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Request:
    """What a request lets its cache do.

    Parameters
    ----------
    forward : Forwarded, optional
        Why the store alone must not answer, or None if it may.
    unstorable : NotStored, optional
        Why the answer must not be stored, as far as the request says.
    max_age, min_fresh, max_stale : float
        Seconds: the oldest answer, the least remaining freshness and the most staleness that it
        accepts (sections 5.2.1.1 to 5.2.1.3).
    only_if_cached : bool
        Rather 504 than a request upstream (section 5.2.1.7).
    """

    forward: Forwarded | None = None
    unstorable: NotStored | None = None
    max_age: float = FOREVER
    min_fresh: float = 0.0
    max_stale: float = 0.0
    only_if_cached: bool = False


_PLAIN_GET = Request()
_PLAIN_HEAD = Request(unstorable=NotStored.METHOD)
_OTHER_METHOD = Request(forward=Forwarded.METHOD, unstorable=NotStored.METHOD)
# The body of a GET is not part of the key: an answer to it must not be another one's (section 2).
_WITH_BODY = Request(forward=Forwarded.BYPASS, unstorable=NotStored.REQUEST_BODY)


def read_request(method: str, header: Header, body: bool = False) -> Request:
    """What a request lets its cache do (sections 5.2.1 and 5.4).

    Parameters
    ----------
    method : str
        As sent.
    header : callable
        Of the request.
    body : bool
        Whether it has one.
    """
    if method not in ("GET", "HEAD"):
        return _OTHER_METHOD
    if body:
        return _WITH_BODY
    value = header("cache-control")
    if value is not None:
        return (_read_directives if len(value) <= SHORT else _read_directives.__wrapped__)(method, value)
    # Pragma counts only if there is no Cache-Control (section 5.4).
    pragma = header("pragma")
    plain = _PLAIN_GET if method == "GET" else _PLAIN_HEAD
    if pragma is None or "no-cache" not in pragma.lower():
        return plain
    return Request(Forwarded.REQUEST, plain.unstorable)


@lru_cache(REMEMBERED)
def _read_directives(method: str, cache_control: str) -> Request:
    unstorable = None if method == "GET" else NotStored.METHOD
    asked = parse_cache_control(cache_control)
    max_age = delta_seconds(asked["max-age"]) if "max-age" in asked else FOREVER
    # Without a value, max-stale accepts any staleness (section 5.2.1.2).
    stale = asked.get("max-stale", "0")
    return Request(
        forward=Forwarded.REQUEST if "no-cache" in asked or max_age == 0 else None,
        unstorable=unstorable or (NotStored.REQUEST_NO_STORE if "no-store" in asked else None),
        max_age=max_age,
        min_fresh=delta_seconds(asked["min-fresh"]) if "min-fresh" in asked else 0.0,
        max_stale=FOREVER if stale is None else delta_seconds(stale),
        only_if_cached="only-if-cached" in asked,
    )


@dataclass(frozen=True, slots=True)
class Answer:
    """What becomes of an answer.

    Parameters
    ----------
    reason : NotStored, optional
        Why it must not be stored, or None if it may.
    lifetime, age : float
        Seconds that it is fresh, and that it was old when it came.
    validate : bool
        Never to be used without asking the origin: ``no-cache`` (section 5.2.2.4).
    strict : bool
        Never to be used stale: ``must-revalidate`` and its like (section 4.2.4).
    while_revalidate, if_error : float
        Seconds of staleness in which it may be used while it is revalidated, and when the origin
        fails. RFC 5861
    kept : float
        Seconds of age up to which it is of any use.
    omitted : frozenset of str
        Fields that must not be stored with it (sections 5.2.2.4 and 5.2.2.7).
    """

    reason: NotStored | None
    lifetime: float = 0.0
    age: float = 0.0
    validate: bool = False
    strict: bool = False
    while_revalidate: float = 0.0
    if_error: float = 0.0
    kept: float = 0.0
    omitted: frozenset[str] = frozenset()


def read_answer(
    status: int,
    header: Header,
    request: Request,
    authorized: bool,
    ttl: float | None,
    now: float,
    delay: float,
    *,
    stale: float = 0.0,
    targeted: bool = False,
) -> Answer:
    """Whether an answer may be stored, and for how long it is fresh (sections 3, 4.2 and 5.2.2).

    Parameters
    ----------
    status : int
        Of the answer.
    header : callable
        Of the answer.
    request : Request
        What was asked.
    authorized : bool
        Whether the request carries Authorization.
    ttl : float or None
        Seconds of freshness for an answer that names none.
    now : float
        Seconds since 1970 at its arrival.
    delay : float
        Seconds from asking to its arrival.
    stale : float
        Seconds of staleness in which it may be used while the origin cannot be reached, if the
        origin does not say.
    targeted : bool
        Whether CDN-Cache-Control is meant for this cache. RFC 9213
    """
    if request.unstorable is not None:
        return Answer(request.unstorable)
    said = read_response_directives(header, targeted)
    expires = None if said.targeted or said.lifetime is not None else header("expires")
    explicit = said.lifetime is not None or expires is not None
    reason = _obstacle(status, said, header, authorized, explicit)
    if reason is not None:
        return Answer(reason)
    lifetime = _implicit_lifetime(header, expires, ttl, now) if said.lifetime is None else said.lifetime
    checkable = header("etag") is not None or header("last-modified") is not None
    if not checkable and (said.no_cache or lifetime is None):
        return Answer(NotStored.NO_CACHE if said.no_cache else NotStored.NO_FRESHNESS)
    return _usage(said, lifetime or 0.0, current_age(header, now, delay), checkable, stale)


@lru_cache(1024)  # most responses of a site differ in nothing that matters here
def _usage(said: ResponseDirectives, lifetime: float, age: float, checkable: bool, stale: float) -> Answer:
    """How an answer that may be stored can be used later."""
    behind = on_error = 0.0
    if not (said.strict or said.no_cache):  # section 4.2.4
        behind, on_error = said.while_revalidate, stale if said.if_error is None else said.if_error
    useful_when_stale = checkable or behind or (said.if_error is not None and on_error)
    return Answer(
        reason=None if useful_when_stale or age < lifetime else NotStored.STALE,
        lifetime=lifetime,
        age=age,
        validate=said.no_cache,
        strict=said.strict,
        while_revalidate=behind,
        if_error=on_error,
        kept=FOREVER if checkable else lifetime + max(behind, on_error),
        omitted=said.omitted,
    )


def _obstacle(
    status: int, said: ResponseDirectives, header: Header, authorized: bool, explicit: bool
) -> NotStored | None:
    """The first rule of section 3 that forbids storing."""
    understood = said.must_understand and status in UNDERSTOOD_STATUSES
    vary = header("vary")
    reason = None
    if (
        status in NEVER_STORED_STATUSES
        or status >= 600
        or not (explicit or said.public or status in HEURISTIC_STATUSES)
        or (said.must_understand and not understood)  # section 5.2.2.3
    ):
        reason = NotStored.STATUS
    elif said.no_store and not understood:  # section 5.2.2.5
        reason = NotStored.NO_STORE
    elif said.private:  # section 5.2.2.7
        reason = NotStored.PRIVATE
    elif authorized and not said.shared:  # section 3.5
        reason = NotStored.AUTHORIZATION
    elif vary is not None and "*" in vary:  # section 4.1: no request matches it
        reason = NotStored.VARY
    elif not explicit and header("set-cookie") is not None:  # section 7.3
        reason = NotStored.SET_COOKIE
    return reason


def _implicit_lifetime(header: Header, expires: str | None, ttl: float | None, now: float) -> float | None:
    """Seconds of freshness without a directive; None if nothing names any (section 4.2.1)."""
    if expires is not None:
        until = parse_http_date(expires, now)  # an invalid date is in the past (section 5.3)
        date = parse_http_date(header("date"), now)
        return max(0.0, until - (now if date is None else date)) if until is not None else 0.0
    return _heuristic(header, now) if ttl is None else ttl


def _heuristic(header: Header, now: float) -> float | None:
    """Seconds of freshness estimated from the time since Last-Modified (section 4.2.2)."""
    modified = parse_http_date(header("last-modified"), now)
    if modified is None:
        return None
    date = parse_http_date(header("date"), now)
    unchanged = max(0.0, (now if date is None else date) - modified)
    return min(HEURISTIC_SHARE * unchanged, HEURISTIC_LIMIT)


def current_age(header: Header, now: float, delay: float) -> float:
    """Seconds of age when a response arrives (section 4.2.3)."""
    date, age = parse_http_date(header("date"), now), header("age")
    apparent = max(0.0, int(now) - date) if date is not None else 0.0
    claimed = "" if age is None else age.partition(",")[0].strip()  # the first counts (section 5.1)
    return max(apparent, delta_seconds(claimed) + delay) if claimed else apparent
