"""HTTP caching: what may be stored, for how long, and what a request lets its cache do.

Pure functions over field values; sections are those of RFC 9111 unless another one is named.
Headers come as a callable from a field's name in lower case to its value or None.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from policies.http_cache.dates import parse_http_date
from policies.http_cache.directives import (
    FOREVER,
    Directives,
    Header,
    delta_seconds,
    field_names,
    parse_cache_control,
    read_directives,
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
    value, unstorable = header("cache-control"), None if method == "GET" else NotStored.METHOD
    if value is None:
        # Pragma counts only where Cache-Control is missing (section 5.4).
        if "no-cache" not in (header("pragma") or "").lower():
            return _PLAIN_GET if method == "GET" else _PLAIN_HEAD
        return Request(Forwarded.REQUEST, unstorable)
    asked = parse_cache_control(value)
    max_age = delta_seconds(asked["max-age"]) if "max-age" in asked else FOREVER
    # max-stale without a value: however stale (section 5.2.1.2).
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
    said, aimed = read_directives(header, targeted)
    lifetime, explicit = _lifetime(said, header, None if aimed else header("expires"), ttl, now)
    checkable = header("etag") is not None or header("last-modified") is not None
    reason = _obstacle(status, said, header, authorized, explicit)
    if reason is None and not checkable and _bare(said, "no-cache"):
        reason = NotStored.NO_CACHE
    if reason is None and not checkable and lifetime is None:
        reason = NotStored.NO_FRESHNESS
    if reason is not None:
        return Answer(reason)
    return _usage(said, lifetime or 0.0, current_age(header, now, delay), checkable, stale)


def _usage(said: Directives, lifetime: float, age: float, checkable: bool, stale: float) -> Answer:
    """How an answer that nothing forbids to store may be used later."""
    strict = not said.keys().isdisjoint({"must-revalidate", "proxy-revalidate", "s-maxage"})
    validate = _bare(said, "no-cache")
    behind = on_error = 0.0
    if not (strict or validate):  # section 4.2.4
        behind = float(delta_seconds(said.get("stale-while-revalidate", "0")))
        on_error = float(delta_seconds(said["stale-if-error"])) if "stale-if-error" in said else stale
    spoken = behind or ("stale-if-error" in said and on_error)
    kept = FOREVER if checkable else lifetime + max(behind, on_error)
    return Answer(
        NotStored.STALE if age >= lifetime and not (checkable or spoken) else None,
        lifetime, age, validate, strict, behind, on_error, kept,
        frozenset(field_names(said.get("no-cache")) + field_names(said.get("private"))),
    )  # fmt: skip


def _bare(said: Directives, name: str) -> bool:
    """Whether a directive is there and not limited to certain fields."""
    return name in said and said[name] is None


def _obstacle(
    status: int, said: Directives, header: Header, authorized: bool, explicit: bool
) -> NotStored | None:
    """The first rule of section 3 that forbids storing."""
    shared = "public" in said or "s-maxage" in said or "must-revalidate" in said
    understood = "must-understand" in said and status in UNDERSTOOD_STATUSES
    vary = header("vary")
    checks = (
        (status in NEVER_STORED_STATUSES or status >= 600, NotStored.STATUS),
        (not explicit and status not in HEURISTIC_STATUSES and "public" not in said, NotStored.STATUS),
        ("must-understand" in said and not understood, NotStored.STATUS),  # section 5.2.2.3
        ("no-store" in said and not understood, NotStored.NO_STORE),  # section 5.2.2.5
        (_bare(said, "private"), NotStored.PRIVATE),  # section 5.2.2.7
        (authorized and not shared, NotStored.AUTHORIZATION),  # section 3.5
        (vary is not None and "*" in vary, NotStored.VARY),  # section 4.1: matches nothing
        (header("set-cookie") is not None and not explicit, NotStored.SET_COOKIE),  # section 7.3
    )
    return next((reason for holds, reason in checks if holds), None)


def _lifetime(
    said: Directives, header: Header, expires: str | None, ttl: float | None, now: float
) -> tuple[float | None, bool]:
    """Seconds of freshness, None if nothing names any, and whether the origin did (section 4.2.1)."""
    for directive in ("s-maxage", "max-age"):
        if directive in said:
            return float(delta_seconds(said[directive])), True
    if expires is not None:
        until = parse_http_date(expires, now)  # an invalid date lies in the past (section 5.3)
        date = parse_http_date(header("date"), now)
        return max(0.0, until - (now if date is None else date)) if until is not None else 0.0, True
    if ttl is not None:
        return ttl, False
    return _heuristic(header, now), False


def _heuristic(header: Header, now: float) -> float | None:
    """Seconds of freshness to be expected of what was last modified long ago (section 4.2.2)."""
    modified = parse_http_date(header("last-modified"), now)
    if modified is None:
        return None
    date = parse_http_date(header("date"), now)
    unchanged = max(0.0, (now if date is None else date) - modified)
    return min(HEURISTIC_SHARE * unchanged, HEURISTIC_LIMIT)


def current_age(header: Header, now: float, delay: float) -> float:
    """Seconds that an answer was old when it arrived (section 4.2.3)."""
    date = parse_http_date(header("date"), now)
    apparent = max(0.0, int(now) - date) if date is not None else 0.0
    claimed = (header("age") or "").partition(",")[0].strip()  # of several the first (section 5.1)
    return max(apparent, delta_seconds(claimed) + delay if claimed else 0.0)
