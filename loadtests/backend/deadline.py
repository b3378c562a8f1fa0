"""The deadline of a request: how many milliseconds are left for its response.

The field and its form are those of `policies.resilience.deadline`, repeated here so that backends need not
load the policies.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping

FIELD = "Proxytwin-Timeout-Ms"
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,12}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})")


def deadline_of(fields: Mapping[str, str], now: float) -> float:
    """When the response is due, on the monotonic clock; infinite without a number in the field."""
    text = fields.get(FIELD.lower(), "")
    return now + float(text) / 1e3 if _NUMBER.fullmatch(text) else math.inf


def line(deadline: float) -> list[str]:
    """The field line for a request that is sent now; none without a deadline."""
    if deadline == math.inf:
        return []
    micros = max(0, math.floor((deadline - time.monotonic()) * 1e6))  # never more than is left
    return [f"{FIELD}: {micros // 1000}.{micros % 1000:03}"]
