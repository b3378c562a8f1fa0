"""HTTP caching: what a request allows, whether its response may be stored, and how long it is fresh.

Pure functions of field values. The sections are those of RFC 9111 unless another RFC is named.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from policies.http_cache.causes import NOTHING, Asked, cause
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
from policies.http_cache.lifetime import current_age, implicit_lifetime
from policies.http_cache.statuses import STATUSES, Storing, row

# To name a member by its class is slow before Python 3.12.
_HEURISTIC, _PART, _NEVER = Storing.HEURISTIC, Storing.PART, Storing.NEVER


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
    """Why a response was not stored: the ``detail`` of Cache-Status, and a value in the log."""

    METHOD = "method"
    REQUEST_BODY = "request-body"
    REQUEST_NO_STORE = "request-no-store"
    STATUS = "status"
    REQUEST_FIELDS = "request-fields"
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
    """What a request allows its cache to do.

    Parameters
    ----------
    forward : Forwarded, optional
        Why the request must go upstream; None if a stored response may answer it.
    unstorable : NotStored, optional
        Why its response must not be stored, as far as the request decides that.
    max_age, min_fresh, max_stale : float
        Seconds: the greatest age, the least remaining freshness and the greatest staleness that the
        request accepts (sections 5.2.1.1 to 5.2.1.3).
    only_if_cached : bool
        Whether the answer is 504 if nothing stored can be used (section 5.2.1.7).
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
# The body of a GET is not part of the key, so its response must not answer other requests (section 2).
_WITH_BODY = Request(forward=Forwarded.BYPASS, unstorable=NotStored.REQUEST_BODY)


def read_request(method: str, header: Header, body: bool = False) -> Request:
    """What a request allows its cache to do (sections 5.2.1 and 5.4).

    Parameters
    ----------
    method : str
        As sent; methods are case-sensitive.
    header : callable
        Of the request.
    body : bool
        Whether the request has a body.
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
    directives = parse_cache_control(cache_control)
    max_age = delta_seconds(directives["max-age"]) if "max-age" in directives else FOREVER
    # Without a value, max-stale accepts any staleness (section 5.2.1.2).
    stale = directives.get("max-stale", "0")
    return Request(
        forward=Forwarded.REQUEST if "no-cache" in directives or max_age == 0 else None,
        unstorable=unstorable or (NotStored.REQUEST_NO_STORE if "no-store" in directives else None),
        max_age=max_age,
        min_fresh=delta_seconds(directives["min-fresh"]) if "min-fresh" in directives else 0.0,
        max_stale=FOREVER if stale is None else delta_seconds(stale),
        only_if_cached="only-if-cached" in directives,
    )


class Answer(NamedTuple):
    """How a response may be stored and used.

    Parameters
    ----------
    reason : NotStored, optional
        Why it must not be stored; None if it may.
    lifetime, age : float
        Seconds: its freshness lifetime, and its age on arrival.
    validate : bool
        Whether every use needs a validation: ``no-cache`` (section 5.2.2.4).
    strict : bool
        Whether it must never be used stale: ``must-revalidate`` and similar (section 4.2.4).
    while_revalidate, if_error : float
        Seconds of staleness in which it may be used while it is revalidated, and if the origin fails.
        RFC 5861
    kept : float
        Seconds of age after which it is useless.
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
    asked: Asked = NOTHING,
    posted: bool = False,
) -> Answer:
    """Whether a response may be stored, and how long it is fresh (sections 3, 4.2 and 5.2.2).

    Parameters
    ----------
    status : int
        Of the response.
    header : callable
        Of the response.
    request : Request
        What the request allows.
    authorized : bool
        Whether the request carries Authorization.
    ttl : float or None
        Seconds of freshness if the response names none.
    now : float
        Seconds since 1970 when the response arrived.
    delay : float
        Seconds from the request to that arrival.
    stale : float
        Seconds of staleness in which the response may be used if the origin fails, unless the
        response itself names them.
    targeted : bool
        Whether this cache is a target of CDN-Cache-Control. RFC 9213
    asked : Asked
        The request's fields, any of which may have caused the response: see `policies.http_cache.causes`.
    posted : bool
        Whether it answers a POST: then only the origin itself can name a lifetime. RFC 9110, 9.3.3
    """
    if request.unstorable is not None:
        return Answer(request.unstorable)
    directives = read_response_directives(header, targeted)
    expires = None if directives.targeted or directives.lifetime is not None else header("expires")
    explicit = directives.lifetime is not None or expires is not None
    reason = _obstacle(status, directives, header, authorized, explicit, asked)
    if reason is not None:
        return Answer(reason)
    lifetime = directives.lifetime
    if lifetime is None:
        lifetime = implicit_lifetime(header, expires, None if posted else ttl, now)
    if posted and not lifetime:
        return Answer(NotStored.NO_FRESHNESS)
    checkable = header("etag") is not None or header("last-modified") is not None
    if not checkable and (directives.no_cache or lifetime is None):
        return Answer(NotStored.NO_CACHE if directives.no_cache else NotStored.NO_FRESHNESS)
    answer, age = _usage(directives, lifetime or 0.0, checkable, stale), current_age(header, now, delay)
    useful = age < (answer.kept if answer.reason is None else answer.lifetime)
    return answer._replace(reason=None if useful else NotStored.STALE, age=age)


def length_obstacle(length: int | None, capacity: int) -> NotStored | None:
    """Whether the length of a body forbids storing it; None is one whose end cannot be told from a cut.

    `capacity` is that of the cache, in bytes. RFC 9111, 3.3
    """
    if length is None:
        return NotStored.INCOMPLETE
    return NotStored.TOO_LARGE if length > capacity else None


@lru_cache(1024)  # most responses of a site differ in nothing that matters here
def _usage(directives: ResponseDirectives, lifetime: float, checkable: bool, stale: float) -> Answer:
    """How an answer that may be stored can be used later; its reason counts if it is stale on arrival."""
    while_revalidate = if_error = 0.0
    if not (directives.strict or directives.no_cache):  # section 4.2.4
        while_revalidate = directives.while_revalidate
        if_error = stale if directives.if_error is None else directives.if_error
    useful_when_stale = checkable or while_revalidate or (directives.if_error is not None and if_error)
    return Answer(
        reason=None if useful_when_stale else NotStored.STALE,
        lifetime=lifetime,
        validate=directives.no_cache,
        strict=directives.strict,
        while_revalidate=while_revalidate,
        if_error=if_error,
        kept=FOREVER if checkable else lifetime + max(while_revalidate, if_error),
        omitted=directives.omitted,
    )


def _obstacle(
    status: int,
    directives: ResponseDirectives,
    header: Header,
    authorized: bool,
    explicit: bool,
    asked: Asked,
) -> NotStored | None:
    """The first rule that forbids storing: those of section 3, and that a response must be everybody's."""
    understood = directives.must_understand and status in STATUSES
    vary, storing = header("vary"), (STATUSES.get(status) or row(status)).storing
    implicit = directives.public or storing is _HEURISTIC
    reason = None
    if storing is _NEVER or storing is _PART:
        reason = NotStored.STATUS
    elif cause(status, asked, vary) is not None:
        reason = NotStored.REQUEST_FIELDS
    elif not (explicit or implicit) or (directives.must_understand and not understood):  # section 5.2.2.3
        reason = NotStored.STATUS
    elif directives.no_store and not understood:  # section 5.2.2.5
        reason = NotStored.NO_STORE
    elif directives.private:  # section 5.2.2.7
        reason = NotStored.PRIVATE
    elif authorized and not directives.shared:  # section 3.5
        reason = NotStored.AUTHORIZATION
    elif vary is not None and "*" in vary:  # section 4.1: no request matches it
        reason = NotStored.VARY
    elif not explicit and header("set-cookie") is not None:  # section 7.3
        reason = NotStored.SET_COOKIE
    return reason
