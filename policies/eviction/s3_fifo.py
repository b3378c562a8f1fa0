"""S3-FIFO: three first-in-first-out queues."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

from policies.eviction.base import EvictionPolicy, eviction_policy


@eviction_policy("s3_fifo")
class S3Fifo(EvictionPolicy):
    """Let objects that are asked for only once pass through a small queue, not through the main one.

    A new key enters `small` (a tenth of the bytes). It enters `main` instead if the ghost queue remembers
    it, or if `small` is full and nothing was evicted yet. A key that leaves `small` moves to `main` if it
    was asked for at least twice; otherwise it is evicted and remembered as a ghost. A key that leaves
    `main` is reinserted with its count reduced by one, unless the count is zero. Amortised constant cost;
    a hit only raises a count of at most 3. The ghosts are bounded by the bytes that they had: nine tenths
    of the capacity. J. Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023, in the
    order of the authors' code (``S3FIFO.c`` of libCacheSim). That code refuses objects that are not
    smaller than `small`; here they pass through it.
    """

    SMALL_SHARE = 0.1
    GHOST_SHARE = 0.9
    MOVE_AT = 2
    MOST = 3

    def __init__(self, capacity: int, **kwargs: Any) -> None:
        super().__init__(capacity, **kwargs)
        self._small_capacity = int(capacity * self.SMALL_SHARE)
        self._main_capacity = capacity - self._small_capacity
        self._ghost_capacity = int(capacity * self.GHOST_SHARE)
        self._small: OrderedDict[Hashable, int] = OrderedDict()  # the values are the counts
        self._main: OrderedDict[Hashable, int] = OrderedDict()
        self._ghost: OrderedDict[Hashable, int] = OrderedDict()
        self._main_used = self._ghost_used = 0
        self._filling = True
        self._returns = False

    def touch(self, key: Hashable, now: float) -> None:
        queue = self._main if key in self._main else self._small
        count = queue[key]
        if count < self.MOST:
            queue[key] = count + 1

    def _announce(self, key: Hashable, size: int) -> None:
        self._returns = key in self._ghost  # checked now, because making room may push this ghost out
        if self._returns:
            self._ghost_used -= self._ghost.pop(key)

    def _admit(self, key: Hashable, size: int, now: float) -> None:
        small_used = self.used - size - self._main_used
        if self._returns or (self._filling and small_used >= self._small_capacity):
            self._enter_main(key)
        else:
            self._small[key] = 0

    def _resize(self, key: Hashable, growth: int) -> None:
        if key in self._main:
            self._main_used += growth

    def _evict(self, now: float) -> Hashable:
        self._filling = False
        if self._main_used <= self._main_capacity:
            while self._small:
                key, count = self._small.popitem(last=False)
                if count < self.MOVE_AT:
                    self._remember(key)
                    return key
                self._enter_main(key)
        while True:
            key, count = self._main.popitem(last=False)
            if count == 0:
                self._main_used -= self._sizes[key]
                return key
            self._main[key] = count - 1

    def _forget(self, key: Hashable) -> None:
        if key in self._main:
            del self._main[key]
            self._main_used -= self._sizes[key]
        else:
            del self._small[key]

    def _enter_main(self, key: Hashable) -> None:
        self._main[key] = 0
        self._main_used += self._sizes[key]

    def _remember(self, key: Hashable) -> None:
        size = self._sizes[key]
        if size > self._ghost_capacity:
            return
        self._ghost[key] = size
        self._ghost_used += size
        while self._ghost_used > self._ghost_capacity:
            self._ghost_used -= self._ghost.popitem(last=False)[1]
