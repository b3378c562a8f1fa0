"""Bounded ring hash: consistent hashing with a limit to every upstream's load."""

from __future__ import annotations

import random

from policies.balancing.base import Upstreams, balancing_policy
from policies.balancing.hashing import hash_key
from policies.balancing.load_tracking import LoadTracking
from policies.balancing.ring_hash import Ring


@balancing_policy("bounded_ring_hash")
class BoundedRingHash(LoadTracking):
    """The first upstream clockwise from the source's hash that is not full.

    An upstream is full if it has its weight's share of 1.25 times all outstanding requests, including the
    new one, rounded up. So affinity is kept while load allows it. Logarithmic cost, and on average a
    walk over a bounded number of points. V. Mirrokni, M. Thorup, M. Zadimoghaddam, "Consistent hashing
    with bounded loads", SODA 2018.
    """

    BOUND = 1.25

    def __init__(self, upstreams: Upstreams, *, rng: random.Random) -> None:
        super().__init__(upstreams, rng=rng)
        self._weight: list[float] | None = None
        self._available: set[int] = set()
        self._outstanding = 0
        self._weight_sum = 0.0

    def _rebuild(self) -> None:
        upstreams = self.upstreams
        self._available = set(upstreams.available)
        self._outstanding = sum(upstreams.load[index] for index in upstreams.available)
        self._weight_sum = sum(upstreams.weight[index] for index in upstreams.available)
        if self._weight is not upstreams.weight:
            self._weight = upstreams.weight
            self._ring = Ring(self._weight)

    def _load_changed(self, index: int, before: int, after: int) -> None:
        if index in self._available:
            self._outstanding += after - before

    def _choose(self, key: str | None) -> int:
        load, weight, owners = self.upstreams.load, self.upstreams.weight, self._ring.owners
        bound = self.BOUND * (self._outstanding + 1) / self._weight_sum
        place = self._ring.place(hash_key(key, self.rng))
        while True:
            index = owners[place]
            if load[index] < bound * weight[index] and index in self._available:
                return index
            place = place + 1 if place + 1 < len(owners) else 0
