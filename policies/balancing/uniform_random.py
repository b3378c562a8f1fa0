"""Random: any upstream, with equal chances."""

from __future__ import annotations

from policies.balancing.base import Balancer, balancing_policy


@balancing_policy("random")
class UniformRandom(Balancer):
    """Any available upstream, with equal chances. Constant cost, no state."""

    def pick(self, key: str | None, now: float) -> int:
        available = self.upstreams.available
        return available[int(self.rng.random() * len(available))]
