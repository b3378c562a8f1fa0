"""Which of a route's faults strike a request, and how hard: chance alone decides, and it is handed in."""

from __future__ import annotations

import random
from collections.abc import Sequence

from policies.settings.faults import Fault, Latency


def struck_by(faults: Sequence[Fault], rng: random.Random) -> list[Fault]:
    """The faults that strike one request, in the order of the file; each by a chance of its own."""
    return [fault for fault in faults if rng.random() < fault.probability]


def delay_of(fault: Latency, rng: random.Random) -> float:
    """Seconds that a latency lasts for one request."""
    return fault.delay if fault.law == "constant" else rng.expovariate(1.0 / fault.delay)
