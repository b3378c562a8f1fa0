"""Least requests: join the shortest queue."""

from __future__ import annotations

from policies.balancing.base import Balancer, balancing_policy


@balancing_policy("least_requests")
class LeastRequests(Balancer):
    """The upstream with the fewest outstanding requests per weight; ties are broken by chance.

    "Join the shortest queue": W. Winston, "Optimality of the shortest line discipline",
    J. Applied Probability 14, 1977. Linear cost in the number of upstreams.
    """

    def pick(self, key: str | None, now: float) -> int:
        upstreams = self.upstreams
        available = upstreams.available
        if upstreams.equal and len(available) == len(upstreams.load):
            load = upstreams.load
            least = min(load)
            ties = [index for index, outstanding in enumerate(load) if outstanding == least]
        else:
            cost = [upstreams.cost(index) for index in available]
            lowest = min(cost)
            ties = [index for index, price in zip(available, cost, strict=True) if price == lowest]
        return ties[int(self.rng.random() * len(ties))] if len(ties) > 1 else ties[0]
