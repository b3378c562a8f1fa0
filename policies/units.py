"""Durations, sizes and rates in people's notation: ``"200ms"``, ``"64MiB"``, ``"120/s"``.

In the code a duration is a ``float`` of seconds, a size an ``int`` of bytes and a rate a ``float``
per second. A pydantic model accepts the notation through the types ``Duration``, ``Size``, ``Rate``
and ``ByteRate``.
"""

from __future__ import annotations

import math
import re
from typing import Annotated

from pydantic import BeforeValidator, Field

_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {
    "": 1, "B": 1,
    "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
_QUANTITY = re.compile(r"\s*(\d[\d_]*(?:\.\d+)?(?:[eE][-+]?\d+)?)\s*([A-Za-zµ]*)\s*")


def _quantity(text: object, units: dict[str, float] | dict[str, int]) -> float | None:
    found = _QUANTITY.fullmatch(text) if isinstance(text, str) else None
    if found is None or found[2] not in units:
        return None
    value = float(found[1].replace("_", "")) * units[found[2]]
    return value if math.isfinite(value) else None


def parse_duration(text: object) -> float:
    """The seconds of a duration.

    Parameters
    ----------
    text : str
        A number and a unit: ns, us, ms, s, m, h or d. ``0`` needs no unit.

    Raises
    ------
    ValueError
        If `text` is not a duration. A number without a unit is refused because its unit is a guess.

    Examples
    --------
    >>> parse_duration("200ms")
    0.2
    >>> parse_duration("1.5m")
    90.0
    """
    if text in (0, "0") and not isinstance(text, bool):
        return 0.0
    seconds = _quantity(text, _SECONDS)
    if seconds is None:
        raise ValueError(f"expected a duration such as '200ms', '10s' or '5m', not {text!r}")
    return seconds


def parse_size(text: object) -> int:
    """The bytes of a size; a whole number without a unit means bytes.

    Raises
    ------
    ValueError
        If `text` is not a size, or not a whole number of bytes.

    Examples
    --------
    >>> parse_size("64MiB")
    67108864
    >>> parse_size(1500)
    1500
    """
    if isinstance(text, int) and not isinstance(text, bool) and text >= 0:
        return text
    size = _quantity(text, _BYTES)
    if size is None or abs(size - round(size)) > size * 2**-50:  # 68.719 * 10**9 is not whole in binary
        raise ValueError(f"expected a size such as '8KiB', '64MiB' or a whole number of bytes, not {text!r}")
    return round(size)


def parse_rate(text: object) -> float:
    """The events per second of a rate.

    Raises
    ------
    ValueError
        If `text` is not a rate.

    Examples
    --------
    >>> parse_rate("120/s")
    120.0
    >>> parse_rate("90/m")
    1.5
    """
    number, slash, unit = text.partition("/") if isinstance(text, str) else ("", "", "")
    count = _quantity(number, {"": 1.0})
    if not slash or count is None or unit.strip() not in _SECONDS:
        raise ValueError(f"expected a rate such as '120/s' or '3000/m', not {text!r}")
    return count / _SECONDS[unit.strip()]


def parse_byte_rate(text: object) -> float:
    """The bytes per second of a byte rate.

    Raises
    ------
    ValueError
        If `text` is not a byte rate.

    Examples
    --------
    >>> parse_byte_rate("1KiB/s")
    1024.0
    """
    size, slash, unit = text.partition("/") if isinstance(text, str) else ("", "", "")
    count = _quantity(size, _BYTES)
    if not slash or count is None or unit.strip() not in _SECONDS:
        raise ValueError(f"expected bytes per time such as '1KiB/s', not {text!r}")
    return count / _SECONDS[unit.strip()]


def _in_units(value: float, units: list[tuple[float, str]]) -> str:
    scale, unit = next((pair for pair in units if abs(value) >= pair[0]), units[-1])
    return f"{value / scale:.4g}{unit}"


def format_duration(seconds: float) -> str:
    """A duration in the largest unit that gives a number of at least one: ``"12.5ms"``."""
    return _in_units(seconds, [(60.0, "m"), (1.0, "s"), (1e-3, "ms"), (1e-6, "us")]) if seconds else "0s"


def format_size(size: float) -> str:
    """A size in binary units: ``"1.5MiB"``."""
    return _in_units(size, [(2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B")])


def _accept_number(parse):  # type: ignore[no-untyped-def]
    """Accept plain floats too, so that a dumped model can be validated again."""

    def read(value: object) -> object:
        return value if type(value) is float else parse(value)

    return read


Duration = Annotated[float, BeforeValidator(_accept_number(parse_duration)), Field(ge=0)]
"""Seconds, written as in ``"200ms"``; a `float` is taken as seconds."""
Size = Annotated[int, BeforeValidator(parse_size)]
"""Bytes, written as in ``"64MiB"``."""
Rate = Annotated[float, BeforeValidator(_accept_number(parse_rate)), Field(ge=0)]
"""Events per second, written as in ``"120/s"``; a `float` is taken as events per second."""
ByteRate = Annotated[float, BeforeValidator(_accept_number(parse_byte_rate)), Field(ge=0)]
"""Bytes per second, written as in ``"1KiB/s"``; a `float` is taken as bytes per second."""
