"""P2C: the power of two choices."""

from __future__ import annotations

from policies.balancing.base import Balancer, balancing_policy


@balancing_policy("p2c")
class PowerOfTwoChoices(Balancer):
    """Of two different random upstreams, the one with fewer outstanding requests per weight.

    Constant cost, and nearly as short a tail as comparing all upstreams. A subclass can draw another
    number of `CHOICES`. M. Mitzenmacher, "The power of two choices in randomized load balancing", IEEE
    TPDS 12(10), 2001.
    """

    CHOICES = 2

    def pick(self, key: str | None, now: float) -> int:
        available = self.upstreams.available
        count = len(available)
        if count == 1:
            return available[0]
        if self.CHOICES != 2:
            drawn = self.rng.sample(available, min(self.CHOICES, count))
            return min(drawn, key=self.upstreams.cost)
        one = int(self.rng.random() * count)
        other = int(self.rng.random() * (count - 1))
        first, second = available[one], available[other + (other >= one)]
        load, weight = self.upstreams.load, self.upstreams.weight  # as `cost`, without a call
        return second if (load[second] + 1) / weight[second] < (load[first] + 1) / weight[first] else first
