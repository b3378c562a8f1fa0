"""Clock: first in, first out, with a second chance."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

from policies.eviction.base import EvictionPolicy, eviction_policy


@eviction_policy("clock")
class Clock(EvictionPolicy):
    """Evict the oldest object that was not asked for since it was last considered.

    A hit only sets a mark. If the oldest object is marked, it loses the mark and moves to the end of the
    queue, as under the moving hand of a clock; the policy is also known as second chance or FIFO
    reinsertion. Amortised constant cost. F. J. Corbató, "A paging experiment with the Multics system",
    1968. The hits equal those of libCacheSim's Clock.
    """

    def __init__(self, capacity: int, **kwargs: Any) -> None:
        super().__init__(capacity, **kwargs)
        self._marked: OrderedDict[Hashable, bool] = OrderedDict()

    def touch(self, key: Hashable, now: float) -> None:
        self._marked[key] = True

    def _admit(self, key: Hashable, size: int, now: float) -> None:
        self._marked[key] = False

    def _evict(self, now: float) -> Hashable:
        while True:
            key, marked = self._marked.popitem(last=False)
            if not marked:
                return key
            self._marked[key] = False

    def _forget(self, key: Hashable) -> None:
        del self._marked[key]
