"""Weighted random: probabilities in proportion to weights."""

from __future__ import annotations

import random
from bisect import bisect
from itertools import accumulate

from policies.balancing.base import Balancer, Upstreams, balancing_policy


@balancing_policy("weighted_random")
class WeightedRandom(Balancer):
    """Any available upstream, with a probability in proportion to its weight, regardless of its load.

    Logarithmic cost: a search in the running sums of the weights, the inversion method of L. Devroye,
    "Non-uniform random variate generation", 1986, chapter III.2.
    """

    def __init__(self, upstreams: Upstreams, *, rng: random.Random) -> None:
        super().__init__(upstreams, rng=rng)
        self._sums: list[float] = []

    def pick(self, key: str | None, now: float) -> int:
        available = self.upstreams.available
        if self._outdated():
            self._sums = list(accumulate(self.upstreams.weight[index] for index in available))
        place = bisect(self._sums, self.rng.random() * self._sums[-1])
        return available[min(place, len(available) - 1)]  # a product may be rounded up to the sum
