"""Prequal: the fastest upstream among those with little load."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from policies.balancing.base import Balancer, Upstreams, balancing_policy
from policies.balancing.latency import Latency


@balancing_policy("prequal")
class Prequal(Balancer):
    """Of sixteen probed upstreams, the one with the lowest latency that is not hot.

    Every request probes three random upstreams; a pool holds the last sixteen. An upstream is hot if it
    has more requests in flight, per weight, than 84 % of the others. If weights differ, upstreams are probed
    in proportion to their weights, and latencies count per weight. B. Wydrowski et al., "Load is not
    what you should balance: introducing Prequal", NSDI 2024.

    A probe sends nothing here: it reads the proxy's own knowledge of the upstream, its outstanding
    requests and its recent latency. So it is never stale, and the threshold is taken over the pool. In
    the paper each server reports both, over the requests of all its clients, and probes age. Constant
    cost, about ten times that of two choices.
    """

    PROBES = 3
    POOL = 16
    HOT = 2**-0.25

    def __init__(self, upstreams: Upstreams, *, rng: random.Random) -> None:
        super().__init__(upstreams, rng=rng)
        self._latency = Latency(len(upstreams.load), peak=False)
        self._pool: dict[int, None] = {}
        by_latency: Callable[[int], float] = self._latency.rank.__getitem__
        self._rank = self._weighted_rank if upstreams.weighted else by_latency

    def pick(self, key: str | None, now: float) -> int:
        upstreams, pool = self.upstreams, self._pool
        if self._outdated():
            pool.clear()
        if upstreams.next_step == math.inf and not upstreams.weighted:  # no upstream is in slow start
            available, chance = upstreams.available, self.rng.random
            count = len(available)
            for _ in range(self.PROBES):
                pool[available[int(chance() * count)]] = None
        else:
            for _ in range(self.PROBES):
                pool[self._draw()] = None
        while len(pool) > self.POOL:
            del pool[next(iter(pool))]
        load, weight = upstreams.load, upstreams.weight
        flying = load if upstreams.equal else {index: load[index] / weight[index] for index in pool}
        ordered = sorted(pool, key=flying.__getitem__)
        last = int(self.HOT * (len(ordered) - 1))
        while last + 1 < len(ordered) and flying[ordered[last + 1]] == flying[ordered[last]]:
            last += 1
        chosen = min(ordered[: last + 1], key=self._rank)
        del pool[chosen]
        pool[chosen] = None  # moved to the end: among equal upstreams, the least recently chosen is next
        return chosen

    def _weighted_rank(self, index: int) -> float:
        return self._latency.rank[index] - math.log(self.upstreams.weight[index])  # ranks are logarithms

    def finished(self, index: int, elapsed: float, now: float) -> None:
        self._latency.observe(index, elapsed, now)
