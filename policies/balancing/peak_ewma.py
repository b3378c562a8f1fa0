"""Peak EWMA: two random choices, compared by load and recent latency."""

from __future__ import annotations

import random

from policies.balancing.base import Balancer, Upstreams, balancing_policy
from policies.balancing.latency import Latency


@balancing_policy("peak_ewma")
class PeakEwma(Balancer):
    """Of two different random upstreams, the one with the lower latency times load, per weight.

    Latency is a moving average over about ten seconds that rises to every peak at once and falls slowly.
    So a slow upstream is avoided quickly and tried again later. A busy upstream that has never answered
    is the last choice. Constant cost. Finagle's ``PeakEwma`` (Twitter, 2015), described in C. Oliveira,
    "Beyond round robin: load balancing for latency", Buoyant, 2016.
    """

    UNKNOWN = 1e6

    def __init__(self, upstreams: Upstreams, *, rng: random.Random) -> None:
        super().__init__(upstreams, rng=rng)
        self._latency = Latency(len(upstreams.load), peak=True)

    def pick(self, key: str | None, now: float) -> int:
        available = self.upstreams.available
        count = len(available)
        if count == 1:
            return available[0]
        one = int(self.rng.random() * count)
        other = int(self.rng.random() * (count - 1))
        first, second = available[one], available[other + (other >= one)]
        return second if self._cost(second, now) < self._cost(first, now) else first

    def finished(self, index: int, elapsed: float, now: float) -> None:
        self._latency.observe(index, elapsed, now)

    def _cost(self, index: int, now: float) -> float:
        latency = self._latency.expected(index, now)
        if not latency and self.upstreams.load[index]:
            latency = self.UNKNOWN
        return latency * self.upstreams.cost(index)
