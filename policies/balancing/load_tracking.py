"""The base class of balancers that follow changes of load instead of looking at every upstream."""

from __future__ import annotations

import random
from abc import abstractmethod

from policies.balancing.base import Balancer, Upstreams


class LoadTracking(Balancer):
    """Learns which loads changed since the last pick.

    Between two picks, only the loads of the picked upstream and of those that finished change.
    """

    def __init__(self, upstreams: Upstreams, *, rng: random.Random) -> None:
        super().__init__(upstreams, rng=rng)
        self._loads: list[int] = []
        self._touched: list[int] = []

    def pick(self, key: str | None, now: float) -> int:
        if self._outdated():
            self._loads = list(self.upstreams.load)
            self._rebuild()
        else:
            loads, current = self._loads, self.upstreams.load
            for index in self._touched:
                before, after = loads[index], current[index]
                if before != after:
                    loads[index] = after
                    self._load_changed(index, before, after)
        chosen = self._choose(key)
        self._touched = [chosen]
        return chosen

    def started(self, index: int) -> None:
        self._touched.append(index)

    def finished(self, index: int, elapsed: float, now: float) -> None:
        self._touched.append(index)

    @abstractmethod
    def _rebuild(self) -> None:
        """Availability or weights changed: rebuild everything from all loads."""

    @abstractmethod
    def _load_changed(self, index: int, before: int, after: int) -> None:
        """Record that one upstream's load changed."""

    @abstractmethod
    def _choose(self, key: str | None) -> int:
        """The index of an available upstream."""
