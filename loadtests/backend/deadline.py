"""The deadline of a request: the field Proxytwin-Timeout-Ms says how many milliseconds are left."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

FIELD = "Proxytwin-Timeout-Ms"


def deadline_of(fields: Mapping[str, str], now: float) -> float:
    """When the answer must be there, on the monotonic clock; infinite without a number in the field."""
    try:
        left = float(fields[FIELD.lower()]) / 1e3
    except (KeyError, ValueError):
        return math.inf
    return now + left if math.isfinite(left) else math.inf


def line(deadline: float) -> list[str]:
    """The field line for a request that is sent now; none without a deadline."""
    return [] if deadline == math.inf else [f"{FIELD}: {(deadline - time.monotonic()) * 1e3:.3f}"]
