"""Round robin: each upstream in turn."""

from __future__ import annotations

import random

from policies.balancing.base import Upstreams, balancing_policy
from policies.balancing.weighted_round_robin import WeightedRoundRobin


@balancing_policy("round_robin")
class RoundRobin(WeightedRoundRobin):
    """Each available upstream in turn, regardless of load; as often as its weight says, if weights differ.

    Constant cost. With equal weights, an upstream in slow start is skipped with a probability of one minus
    its share; with different ones this is `WeightedRoundRobin`, as nginx's round robin is. J. B. Nagle, "On
    packet switches with infinite storage", RFC 970, 1985.
    """

    def __init__(self, upstreams: Upstreams, *, rng: random.Random) -> None:
        super().__init__(upstreams, rng=rng)
        self._next = 0

    def pick(self, key: str | None, now: float) -> int:
        if self.upstreams.weighted:
            return super().pick(key, now)
        available = self.upstreams.available
        while True:
            index = available[self._next % len(available)]
            self._next += 1
            if self.upstreams.share[index] == 1.0 or not self._skipped_in_slow_start(index):
                return index
