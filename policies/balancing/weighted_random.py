"""Weighted random: probabilities in proportion to weights."""

from __future__ import annotations

from policies.balancing.base import Balancer, balancing_policy


@balancing_policy("weighted_random")
class WeightedRandom(Balancer):
    """Any available upstream, with a probability in proportion to its weight, regardless of its load.

    Logarithmic cost: a search in the running sums of the weights. As `UniformRandom`, if weights differ.
    """

    def pick(self, key: str | None, now: float) -> int:
        return self._draw_by_weight()
