"""2Q: a FIFO queue on probation in front of an LRU queue."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from policies.eviction.base import EvictionPolicy, eviction_policy
from policies.eviction.byte_queue import ByteQueue


@eviction_policy("two_q")
class TwoQ(EvictionPolicy):
    """Only objects that are asked for again after they left the first queue enter the LRU queue.

    A new object enters `inbox` (FIFO, a quarter of the bytes), where hits change nothing. A key that
    leaves it is remembered in `outbox` (keys only, of half the bytes). If it is asked for again it enters
    `main`, an LRU queue. While `inbox` exceeds its share its oldest object is evicted, otherwise that of
    `main`. Constant cost. T. Johnson, D. Shasha, "2Q: a low overhead high performance buffer management
    replacement algorithm", VLDB 1994 ("full version": A1in, A1out, Am), with its tuning. The hits equal
    those of libCacheSim's TwoQ, which refuses objects larger than `inbox`; here they pass through it.
    """

    INBOX_SHARE = 0.25
    OUTBOX_SHARE = 0.5

    def __init__(self, capacity: int, **kwargs: Any) -> None:
        super().__init__(capacity, **kwargs)
        self._inbox_capacity = int(capacity * self.INBOX_SHARE)
        self._outbox_capacity = int(capacity * self.OUTBOX_SHARE)
        self._inbox, self._outbox, self._main = ByteQueue(), ByteQueue(), ByteQueue()
        self._returns = False

    def touch(self, key: Hashable, now: float) -> None:
        if key in self._main:
            self._main.renew(key)

    def _announce(self, key: Hashable, size: int) -> None:
        self._returns = key in self._outbox  # checked now, because making room may push this key out
        if self._returns:
            self._outbox.remove(key)

    def _admit(self, key: Hashable, size: int, now: float) -> None:
        (self._main if self._returns else self._inbox).push(key, size)

    def _resize(self, key: Hashable, growth: int) -> None:
        (self._main if key in self._main else self._inbox).grow(key, growth)

    def _evict(self, now: float) -> Hashable:
        if self._main and self._inbox.used <= self._inbox_capacity:
            return self._main.pop_oldest()[0]
        key, size = self._inbox.pop_oldest()
        if size <= self._outbox_capacity:
            self._outbox.push(key, size)
            while self._outbox.used > self._outbox_capacity:
                self._outbox.pop_oldest()
        return key

    def _forget(self, key: Hashable) -> None:
        (self._main if key in self._main else self._inbox).remove(key)
