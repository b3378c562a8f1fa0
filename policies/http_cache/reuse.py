"""Whether a stored response may be sent, fresh or stale. The sections are those of RFC 9111."""

from __future__ import annotations

from enum import Enum

from policies.http_cache.freshness import Answer, Forwarded, NotStored, Request
from policies.http_cache.statuses import Storing, row


class Use(Enum):
    """What to do with the stored response that a request selects; the value is the detail in Cache-Status."""

    FRESH = "fresh"  # send it
    STALE = "stale"  # send it: the request accepts a stale one
    STALE_WHILE_REVALIDATE = "behind"  # send it, and revalidate it in the background
    ASK = "ask"  # ask the origin first


REFRESHES_AT_ONCE = 4
"""Most background revalidations of a proxy at once; more wait."""


_FRESH = Use.FRESH  # access by the class is slow before Python 3.12


def reuse(answer: Answer, request: Request, age: float) -> Use:
    """What to do with a stored response of `age` seconds (sections 4, 4.2.4 and 5.2.1)."""
    if request.forward is not None or answer.validate or age > request.max_age:
        return Use.ASK
    left = answer.lifetime - age
    if left > 0:
        return _FRESH if left >= request.min_fresh else Use.ASK
    if answer.strict or request.min_fresh:
        return Use.ASK
    if -left < request.max_stale:
        return Use.STALE
    return Use.STALE_WHILE_REVALIDATE if -left < answer.while_revalidate else Use.ASK  # RFC 5861, 3


def may_serve_stale_on_error(answer: Answer, request: Request, age: float, status: int = 200) -> bool:
    """Whether a stored response may be sent because the origin fails (section 4.2.4; RFC 5861, 4).

    A stored failure, by its `status`, does not stand in for another.
    """
    if status >= 500:
        return False
    if request.forward is not None or answer.validate or age > request.max_age or request.min_fresh:
        return False
    return age - answer.lifetime < answer.if_error


ERROR_STATUSES = frozenset({500, 502, 503, 504})
"""Statuses that count as a failure of the origin for ``stale-if-error``. RFC 5861, 4"""


_OF_ONE_REQUEST = frozenset(
    {NotStored.METHOD, NotStored.REQUEST_BODY, NotStored.REQUEST_FIELDS, NotStored.AUTHORIZATION}
)


def is_of_one_request(status: int, reason: NotStored | None) -> bool:
    """Whether a response says nothing about what other requests get, given why it is not stored."""
    return reason in _OF_ONE_REQUEST or row(status).storing is Storing.NEVER


def outdates(status: int, reason: NotStored) -> bool:
    """Whether a response that is not stored shows that the stored one no longer holds.

    A failure of the origin does not show that (section 4.3.3), nor a part, nor the response to one request.
    """
    is_part = row(status).storing is Storing.PART
    return status < 500 and not is_part and not is_of_one_request(status, reason)


def forward_reason(
    request: Request, found: Answer | None, age: float, variants: bool, lacks: bool = False
) -> Forwarded:
    """Why a request goes upstream after a look-up in the store. RFC 9211, 2.2

    Parameters
    ----------
    request : Request
    found : Answer, optional
        Of the stored response that the request selects.
    age : float
        Its age in seconds.
    variants : bool
        Whether anything is stored for the URI.
    lacks : bool
        Whether the selected response is a part that does not hold all that the request wants.
    """
    if request.forward is Forwarded.METHOD or request.forward is Forwarded.BYPASS:
        return request.forward
    if found is None:
        return Forwarded.VARY_MISS if variants else Forwarded.URI_MISS
    if lacks:
        return Forwarded.PARTIAL
    fresh = age < found.lifetime and not found.validate
    return Forwarded.REQUEST if fresh else request.forward or Forwarded.STALE
