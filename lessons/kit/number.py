"""What a student writes as a number: every kind of real number is one, and nothing else is."""

from __future__ import annotations

import math
from decimal import Decimal
from numbers import Real

import numpy as np

_LONGEST = 60
"""Characters of a strange value that are shown; more would not be one clear line."""


def finite_number(given: object) -> float | None:
    """The number as a float, or ``None`` for everything that is not one finite real number.

    Numbers are those of Python (also `fractions.Fraction` and `decimal.Decimal`) and of NumPy. Truth
    values, texts, complex numbers, arrays, durations, infinity and NaN are none.
    """
    if isinstance(given, (bool, np.timedelta64)) or not isinstance(given, (Real, Decimal)):
        return None
    try:
        value = float(given)
    except (OverflowError, ValueError):  # an integer beyond all floats; a signalling NaN
        return None
    return value if math.isfinite(value) else None


def shown(given: object) -> str:
    """A value as Python writes it, in one short line."""
    try:
        text = " ".join(repr(given).split())
    except ValueError:  # Python writes no integer of thousands of digits
        text = f"an enormous {type(given).__name__}"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
