"""Times as logs and traces write them, in seconds since 1970."""

from __future__ import annotations

import calendar
import math
import re
from datetime import UTC, datetime

_CLF = re.compile(
    r"(\d{1,2})/([A-Z][a-z]{2})/(\d{4}):(\d{2}):(\d{2}):(\d{2})(\.\d{1,9})?(?: ([+-])(\d{2})(\d{2}))?"
)
_MONTHS = {name: number for number, name in enumerate(calendar.month_abbr) if name}
LATEST = 1e11
"""Seconds; a larger number counts milliseconds, microseconds or nanoseconds."""
MOST_TICKS = 1e20
"""Ticks of a clock that counts less than a second."""


def clf_time(text: str) -> float:
    """The time of Apache's common log format, ``10/Oct/2024:13:55:36 +0200``; also with a fraction.

    Raises
    ------
    ValueError
        If the text is no such time.
    """
    found = _CLF.fullmatch(text)
    if found is None or found[2] not in _MONTHS:
        raise ValueError(f"expected a time such as 10/Oct/2024:13:55:36 +0200, not {shown(text)}")
    day, year, hour, minute, second = (int(found[i]) for i in (1, 3, 4, 5, 6))
    east = 0 if found[8] is None else (int(found[9]) * 60 + int(found[10])) * (60 if found[8] == "+" else -60)
    return calendar.timegm((year, _MONTHS[found[2]], day, hour, minute, second)) - east + float(found[7] or 0)


def iso_time(text: str) -> float:
    """A time of ISO 8601, such as ``2024-10-10T13:55:36.5+02:00``; without an offset it is in UTC.

    Raises
    ------
    ValueError
        If the text is no such time.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise ValueError(f"expected a time such as 2024-10-10T13:55:36Z, not {shown(text)}") from None


def any_time(value: object) -> float:
    """A time of a JSON log: a text in one of the forms above, or a number of seconds, ms, µs or ns.

    Raises
    ------
    ValueError
        If it is none of them.
    """
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return clf_time(value) if value[2:3] == "/" or value[1:2] == "/" else iso_time(value)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        number = float(value) if abs(value) < 1e300 else math.inf
    else:
        raise ValueError(f"expected a time, not {shown(value)}")
    return epoch_seconds(number)


def epoch_seconds(number: float) -> float:
    """Seconds of a number that may count smaller units, as its size tells.

    Examples
    --------
    >>> epoch_seconds(1_700_000_000), epoch_seconds(1_700_000_000_500)
    (1700000000, 1700000000.5)
    """
    for unit in (1, 1e3, 1e6, 1e9):
        if 0 <= number < LATEST * unit:
            return number / unit if unit > 1 else number
    raise ValueError(f"expected a time that is not negative, not {number:g}")


def compact_time(text: str) -> float:
    """``YYYYMMDDHHMMSS``, in UTC."""
    if len(text) != 14 or not text.isdecimal():
        raise ValueError(f"expected a time such as 20160201164604, not {shown(text)}")
    return iso_time(f"{text[:8]}T{text[8:]}")


def check_seconds(number: float) -> float:
    """Return a time in seconds that can be one.

    Raises
    ------
    ValueError
        If it is negative, not finite, or far beyond all dates.
    """
    if not math.isfinite(number) or number < 0:
        raise ValueError("expected finite numbers that are not negative")
    if number >= LATEST:
        raise ValueError(
            f"expected seconds, not {number:g}; if these are milliseconds, say --columns time=NAME:ms"
        )
    return number


def shown(value: object) -> str:
    """A value for a message, not too long."""
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
