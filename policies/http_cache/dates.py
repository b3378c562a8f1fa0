"""HTTP dates: RFC 9110, 5.6.7, read as RFC 9111, 4.2 demands of caches."""

from __future__ import annotations

import calendar
import re
from functools import lru_cache

_MONTHS = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), start=1
    )
}
_CLOCK = r"(?P<h>\d\d):(?P<m>\d\d):(?P<s>\d\d)"
# IMF-fixdate / rfc850-date / asctime-date: a recipient must accept all three. RFC 9110, 5.6.7
# Case does not count; a zone other than GMT makes a date invalid. RFC 9111, 4.2
_DATES = [
    re.compile(pattern, re.ASCII | re.IGNORECASE)
    for pattern in (
        rf"[A-Z]{{3}}, (?P<d>\d\d) (?P<b>[A-Z]{{3}}) (?P<y>\d{{4}}) {_CLOCK} GMT",
        rf"[A-Z]{{6,9}}, (?P<d>\d\d)-(?P<b>[A-Z]{{3}})-(?P<y>\d\d) {_CLOCK} GMT",
        rf"[A-Z]{{3}} (?P<b>[A-Z]{{3}}) (?P<d>[ \d]\d) {_CLOCK} (?P<y>\d{{4}})",
    )
]


_LONGEST = 33
"""Characters of the longest date: ``Wednesday, 06-Nov-94 08:49:37 GMT``."""
_SECONDS_PER_YEAR = 31_556_952


def parse_http_date(text: str | None, now: float) -> float | None:
    """Seconds since 1970 in an HTTP date; None if the date is missing or invalid.

    Parameters
    ----------
    text : str or None
        A date in one of the three formats of RFC 9110, 5.6.7.
    now : float
        Seconds since 1970; it decides the century of a two-digit year.
    """
    if text is None or len(text) > _LONGEST:
        return None
    return _parse(text, 1970 + int(now // _SECONDS_PER_YEAR))


@lru_cache(1024)  # dates repeat: all responses of one second have the same one
def _parse(text: str, this_year: int) -> float | None:
    for pattern in _DATES:
        found = pattern.fullmatch(text)
        if found is None or found["b"].lower() not in _MONTHS:
            continue
        year, day = int(found["y"]), int(found["d"])
        hour, minute, second = int(found["h"]), int(found["m"]), int(found["s"])
        if len(found["y"]) == 2:  # at most 50 years ahead; otherwise it is in the past
            year += this_year // 100 * 100
            year -= 100 if year > this_year + 50 else 0
        if not (year >= 1 and 1 <= day <= 31 and hour < 24 and minute < 60 and second <= 60):
            return None
        return float(calendar.timegm((year, _MONTHS[found["b"].lower()], day, hour, minute, second)))
    return None
