"""Source hash: requests from the same source go to the same upstream."""

from __future__ import annotations

import random
from bisect import bisect
from itertools import accumulate

from policies.balancing.base import Balancer, Upstreams, balancing_policy
from policies.balancing.hashing import hash_key
from policies.balancing.whole_weights import whole_weights


@balancing_policy("source_hash")
class SourceHash(Balancer):
    """The hash of the request's source, modulo the sum of the weights.

    Logarithmic cost. When an upstream comes or goes, nearly all sources move (10 of 11 from ten to eleven
    upstreams); consistent hashing avoids that. As nginx's ``ip_hash`` (I. Sysoev, 2004); the modulus is
    Knuth's division method, "The art of computer programming" 3, section 6.4, 1973.
    """

    def __init__(self, upstreams: Upstreams, *, rng: random.Random) -> None:
        super().__init__(upstreams, rng=rng)
        self._sums: list[int] = []

    def pick(self, key: str | None, now: float) -> int:
        available = self.upstreams.available
        if self._outdated():
            whole = whole_weights([self.upstreams.weight[index] for index in available])
            self._sums = list(accumulate(whole))
        return available[bisect(self._sums, hash_key(key, self.rng) % self._sums[-1])]
