"""HTTP caching: what may be stored, for how long, and what may be answered from the store.

Pure functions over field values; sections are those of RFC 9111 unless another one is named.
Headers come as a callable from a field's name in lower case to its value or None.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

Header = Callable[[str], str | None]

FOREVER = 2**31
"""Seconds that a larger or unreadably large delta-seconds stands for (section 1.2.2)."""

# Statuses that may be stored without explicit freshness. RFC 9110, 15.1
HEURISTIC_STATUSES = frozenset({200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501})
# A part is not a whole, and a 304 belongs to the answer that it confirms.
NEVER_STORED_STATUSES = frozenset({206, 304})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


class Forwarded(StrEnum):
    """Why a request went upstream. RFC 9211, 2.2"""

    BYPASS = "bypass"
    METHOD = "method"
    URI_MISS = "uri-miss"
    REQUEST = "request"


class NotStored(StrEnum):
    """Why an answer was not stored; goes into Cache-Status as ``detail`` and into the log."""

    METHOD = "method"
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
    REFUSED = "refused"


# cache-directive = token [ "=" ( token / quoted-string ) ]                  section 5.2
_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_DIRECTIVE = re.compile(rf'({_TOKEN})(?:=(?:"((?:[^"\\]|\\.)*)"|({_TOKEN})))?')


def parse_cache_control(value: str | None) -> dict[str, str | None]:
    """The directives in a Cache-Control value, names in lower case; of a repeated one the first.

    Examples
    --------
    >>> parse_cache_control('max-age=60, private="x", no-transform')
    {'max-age': '60', 'private': 'x', 'no-transform': None}
    """
    directives: dict[str, str | None] = {}
    for name, quoted, token in _DIRECTIVE.findall(value or ""):
        directives.setdefault(name.lower(), quoted or token or None)
    return directives


def delta_seconds(text: str | None) -> int:
    """Seconds of a directive; what cannot be read counts as 0, that is stale (section 4.2.1)."""
    if text is None or not text.isascii() or not text.isdigit():
        return 0
    return min(int(text), FOREVER) if len(text) < 12 else FOREVER


_MONTHS = {
    name: number
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), start=1
    )
}
_CLOCK = r"(?P<h>\d\d):(?P<m>\d\d):(?P<s>\d\d)"
# IMF-fixdate / rfc850-date / asctime-date; all three must be understood. RFC 9110, 5.6.7
_DATES = [
    re.compile(rf"[A-Z][a-z]{{2}}, (?P<d>\d\d) (?P<b>[A-Z][a-z]{{2}}) (?P<y>\d{{4}}) {_CLOCK} GMT"),
    re.compile(rf"[A-Z][a-z]{{5,8}}, (?P<d>\d\d)-(?P<b>[A-Z][a-z]{{2}})-(?P<y>\d\d) {_CLOCK} GMT"),
    re.compile(rf"[A-Z][a-z]{{2}} (?P<b>[A-Z][a-z]{{2}}) (?P<d>[ \d]\d) {_CLOCK} (?P<y>\d{{4}})"),
]


def parse_http_date(text: str | None, now: float) -> float | None:
    """Seconds since 1970 in an HTTP date, or None if it is missing or no date.

    Parameters
    ----------
    text : str or None
        A date in one of the three formats of RFC 9110, 5.6.7.
    now : float
        Seconds since 1970, to tell the century of a two-digit year.
    """
    for pattern in _DATES:
        found = pattern.fullmatch(text or "")
        if found is None or found["b"] not in _MONTHS:
            continue
        year, day = int(found["y"]), int(found["d"])
        hour, minute, second = int(found["h"]), int(found["m"]), int(found["s"])
        if len(found["y"]) == 2:  # at most 50 years ahead, else it is in the past
            this_year = 1970 + int(now // 31_556_952)
            year += this_year // 100 * 100
            year -= 100 if year > this_year + 50 else 0
        if not (1 <= day <= 31 and hour < 24 and minute < 60 and second <= 60):
            return None
        return float(calendar.timegm((year, _MONTHS[found["b"]], day, hour, minute, second)))
    return None


@dataclass(frozen=True, slots=True)
class Request:
    """What a request lets its cache do.

    Parameters
    ----------
    forward : Forwarded, optional
        Why the store must not be asked, or None if it may answer.
    unstorable : NotStored, optional
        Why the answer must not be stored, as far as the request says.
    max_age, min_fresh : float
        Seconds: the oldest answer and the least remaining freshness that it accepts.
    only_if_cached : bool
        Rather 504 than a request upstream (section 5.2.1.7).
    """

    forward: Forwarded | None = None
    unstorable: NotStored | None = None
    max_age: float = FOREVER
    min_fresh: float = 0.0
    only_if_cached: bool = False


_PLAIN_GET = Request()
_PLAIN_HEAD = Request(unstorable=NotStored.METHOD)
_OTHER_METHOD = Request(forward=Forwarded.METHOD, unstorable=NotStored.METHOD)


def read_request(method: str, header: Header) -> Request:
    """What `method` and the fields of a request let its cache do (sections 5.2.1 and 5.4)."""
    if method not in ("GET", "HEAD"):
        return _OTHER_METHOD
    value, unstorable = header("cache-control"), None if method == "GET" else NotStored.METHOD
    if value is None:
        # Pragma counts only where Cache-Control is missing (section 5.4).
        if "no-cache" not in (header("pragma") or "").lower():
            return _PLAIN_GET if method == "GET" else _PLAIN_HEAD
        return Request(Forwarded.REQUEST, unstorable)
    asked = parse_cache_control(value)
    max_age = delta_seconds(asked["max-age"]) if "max-age" in asked else FOREVER
    return Request(
        forward=Forwarded.REQUEST if "no-cache" in asked or max_age == 0 else None,
        unstorable=unstorable or (NotStored.REQUEST_NO_STORE if "no-store" in asked else None),
        max_age=max_age,
        min_fresh=delta_seconds(asked["min-fresh"]) if "min-fresh" in asked else 0.0,
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
    """

    reason: NotStored | None
    lifetime: float = 0.0
    age: float = 0.0


def read_answer(
    status: int,
    header: Header,
    request: Request,
    authorized: bool,
    ttl: float | None,
    now: float,
    delay: float,
) -> Answer:
    """Whether an answer to a request may be stored, and how long it stays fresh (section 3).

    Parameters
    ----------
    status : int
        Its status.
    header : callable
        Its fields.
    request : Request
        What the request allows.
    authorized : bool
        Whether the request carried Authorization.
    ttl : float or None
        Seconds of freshness for an answer that names none.
    now : float
        Seconds since 1970 at its arrival.
    delay : float
        Seconds from asking to its arrival.
    """
    if request.unstorable is not None:
        return Answer(request.unstorable)
    said = parse_cache_control(header("cache-control"))
    lifetime, explicit = _lifetime(said, header, ttl, now)
    reason = _obstacle(status, said, header, authorized, explicit)
    if reason is None and lifetime is None:
        reason = NotStored.NO_FRESHNESS
    if reason is not None or lifetime is None:
        return Answer(reason)
    age = current_age(header, now, delay)
    return Answer(NotStored.STALE if age >= lifetime else None, lifetime, age)


def _obstacle(
    status: int, said: dict[str, str | None], header: Header, authorized: bool, explicit: bool
) -> NotStored | None:
    """The first rule of section 3 that forbids storing."""
    shared = "public" in said or "s-maxage" in said or "must-revalidate" in said
    vary = header("vary")
    checks = (
        (status in NEVER_STORED_STATUSES or status >= 600, NotStored.STATUS),
        (not explicit and status not in HEURISTIC_STATUSES, NotStored.STATUS),
        ("no-store" in said, NotStored.NO_STORE),  # section 5.2.2.5
        ("private" in said, NotStored.PRIVATE),  # section 5.2.2.7
        ("no-cache" in said, NotStored.NO_CACHE),  # section 5.2.2.4: useless without validation
        (authorized and not shared, NotStored.AUTHORIZATION),  # section 3.5
        (vary is not None and vary.strip() != "", NotStored.VARY),  # section 4.1
        (header("set-cookie") is not None and not explicit, NotStored.SET_COOKIE),  # section 7.3
    )
    return next((reason for holds, reason in checks if holds), None)


def _lifetime(
    said: dict[str, str | None], header: Header, ttl: float | None, now: float
) -> tuple[float | None, bool]:
    """Seconds of freshness and whether the origin named them (section 4.2.1)."""
    for directive in ("s-maxage", "max-age"):
        if directive in said:
            return delta_seconds(said[directive]), True
    expires = header("expires")
    if expires is not None:
        until = parse_http_date(expires, now)  # an invalid date lies in the past (section 5.3)
        date = parse_http_date(header("date"), now)
        return max(0.0, until - (now if date is None else date)) if until is not None else 0.0, True
    return ttl, False


def current_age(header: Header, now: float, delay: float) -> float:
    """Seconds that an answer was old when it arrived (section 4.2.3)."""
    date = parse_http_date(header("date"), now)
    apparent = max(0.0, int(now) - date) if date is not None else 0.0
    claimed = (header("age") or "").partition(",")[0].strip()  # of several the first (section 5.1)
    return max(apparent, delta_seconds(claimed) + delay if claimed else 0.0)


def invalidates(method: str, status: int) -> bool:
    """Whether an answer makes what is stored for its URI invalid (section 4.4)."""
    return method not in SAFE_METHODS and 200 <= status < 400
