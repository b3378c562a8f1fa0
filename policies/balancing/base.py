"""What every balancer is: a choice among upstreams, made from what is known about them.

Load is the number of *outstanding* requests, waiting and in service, that this proxy has sent to
an upstream. It is counted here, once, for both twins.
"""

from __future__ import annotations

import math
import random
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence

from policies.registry import Registry


class Upstreams:
    """What a balancer may look at.

    Parameters
    ----------
    weight : sequence of float
        One positive number per upstream: its share relative to the others.
    slow_start : float
        Seconds in which an upstream that comes back rises to its full weight, in tenths; 0: at once.

    Attributes
    ----------
    load : list of int
        Outstanding requests of every upstream.
    weight : list of float
        Weight of every upstream, as slow start lets it count now. Replaced by a new list when it
        changes.
    share : list of float
        What slow start leaves of every upstream: 0.1 to 1.
    available : list of int
        Indices that may be picked, in order, never empty. Replaced by a new list when it changes.
    equal : bool
        Whether all weights are the same now.
    next_step : float
        When slow start has to `advance`.
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
        self._slow_start = slow_start
        self._full_weight = self.weight
        self._back_since: dict[int, float] = {}
        self.next_step = math.inf

    def cost(self, index: int) -> float:
        """Load per weight that one more request would bring upstream `index` to."""
        return (self.load[index] + 1) / self.weight[index]

    def mark_down(self, index: int) -> bool:
        """Upstream `index` may not be picked; refused with ``False`` if it is the last that may."""
        left = [other for other in self.available if other != index]
        if not left:
            return False
        self.available = left
        self._back_since.pop(index, None)
        return True

    def mark_up(self, index: int, now: float) -> None:
        """Upstream `index` may be picked again, if it was down, and slowly at first."""
        if index not in self.available:
            self.available = sorted((*self.available, index))
            self._back_since[index] = now
            self._take_step(now)

    def advance(self, now: float) -> None:
        """It is `now`: let those that came back take the steps that are due."""
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
        The state to decide from; it belongs to the caller and changes between calls.
    rng : random.Random
        Where chance comes from. A balancer never calls `random` itself.
    """

    def __init__(self, upstreams: Upstreams, *, rng: random.Random) -> None:
        self.upstreams = upstreams
        self.rng = rng
        self._known: tuple[list[int], list[float]] | None = None

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

    def started(self, index: int) -> None:
        """A request goes to upstream `index` without a pick, for balancers that keep books of loads."""
        return

    def finished(self, index: int, elapsed: float, now: float) -> None:
        """Upstream `index` answered after `elapsed` seconds, for balancers that learn from it."""
        return

    def _outdated(self) -> bool:
        """Whether availability or weights changed since the last call, for balancers with tables."""
        available, weight = self.upstreams.available, self.upstreams.weight
        if self._known is not None and self._known[0] is available and self._known[1] is weight:
            return False
        self._known = available, weight
        return True

    def _draw(self) -> int:
        """Any available upstream, with equal chances; less often one in slow start."""
        available, share = self.upstreams.available, self.upstreams.share
        while True:
            index = available[int(self.rng.random() * len(available))]
            if share[index] == 1.0 or self.rng.random() < share[index]:
                return index

    def _sits_out(self, index: int) -> bool:
        """Whether slow start gives this request to another one, for balancers without weights."""
        share = self.upstreams.share[index]
        return share < 1.0 and self.rng.random() >= share


FAILED_SECONDS = 1.0
"""What a failure counts as at least, for balancers that learn from latencies."""

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
    slow_start : float
        Seconds, see `Upstreams`.
    snapshot : float
        Seconds between two looks at the loads, from the first request on; the balancer decides by
        each until the next (the periodic updates of M. Mitzenmacher, "How useful is old
        information?", IEEE Transactions on Parallel and Distributed Systems 11, 2000); 0: it always
        knows them.

    Attributes
    ----------
    upstreams : Upstreams
        What the balancer sees.
    outstanding : list of int
        Requests under way on every upstream, now, whatever the balancer knows of them.

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
        self._snapshot, self._first_look = snapshot, math.nan
        self._next_look = -math.inf if snapshot else math.inf
        self.balancer = balancing_policies[balance](self.upstreams, rng=rng)

    def start(self, key: str | None, now: float, failed: Collection[int] = ()) -> int:
        """Pick an upstream for a request and count the request as outstanding there.

        One that is asked again, because upstreams have `failed` it, goes to the least loaded of the
        others; if all have failed it, the balancer begins anew.
        """
        upstreams = self.upstreams
        if now >= upstreams.next_step:
            upstreams.advance(now)
        if now >= self._next_look:
            self._look(now)
        others = [index for index in upstreams.available if index not in failed] if failed else []
        index = self._instead(others) if others else self.balancer.pick(key, now)
        self.outstanding[index] += 1
        return index

    def finish(self, index: int, elapsed: float, now: float, failed: bool = False) -> None:
        """The request on upstream `index` ended `elapsed` seconds after its start.

        One that has `failed` counts as a slow one: else who fails at once would look fast to
        balancers that learn from latencies, and be sent everything.
        """
        self.outstanding[index] -= 1
        self.balancer.finished(index, max(elapsed, FAILED_SECONDS) if failed else elapsed, now)

    def _instead(self, others: list[int]) -> int:
        least = min(map(self.upstreams.cost, others))
        ties = [index for index in others if self.upstreams.cost(index) == least]
        index = ties[int(self.balancer.rng.random() * len(ties))]
        self.balancer.started(index)
        return index

    def _look(self, now: float) -> None:
        if self._next_look == -math.inf:
            self._first_look = now  # not a round time: so both twins look at the same moments
        looks = (now - self._first_look) // self._snapshot + 1
        self._next_look = self._first_look + looks * self._snapshot
        upstreams = self.upstreams
        upstreams.load[:] = self.outstanding
        upstreams.weight = list(upstreams.weight)  # tells balancers with books to begin them anew
