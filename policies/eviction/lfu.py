"""LFU: least frequently used."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

from policies.eviction.base import EvictionPolicy, eviction_policy


@eviction_policy("lfu")
class Lfu(EvictionPolicy):
    """Evict the object with the fewest requests since it was stored; ties by the least recent request.

    Counts are lost on eviction ("in-cache LFU"). Constant cost per request, with one queue per count.
    K. Shah, A. Mitra, D. Matani, "An O(1) algorithm for implementing the LFU cache eviction scheme", 2010.
    """

    def __init__(self, capacity: int, **kwargs: Any) -> None:
        super().__init__(capacity, **kwargs)
        self._count: dict[Hashable, int] = {}
        self._queues: dict[int, OrderedDict[Hashable, None]] = {}
        self._least = 1

    def touch(self, key: Hashable, now: float) -> None:
        count = self._leave(key)
        if count == self._least and count not in self._queues:
            self._least = count + 1
        self._join(key, count + 1)

    def _admit(self, key: Hashable, size: int, now: float) -> None:
        self._join(key, 1)
        self._least = 1

    def _evict(self, now: float) -> Hashable:
        if self._least not in self._queues:
            self._least = min(self._queues)
        victim = next(iter(self._queues[self._least]))
        self._leave(victim)
        return victim

    def _forget(self, key: Hashable) -> None:
        self._leave(key)

    def _join(self, key: Hashable, count: int) -> None:
        self._count[key] = count
        queue = self._queues.get(count)
        if queue is None:
            queue = self._queues[count] = OrderedDict()
        queue[key] = None

    def _leave(self, key: Hashable) -> int:
        count = self._count.pop(key)
        queue = self._queues[count]
        del queue[key]
        if not queue:
            del self._queues[count]
        return count
