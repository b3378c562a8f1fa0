"""Random: every object has the same chance to be evicted."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from policies.eviction.base import EvictionPolicy, eviction_policy


@eviction_policy("random")
class UniformRandom(EvictionPolicy):
    """Evict any stored object, with equal probabilities. Constant cost; hits change nothing.

    In the long run its hit ratio equals FIFO's if requests are independent: E. Gelenbe, "A unified
    approach to the evaluation of a class of replacement algorithms", IEEE Trans. Computers 22, 1973.
    """

    def __init__(self, capacity: int, **kwargs: Any) -> None:
        super().__init__(capacity, **kwargs)
        self._keys: list[Hashable] = []
        self._place: dict[Hashable, int] = {}

    def touch(self, key: Hashable, now: float) -> None:
        pass

    def _admit(self, key: Hashable, size: int, now: float) -> None:
        self._place[key] = len(self._keys)
        self._keys.append(key)

    def _evict(self, now: float) -> Hashable:
        victim = self._keys[int(self.rng.random() * len(self._keys))]
        self._forget(victim)
        return victim

    def _forget(self, key: Hashable) -> None:
        place, last = self._place.pop(key), self._keys.pop()
        if last != key:
            self._keys[place] = last
            self._place[last] = place
