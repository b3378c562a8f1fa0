"""What every balancer is: a choice among upstreams, made from what is known about them.

Load is the number of *outstanding* requests, waiting and in service, that this proxy has sent to
an upstream. It is counted here, once, for both twins.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Sequence

from policies.registry import Registry


class Upstreams:
    """What a balancer may look at.

    Parameters
    ----------
    weight : sequence of float
        One positive number per upstream: its share relative to the others.

    Attributes
    ----------
    load : list of int
        Outstanding requests of every upstream.
    weight : list of float
        Weight of every upstream.
    available : list of int
        Indices that may be picked, in order, never empty.
    equal : bool
        Whether all weights are the same.
    """

    def __init__(self, weight: Sequence[float]) -> None:
        if not weight or min(weight) <= 0:
            raise ValueError("a service needs at least one upstream, each with a positive weight")
        self.weight = list(weight)
        self.load = [0] * len(self.weight)
        self.available = list(range(len(self.weight)))
        self.equal = len(set(self.weight)) == 1

    def cost(self, index: int) -> float:
        """Load per weight that one more request would bring upstream `index` to."""
        return (self.load[index] + 1) / self.weight[index]


class Balancer(ABC):
    """Picks the upstream of each request.

    Parameters
    ----------
    upstreams : Upstreams
        The state to decide from; it belongs to the caller and changes between calls.
    rng : random.Random
        Where chance comes from. A balancer never calls `random` itself.
    """

    def __init__(self, upstreams: Upstreams, *, rng: random.Random) -> None:
        self.upstreams = upstreams
        self.rng = rng

    @abstractmethod
    def pick(self, key: str | None, now: float) -> int:
        """The index of an available upstream.

        Parameters
        ----------
        key : str or None
            What the request is hashed by (its source), for balancers that keep affinity.
        now : float
            Seconds on the caller's clock.
        """

    def finished(self, index: int, elapsed: float, now: float) -> None:
        """Upstream `index` answered after `elapsed` seconds, for balancers that learn from it."""
        return


balancing_policies: Registry[Balancer] = Registry("balancing policy")
balancing_policy = balancing_policies.register


def dispatch_rng(seed: int | None, service: str) -> random.Random:
    """The chance of one service's balancer: the same draws in both twins for the same seed."""
    return random.Random() if seed is None else random.Random(f"{seed}/{service}")


class Dispatch:
    """One service's balancer with its books: who was picked, and what is outstanding.

    Parameters
    ----------
    balance : str
        Name of a registered balancer.
    weight : sequence of float
        Weight of every upstream.
    rng : random.Random
        Handed to the balancer.

    Notes
    -----
    Not locked: the real proxy calls it under its own lock, the simulator has one thread.
    """

    def __init__(self, balance: str, weight: Sequence[float], rng: random.Random) -> None:
        self.upstreams = Upstreams(weight)
        self.balancer = balancing_policies[balance](self.upstreams, rng=rng)

    def start(self, key: str | None, now: float) -> int:
        """Pick an upstream for a request and count the request as outstanding there."""
        index = self.balancer.pick(key, now)
        self.upstreams.load[index] += 1
        return index

    def finish(self, index: int, elapsed: float, now: float) -> None:
        """The request on upstream `index` ended, well or not, `elapsed` seconds after its start."""
        self.upstreams.load[index] -= 1
        self.balancer.finished(index, elapsed, now)
