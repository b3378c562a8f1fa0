"""How far two numbers are apart, with one sign in all lessons.

The sign is that of `twin.confirm`: the first number minus the second. The first is the prediction, the
formula or the simulation; the second is what it is compared with. The difference is a share of the second
number. Percentages are compared in percentage points (pp). So a plus means: the prediction is too high.
"""

from __future__ import annotations


def difference(predicted: float, measured: float, unit: str = "") -> str:
    """Predicted minus measured, as text.

    Parameters
    ----------
    predicted, measured : float
        In the same unit.
    unit : str
        If it is ``%``, the difference is in percentage points; else it is relative to `measured`.
    """
    if unit == "%":
        return f"{_round(predicted - measured):+.1f} pp"
    if measured == 0:
        return "+0.0 %" if predicted == 0 else "–"
    return f"{_round(100 * (predicted - measured) / measured):+.1f} %"


def _round(value: float) -> float:
    """To one digit, and never minus zero."""
    return round(value, 1) + 0.0
