"""Random: any upstream, with equal probabilities, or in proportion to weights."""

from __future__ import annotations

from policies.balancing.base import Balancer, balancing_policy


@balancing_policy("random")
class UniformRandom(Balancer):
    """Any available upstream, in proportion to its weight; less often one in slow start.

    Constant cost, no state; logarithmic cost if weights differ. The baseline of Y. Azar et al., "Balanced
    allocations", SIAM J. Computing 29(1), 1999: n requests on n upstreams leave about log n / log log n on
    the fullest.
    """

    def pick(self, key: str | None, now: float) -> int:
        return self._draw()
