"""FIFO: first in, first out."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

from policies.eviction.base import EvictionPolicy, eviction_policy


@eviction_policy("fifo")
class Fifo(EvictionPolicy):
    """Evict the object that was stored first; hits change nothing.

    Constant cost per request, and hits need no lock. The baseline of L. A. Belady, "A study of
    replacement algorithms for a virtual-storage computer", IBM Systems Journal 5(2), 1966.
    """

    def __init__(self, capacity: int, **kwargs: Any) -> None:
        super().__init__(capacity, **kwargs)
        self._queue: OrderedDict[Hashable, None] = OrderedDict()

    def touch(self, key: Hashable, now: float) -> None:
        pass

    def _admit(self, key: Hashable, size: int, now: float) -> None:
        self._queue[key] = None

    def _evict(self, now: float) -> Hashable:
        return self._queue.popitem(last=False)[0]

    def _forget(self, key: Hashable) -> None:
        del self._queue[key]
