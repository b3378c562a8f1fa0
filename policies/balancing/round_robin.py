"""Round robin: each upstream in turn."""

from __future__ import annotations

import random

from policies.balancing.base import Balancer, Upstreams, balancing_policy


@balancing_policy("round_robin")
class RoundRobin(Balancer):
    """Each available upstream in turn, regardless of weight and load. Constant cost.

    An upstream in slow start is skipped with a probability of one minus its share. J. B. Nagle, "On
    packet switches with infinite storage", RFC 970, 1985.
    """

    def __init__(self, upstreams: Upstreams, *, rng: random.Random) -> None:
        super().__init__(upstreams, rng=rng)
        self._turn = 0

    def pick(self, key: str | None, now: float) -> int:
        available = self.upstreams.available
        while True:
            index = available[self._turn % len(available)]
            self._turn += 1
            if self.upstreams.share[index] == 1.0 or not self._skipped_in_slow_start(index):
                return index
