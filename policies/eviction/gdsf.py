"""GDSF: greedy dual, by size and frequency."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from policies.eviction.base import EvictionPolicy, eviction_policy
from policies.eviction.lowest_first import LowestFirst


@eviction_policy("gdsf")
class Gdsf(EvictionPolicy):
    """Evict the object with the fewest hits per byte: large objects that are rarely asked for.

    The value of an object is ``inflation + requests / size``, set at each request. The object with the
    lowest value is evicted, and its value becomes the inflation, so that objects that are no longer asked
    for fall behind. Ties are broken by the least recent request. Logarithmic cost, amortised.
    L. Cherkasova, "Improving WWW proxies performance with greedy-dual-size-frequency caching policy", HP
    Labs technical report HPL-98-69R1, 1998, with a cost of one per miss: it optimises the hit ratio, not
    the byte hit ratio.
    """

    def __init__(self, capacity: int, **kwargs: Any) -> None:
        super().__init__(capacity, **kwargs)
        self._inflation = 0.0
        self._requests = 0
        self._frequency: dict[Hashable, int] = {}
        self._value: LowestFirst[tuple[float, int]] = LowestFirst()

    def touch(self, key: Hashable, now: float) -> None:
        self._frequency[key] += 1
        self._set_value(key)

    def _admit(self, key: Hashable, size: int, now: float) -> None:
        self._frequency[key] = 1
        self._set_value(key)

    def _evict(self, now: float) -> Hashable:
        key, (self._inflation, _) = self._value.pop()
        del self._frequency[key]
        return key

    def _forget(self, key: Hashable) -> None:
        self._value.remove(key)
        del self._frequency[key]

    def _set_value(self, key: Hashable) -> None:
        self._requests += 1
        per_byte = self._frequency[key] / max(1, self._sizes[key])
        self._value.put(key, (self._inflation + per_byte, self._requests))
