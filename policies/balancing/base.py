"""The interface of balancers: a choice among upstreams, based on what the proxy knows about them.

The load of an upstream is the number of its *outstanding* requests from this proxy, waiting and in
service. `Dispatch` counts them for the real proxy and the simulator.
"""

from __future__ import annotations

import math
import random
from abc import ABC, abstractmethod
from bisect import bisect
from collections.abc import Collection, Sequence
from itertools import accumulate

from policies.contract import picked, picked_wrong
from policies.registry import Registry


class Upstreams:
    """What a balancer may look at.

    Parameters
    ----------
    weight : sequence of float
        One positive number per upstream: its share relative to the others.
    slow_start : float
        Seconds in which an upstream that comes back rises to its full weight, in tenths; with 0, it
        has its full weight at once.

    Attributes
    ----------
    load : list of int
        Outstanding requests of every upstream.
    weight : list of float
        Current weight of every upstream under slow start. A change replaces the list.
    share : list of float
        Current part of its full weight that slow start gives every upstream: 0.1 to 1.
    available : list of int
        Sorted indices of the upstreams that may be picked; never empty. A change replaces the list.
    equal : bool
        Whether all weights are equal now.
    weighted : bool
        Whether the weights differ even without slow start. Never changes.
    next_step : float
        When `advance` is due.
    """

    STEPS = 10

    def __init__(self, weight: Sequence[float], slow_start: float = 0.0) -> None:
        if not weight or min(weight) <= 0:
            raise ValueError("a service needs at least one upstream, each with a positive weight")
        self.weight = list(weight)
        self.share = [1.0] * len(self.weight)
        self.load = [0] * len(self.weight)
        self.available = list(range(len(self.weight)))
        self.equal = len(set(self.weight)) == 1
        self.weighted = not self.equal
        self._slow_start = slow_start
        self._full_weight = self.weight
        self._back_since: dict[int, float] = {}
        self.next_step = math.inf

    def cost(self, index: int) -> float:
        """Load per weight of upstream `index` after one more request."""
        return (self.load[index] + 1) / self.weight[index]

    def mark_down(self, index: int) -> bool:
        """Exclude upstream `index`; does nothing and returns ``False`` if it is the last one available."""
        left = [other for other in self.available if other != index]
        if not left:
            return False
        self.available = left
        self._back_since.pop(index, None)
        return True

    def mark_up(self, index: int, now: float) -> None:
        """Include upstream `index` again if it was down; slow start begins."""
        if index not in self.available:
            self.available = sorted((*self.available, index))
            self._back_since[index] = now
            self._take_step(now)

    def warm(self, index: int, now: float) -> None:
        """Slow start begins for upstream `index`, which may be picked but is new."""
        if index in self.available and self._slow_start:
            self._back_since[index] = now
            self._take_step(now)

    def advance(self, now: float) -> None:
        """Take the steps of slow start that are due at `now`."""
        if now >= self.next_step:
            self._take_step(now)

    def _take_step(self, now: float) -> None:
        self.next_step = math.inf
        self.share = [1.0] * len(self.load)
        for index, since in list(self._back_since.items()):
            passed = (now - since) / self._slow_start if self._slow_start else 1.0
            step = max(1, int(passed * self.STEPS))
            if step >= self.STEPS:
                del self._back_since[index]
                continue
            self.share[index] = step / self.STEPS
            due = since + self._slow_start * (step + 1) / self.STEPS
            self.next_step = min(self.next_step, due)
        self.weight = [full * share for full, share in zip(self._full_weight, self.share, strict=True)]
        self.equal = len(set(self.weight)) == 1


class Balancer(ABC):
    """Picks the upstream of each request.

    Parameters
    ----------
    upstreams : Upstreams
        The state to decide from; the caller owns it and changes it between calls.
    rng : random.Random
        The only source of random numbers.
    """

    def __init__(self, upstreams: Upstreams, *, rng: random.Random) -> None:
        self.upstreams = upstreams
        self.rng = rng
        self._known: tuple[list[int], list[float]] | None = None
        self._draws: tuple[list[int], list[float], list[float]] | None = None

    @abstractmethod
    def pick(self, key: str | None, now: float) -> int:
        """The index of an available upstream.

        Parameters
        ----------
        key : str or None
            What the request is hashed by (its source), for balancers with affinity.
        now : float
            Seconds on the caller's clock.
        """

    def started(self, index: int) -> None:
        """A request goes to upstream `index` without a pick; for balancers that track loads."""
        return

    def finished(self, index: int, elapsed: float, now: float) -> None:
        """Upstream `index` answered after `elapsed` seconds; for balancers that learn from it."""
        return

    def _outdated(self) -> bool:
        """Whether availability or weights changed since the last call; for balancers with tables."""
        available, weight = self.upstreams.available, self.upstreams.weight
        if self._known is not None and self._known[0] is available and self._known[1] is weight:
            return False
        self._known = available, weight
        return True

    def _draw(self) -> int:
        """Any available upstream, with probabilities in proportion to weights; less often in slow start."""
        available, share = self.upstreams.available, self.upstreams.share
        if self.upstreams.weighted:
            return self._draw_by_weight()
        while True:
            index = available[int(self.rng.random() * len(available))]
            if share[index] == 1.0 or self.rng.random() < share[index]:
                return index

    def _draw_by_weight(self) -> int:
        """As `_draw`, by a search in the running sums of the present weights.

        The inversion method of L. Devroye, "Non-uniform random variate generation", 1986, chapter III.2.
        """
        available, weight = self.upstreams.available, self.upstreams.weight
        if self._draws is None or self._draws[0] is not available or self._draws[1] is not weight:
            self._draws = available, weight, list(accumulate(weight[index] for index in available))
        sums = self._draws[2]
        place = bisect(sums, self.rng.random() * sums[-1])
        return available[min(place, len(available) - 1)]  # a product may be rounded up to the sum

    def _skipped_in_slow_start(self, index: int) -> bool:
        """Whether slow start gives this request to another upstream; for balancers without weights."""
        share = self.upstreams.share[index]
        return share < 1.0 and self.rng.random() >= share


FAILED_SECONDS = 1.0
"""Least latency that a failure counts as, for balancers that learn from latencies."""

balancing_policies: Registry[Balancer] = Registry("balancing policy", Balancer, "upstreams", "rng")
balancing_policy = balancing_policies.register


def dispatch_rng(seed: int | None, service: str) -> random.Random:
    """The random numbers of one service's balancer: the same for the real proxy and the simulator."""
    return random.Random() if seed is None else random.Random(f"{seed}/{service}")


class Dispatch:
    """One service's balancer and the count of its outstanding requests.

    Parameters
    ----------
    balance : str
        Name of a registered balancer.
    weight : sequence of float
        Weight of every upstream.
    rng : random.Random
        For the balancer.
    slow_start : float
        Seconds, see `Upstreams`.
    snapshot : float
        Seconds between two updates of the loads, from the first request on; the balancer uses each
        snapshot until the next (the periodic updates of M. Mitzenmacher, "How useful is old
        information?", IEEE Transactions on Parallel and Distributed Systems 11, 2000). With 0, the
        balancer always knows the loads.

    Attributes
    ----------
    upstreams : Upstreams
        What the balancer sees.
    outstanding : list of int
        Current outstanding requests of every upstream, whatever the balancer sees.

    Notes
    -----
    Not locked: the real proxy calls it under its own lock, the simulator has one thread.
    """

    def __init__(
        self,
        balance: str,
        weight: Sequence[float],
        rng: random.Random,
        slow_start: float = 0.0,
        snapshot: float = 0.0,
    ) -> None:
        self.upstreams = Upstreams(weight, slow_start)
        self.outstanding = [0] * len(weight) if snapshot else self.upstreams.load
        self._all = self.upstreams.available
        self._snapshot, self._first_snapshot = snapshot, math.nan
        self._next_snapshot = -math.inf if snapshot else math.inf
        self.balancer = balancing_policies.build(balance, self.upstreams, rng=rng)

    def start(self, key: str | None, now: float, failed: Collection[int] = ()) -> int:
        """Pick an upstream for a request and count the request as outstanding there.

        A request that upstreams have `failed` goes to the least loaded of the others; if all have failed
        it, the balancer picks as for a new request.
        """
        upstreams = self.upstreams
        if now >= upstreams.next_step:
            upstreams.advance(now)
        if now >= self._next_snapshot:
            self._take_snapshot(now)
        others = [index for index in upstreams.available if index not in failed] if failed else []
        index = self._least_loaded(others) if others else self.balancer.pick(key, now)
        available = upstreams.available
        if type(index) is not int or index < 0 or (available is not self._all and index not in available):
            index = picked(self.balancer, index, available)
        try:
            self.outstanding[index] += 1
        except IndexError:
            raise picked_wrong(self.balancer, index, available) from None
        return index

    def finish(self, index: int, elapsed: float, now: float, failed: bool = False) -> None:
        """The request on upstream `index` ended `elapsed` seconds after its start.

        A `failed` request counts as a slow one. Otherwise an upstream that fails at once would look fast
        to balancers that learn from latencies, and they would send it everything.
        """
        self.outstanding[index] -= 1
        self.balancer.finished(index, max(elapsed, FAILED_SECONDS) if failed else elapsed, now)

    def _least_loaded(self, others: list[int]) -> int:
        least = min(map(self.upstreams.cost, others))
        ties = [index for index in others if self.upstreams.cost(index) == least]
        index = ties[int(self.balancer.rng.random() * len(ties))]
        self.balancer.started(index)
        return index

    def _take_snapshot(self, now: float) -> None:
        if self._next_snapshot == -math.inf:
            self._first_snapshot = now  # not a round time, so that proxy and simulator agree
        snapshots = (now - self._first_snapshot) // self._snapshot + 1
        self._next_snapshot = self._first_snapshot + snapshots * self._snapshot
        upstreams = self.upstreams
        upstreams.load[:] = self.outstanding
        upstreams.weight = list(upstreams.weight)  # tells balancers with tables to rebuild them
