"""Which of a route's faults a request gets; the caller hands in the random numbers."""

from __future__ import annotations

import random
from collections.abc import Sequence

from policies.settings.faults import Fault, Latency


def struck_by(faults: Sequence[Fault], rng: random.Random) -> list[Fault]:
    """The faults of one request, in the order of the file; each is drawn independently."""
    return [fault for fault in faults if rng.random() < fault.probability]


def delay_of(fault: Latency, rng: random.Random) -> float:
    """Seconds of a latency fault for one request."""
    return fault.delay if fault.law == "constant" else rng.expovariate(1.0 / fault.delay)
