"""SIEVE: a queue with one mark per object and a moving hand."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from typing import Any

from policies.eviction.base import EvictionPolicy, eviction_policy


@eviction_policy("sieve")
class Sieve(EvictionPolicy):
    """Evict the next object that was not asked for since the hand last passed it.

    New objects join at the head. The hand moves from tail to head, clears marks, evicts the first
    unmarked object and stays there; after the head it continues at the tail. The hand divides the queue
    into two FIFO queues: the objects that it has passed in this round, and those ahead of it. A hit only
    sets a mark. Amortised constant cost. Y. Zhang et al., "SIEVE is simpler than LRU", NSDI 2024.
    """

    def __init__(self, capacity: int, **kwargs: Any) -> None:
        super().__init__(capacity, **kwargs)
        self._passed: OrderedDict[Hashable, None] = OrderedDict()
        self._ahead: OrderedDict[Hashable, None] = OrderedDict()
        self._marked: set[Hashable] = set()

    def touch(self, key: Hashable, now: float) -> None:
        self._marked.add(key)

    def _admit(self, key: Hashable, size: int, now: float) -> None:
        self._ahead[key] = None

    def _evict(self, now: float) -> Hashable:
        key = self._ahead.popitem(last=False)[0]
        while key in self._marked:
            self._marked.remove(key)
            self._passed[key] = None
            self._wrap_around()
            key = self._ahead.popitem(last=False)[0]
        self._wrap_around()
        return key

    def _forget(self, key: Hashable) -> None:
        self._marked.discard(key)
        del (self._passed if key in self._passed else self._ahead)[key]
        self._wrap_around()

    def _wrap_around(self) -> None:
        """Continue at the tail after the head."""
        if not self._ahead:
            self._ahead, self._passed = self._passed, self._ahead

    def _replay(self, keys: Sequence[Hashable], sizes: Sequence[int], times: Sequence[float]) -> list[bool]:
        stored, marked, capacity, used = self._sizes, self._marked, self.capacity, self.used
        mark, unmark = marked.add, marked.remove
        hits = []
        for key, size in zip(keys, sizes, strict=True):
            hit = key in stored and size <= capacity
            hits.append(hit)
            if hit:
                mark(key)
            elif size > capacity:
                if key in stored:
                    self._forget(key)
                    used -= stored.pop(key)
            else:
                used += size
                while used > capacity:
                    victim = self._ahead.popitem(last=False)[0]
                    if victim in marked:
                        unmark(victim)
                        self._passed[victim] = None
                    else:
                        used -= stored.pop(victim)
                    if not self._ahead:
                        self._ahead, self._passed = self._passed, self._ahead
                stored[key] = size
                self._ahead[key] = None
        self.used = used
        return hits
