"""LRU: least recently used."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from typing import Any

from policies.eviction.base import EvictionPolicy, eviction_policy


@eviction_policy("lru")
class Lru(EvictionPolicy):
    """Evict the object whose last request is the oldest.

    The sizes of the base class are kept in the order of the last request, so they are the queue. Constant
    cost per request; every hit writes to the queue. R. L. Mattson et al., "Evaluation techniques for
    storage hierarchies", IBM Systems Journal 9(2), 1970.
    """

    def __init__(self, capacity: int, **kwargs: Any) -> None:
        super().__init__(capacity, **kwargs)
        self._queue: OrderedDict[Hashable, int] = OrderedDict()
        self._sizes = self._queue

    def touch(self, key: Hashable, now: float) -> None:
        self._queue.move_to_end(key)

    def _admit(self, key: Hashable, size: int, now: float) -> None:
        pass

    def _evict(self, now: float) -> Hashable:
        return next(iter(self._queue))

    def _forget(self, key: Hashable) -> None:
        pass

    def _replay(self, keys: Sequence[Hashable], sizes: Sequence[int], times: Sequence[float]) -> list[bool]:
        queue, capacity, used = self._queue, self.capacity, self.used
        move_to_end, pop = queue.move_to_end, queue.popitem
        hits = []
        for key, size in zip(keys, sizes, strict=True):
            hit = key in queue and size <= capacity
            hits.append(hit)
            if hit:
                move_to_end(key)
            elif size > capacity:
                used -= queue.pop(key, 0)
            else:
                used += size
                while used > capacity:
                    used -= pop(last=False)[1]
                queue[key] = size
        self.used = used
        return hits
