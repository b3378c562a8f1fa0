"""Maglev hashing: a look-up table that every upstream fills in a different order."""

from __future__ import annotations

import random

from policies.balancing.base import Balancer, Upstreams, balancing_policy
from policies.balancing.hashing import hash_key, stable_hash

SIZES = (8191, 131071, 1048573, 16777213)
"""Primes: the size of the table is the first that is at least a hundred per upstream."""


@balancing_policy("maglev")
class Maglev(Balancer):
    """A table of upstreams, looked up by the source's hash.

    The available upstreams take turns, in proportion to their weights. At each turn, an upstream takes the
    next free slot in its own order of slots. Shares are equal within about 1 %. When an upstream comes or
    goes, few sources move besides its own. Constant cost; a change refills the table, at about 0.5 µs
    per slot. D. E. Eisenbud et al., "Maglev: a fast and reliable software network load balancer", NSDI
    2016; weights as in Envoy.
    """

    def __init__(self, upstreams: Upstreams, *, rng: random.Random) -> None:
        super().__init__(upstreams, rng=rng)
        count = len(upstreams.load)
        self._size = next((size for size in SIZES if size >= 100 * count), SIZES[-1])
        hashes = [stable_hash(f"upstream {index}") for index in range(count)]
        self._offset = [number % self._size for number in hashes]
        self._skip = [number // self._size % (self._size - 1) + 1 for number in hashes]
        self._table: list[int] = []

    def pick(self, key: str | None, now: float) -> int:
        if self._outdated():
            self._table = self._filled()
        return self._table[hash_key(key, self.rng) % self._size]

    def _filled(self) -> list[int]:
        size, table, free = self._size, [-1] * self._size, self._size
        weight = self.upstreams.weight
        heaviest = max(weight[index] for index in self.upstreams.available)
        turns = [(index, weight[index] / heaviest, self._skip[index]) for index in self.upstreams.available]
        credit = [0.0] * len(weight)
        place = list(self._offset)
        while True:
            for index, gain, skip in turns:
                credit[index] += gain
                if credit[index] < 1.0:
                    continue
                credit[index] -= 1.0
                at = place[index]
                while table[at] >= 0:
                    at += skip
                    if at >= size:
                        at -= size
                table[at] = index
                place[index] = at
                free -= 1
                if not free:
                    return table
