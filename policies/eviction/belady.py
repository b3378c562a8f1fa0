"""Belady's MIN: the best that a cache could do if it knew the future."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from policies.eviction.base import EvictionPolicy, offline_policy
from policies.eviction.lowest_first import LowestFirst


def next_uses(keys: Sequence[Hashable]) -> list[int]:
    """For each request, the position of the next request for the same key.

    If there is none, a distinct number of at least ``len(keys)``.

    Examples
    --------
    >>> next_uses("abca")
    [3, 5, 6, 7]
    """
    count = len(keys)
    upcoming: dict[Hashable, int] = {}
    positions = [0] * count
    for position in range(count - 1, -1, -1):
        key = keys[position]
        positions[position] = upcoming.get(key, count + position)
        upcoming[key] = position
    return positions


@offline_policy("belady")
class Belady(EvictionPolicy):
    """Evict the object whose next request is the farthest away; an offline bound.

    With equal sizes, no policy that stores every miss has fewer misses. With different sizes it is a good
    bound, but not the best. Logarithmic cost, amortised. L. A. Belady, "A study of replacement
    algorithms for a virtual-storage computer", IBM Systems Journal 5(2), 1966.

    Parameters
    ----------
    capacity : int
        Bytes.
    next_use : sequence of int
        From `next_uses`. The requests must then come in exactly that order, each by `request` or by
        either `touch` or `insert`.
    """

    def __init__(self, capacity: int, next_use: Sequence[int], **kwargs: Any) -> None:
        super().__init__(capacity, **kwargs)
        self._next_use = iter(next_use)
        self._order: LowestFirst[int] = LowestFirst()

    def insert(self, key: Hashable, size: int, now: float) -> list[Hashable]:
        if size > self.capacity:
            next(self._next_use)
        return super().insert(key, size, now)

    def touch(self, key: Hashable, now: float) -> None:
        self._order.put(key, -next(self._next_use))

    def _admit(self, key: Hashable, size: int, now: float) -> None:
        self._order.put(key, -next(self._next_use))

    def _evict(self, now: float) -> Hashable:
        return self._order.pop()[0]

    def _forget(self, key: Hashable) -> None:
        self._order.remove(key)
