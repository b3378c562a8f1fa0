"""Weighted round robin: turns in proportion to weights, evenly spread."""

from __future__ import annotations

import random

from policies.balancing.base import Balancer, Upstreams, balancing_policy
from policies.balancing.whole_weights import whole_weights


@balancing_policy("weighted_round_robin")
class WeightedRoundRobin(Balancer):
    """Each upstream in turn, as often as its weight says, spread as evenly as possible.

    Before each pick, every upstream gains its weight. The upstream with the most credit is picked and
    pays the sum of all weights. After as many picks as that sum, all credits are zero again. So the first
    cycle is computed, at linear cost per pick, and remembered; after that the cost is constant. The
    "smooth" weighted round robin of nginx (I. Sysoev, M. Dounin, upstream module, 2012).
    """

    def __init__(self, upstreams: Upstreams, *, rng: random.Random) -> None:
        super().__init__(upstreams, rng=rng)
        self._gain: list[int] = []
        self._credit: list[int] = []
        self._sum = 0
        self._cycle: list[int] = []
        self._turn = 0

    def pick(self, key: str | None, now: float) -> int:
        if self._outdated():
            self._gain = whole_weights([self.upstreams.weight[i] for i in self.upstreams.available])
            self._credit = [0] * len(self._gain)
            self._sum = sum(self._gain)
            self._cycle, self._turn = [], 0
        if self._turn == len(self._cycle):
            self._cycle.append(self.upstreams.available[self._next_place()])
        index = self._cycle[self._turn]
        self._turn = (self._turn + 1) % self._sum
        return index

    def _next_place(self) -> int:
        credit = self._credit = [have + gain for have, gain in zip(self._credit, self._gain, strict=True)]
        richest = credit.index(max(credit))
        credit[richest] -= self._sum
        return richest
