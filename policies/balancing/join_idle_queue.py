"""Join idle queue: an upstream reports when it becomes idle."""

from __future__ import annotations

import random
from collections import deque

from policies.balancing.base import Balancer, Upstreams, balancing_policy


@balancing_policy("join_idle_queue")
class JoinIdleQueue(Balancer):
    """The upstream that has been idle the longest; if none is idle, a random one.

    An upstream joins the queue when its last outstanding request ends; no loads are compared. If weights
    differ, both are drawn in proportion to weights: one of the idle ones, or one of all. Constant cost,
    amortised; linear in the number of idle upstreams if weights differ. Y. Lu et al., "Join-Idle-Queue: a
    novel load balancing algorithm for dynamically scalable web services", Performance Evaluation 68(11),
    2011.
    """

    def __init__(self, upstreams: Upstreams, *, rng: random.Random) -> None:
        super().__init__(upstreams, rng=rng)
        self._idle: deque[int] = deque()
        self._available: set[int] = set()

    def pick(self, key: str | None, now: float) -> int:
        available, load = self.upstreams.available, self.upstreams.load
        if self._outdated():
            self._available = set(available)
            waiting = [index for index in self._idle if index in self._available]
            known = set(waiting)
            self._idle = deque(waiting)
            self._idle.extend(index for index in available if load[index] == 0 and index not in known)
        if self.upstreams.weighted:
            return self._pick_by_weight()
        for _ in range(len(self._idle)):
            index = self._idle.popleft()
            if load[index] == 0:
                if not self._skipped_in_slow_start(index):
                    return index
                self._idle.append(index)
        return self._draw()

    def _pick_by_weight(self) -> int:
        load, weight = self.upstreams.load, self.upstreams.weight
        idle = [index for index in self._idle if load[index] == 0]
        if not idle:
            self._idle.clear()
            return self._draw()
        [chosen] = self.rng.choices(idle, [weight[index] for index in idle])
        self._idle = deque(index for index in idle if index != chosen)
        return chosen

    def finished(self, index: int, elapsed: float, now: float) -> None:
        if self.upstreams.load[index] == 0 and index in self._available:
            self._idle.append(index)
