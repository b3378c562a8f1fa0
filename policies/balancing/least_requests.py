"""Least requests: join the shortest queue."""

from __future__ import annotations

import random
from heapq import heappop, heappush

from policies.balancing.base import Upstreams, balancing_policy
from policies.balancing.load_tracking import LoadTracking

FEW = 8
"""Up to so many upstreams, it is faster to look at each than to keep buckets."""


@balancing_policy("least_requests")
class LeastRequests(LoadTracking):
    """The upstream with the fewest outstanding requests per weight; ties are broken at random.

    A few upstreams are compared one by one. Many are kept in buckets of equal cost, with a heap of the
    costs, so that the cost of a pick does not grow with their number. "Join the shortest queue":
    W. Winston, "Optimality of the shortest line discipline", J. Applied Probability 14, 1977.
    """

    def __init__(self, upstreams: Upstreams, *, rng: random.Random) -> None:
        super().__init__(upstreams, rng=rng)
        self._buckets: dict[float, list[int]] = {}
        self._place: dict[int, int] = {}
        self._costs: list[float] = []

    def pick(self, key: str | None, now: float) -> int:
        upstreams = self.upstreams
        available, load = upstreams.available, upstreams.load
        if len(available) > FEW:
            return super().pick(key, now)
        if upstreams.equal and len(available) == len(load):
            least = min(load)
            if load.count(least) == 1:
                return load.index(least)
            ties = [index for index in available if load[index] == least]
        else:
            costs = [upstreams.cost(index) for index in available]
            cheapest = min(costs)
            ties = [index for index, cost in zip(available, costs, strict=True) if cost == cheapest]
        return ties[int(self.rng.random() * len(ties))]

    def started(self, index: int) -> None:
        if len(self.upstreams.available) > FEW:
            super().started(index)

    def finished(self, index: int, elapsed: float, now: float) -> None:
        if len(self.upstreams.available) > FEW:
            super().finished(index, elapsed, now)

    def _rebuild(self) -> None:
        self._buckets, self._place, self._costs = {}, {}, []
        for index in self.upstreams.available:
            self._join(index, self.upstreams.cost(index))

    def _load_changed(self, index: int, before: int, after: int) -> None:
        if index in self._place:
            weight = self.upstreams.weight[index]
            self._leave(index, (before + 1) / weight)
            self._join(index, (after + 1) / weight)

    def _choose(self, key: str | None) -> int:
        while not (ties := self._buckets[self._costs[0]]):
            del self._buckets[heappop(self._costs)]
        return ties[int(self.rng.random() * len(ties))] if len(ties) > 1 else ties[0]

    def _join(self, index: int, cost: float) -> None:
        bucket = self._buckets.get(cost)
        if bucket is None:
            bucket = self._buckets[cost] = []
            heappush(self._costs, cost)
        self._place[index] = len(bucket)
        bucket.append(index)

    def _leave(self, index: int, cost: float) -> None:
        bucket, place = self._buckets[cost], self._place[index]
        last = bucket.pop()
        if last != index:
            bucket[place] = last
            self._place[last] = place
