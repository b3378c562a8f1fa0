"""LRU-K: the K-th last request counts instead of the last."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

from policies.eviction.base import EvictionPolicy, eviction_policy
from policies.eviction.lowest_first import LowestFirst


@eviction_policy("lru_k")
class LruK(EvictionPolicy):
    """Evict the object whose K-th last request (K = 2) is the oldest.

    Objects with fewer than K requests go first, in the order in which they came. The history of an evicted
    object is kept for a while: of as many keys as are stored (the paper's retained information period;
    `RETAINED` = 0 gives libCacheSim's LRUK, which forgets). Requests never count as correlated.
    Logarithmic cost per miss, amortised. E. J. O'Neil, P. E. O'Neil, G. Weikum, "The LRU-K page
    replacement algorithm for database disk buffering", SIGMOD 1993.
    """

    K = 2
    RETAINED = 1.0

    def __init__(self, capacity: int, **kwargs: Any) -> None:
        super().__init__(capacity, **kwargs)
        self._requests = 0
        self._times: dict[Hashable, tuple[int, ...]] = {}
        self._retained: OrderedDict[Hashable, tuple[int, ...]] = OrderedDict()
        self._order: LowestFirst[tuple[bool, int]] = LowestFirst()

    def touch(self, key: Hashable, now: float) -> None:
        self._ask(key, self._times[key])

    def _admit(self, key: Hashable, size: int, now: float) -> None:
        self._ask(key, self._retained.pop(key, ()))

    def _evict(self, now: float) -> Hashable:
        key, _ = self._order.pop()
        self._retained[key] = self._times.pop(key)
        while len(self._retained) > self.RETAINED * len(self):
            self._retained.popitem(last=False)
        return key

    def _forget(self, key: Hashable) -> None:
        self._order.remove(key)
        del self._times[key]

    def _ask(self, key: Hashable, earlier: tuple[int, ...]) -> None:
        """Record one more request for `key`, after the earlier ones; requests are numbered."""
        self._requests += 1
        times = self._times[key] = (*earlier, self._requests)[-self.K :]
        self._order.put(key, (len(times) == self.K, times[0]))
