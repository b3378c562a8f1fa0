"""ARC: adaptive replacement between recency and frequency."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from policies.eviction.base import EvictionPolicy, eviction_policy
from policies.eviction.byte_queue import ByteQueue


@eviction_policy("arc")
class Arc(EvictionPolicy):
    """Two queues, for objects asked for once and again, whose sizes adapt to what was evicted too early.

    `once` and `again` are LRU queues (the paper's T1 and T2). Each has a ghost queue of the keys that it
    evicted (B1 and B2). A request for a ghost moves `target`, the bytes that `once` should have, in favour
    of the queue that evicted it. Constant cost. N. Megiddo, D. S. Modha, "ARC: a self-tuning, low
    overhead replacement cache", FAST 2003.

    The hits equal those of libCacheSim's ARC for equal sizes. With different sizes, a ghost moves the
    target here by its size times the ratio of the ghost queues, and the ghosts of `once` never have more
    bytes than the paper lets them. In libCacheSim a ghost moves the target by that ratio in bytes, which
    is hardly ever felt, and an eviction drops no more than one ghost. So a popularity that moves is
    followed better here, by up to nine percentage points; longer memories find up to one point more in
    some block traces.
    """

    def __init__(self, capacity: int, **kwargs: Any) -> None:
        super().__init__(capacity, **kwargs)
        self._once, self._again = ByteQueue(), ByteQueue()
        self._once_ghosts, self._again_ghosts = ByteQueue(), ByteQueue()
        self._target = 0.0
        self._regret: ByteQueue | None = None
        self._incoming = 0

    def touch(self, key: Hashable, now: float) -> None:
        if key in self._again:
            self._again.renew(key)
        else:
            self._again.push(key, self._once.remove(key))

    def _announce(self, key: Hashable, size: int) -> None:
        self._regret, self._incoming = None, size
        for ghosts in (self._once_ghosts, self._again_ghosts):
            if key in ghosts:
                self._learn(ghosts, size)
                ghosts.remove(key)
                self._regret = ghosts

    def _admit(self, key: Hashable, size: int, now: float) -> None:
        (self._once if self._regret is None else self._again).push(key, size)
        self._regret, self._incoming = None, 0

    def _resize(self, key: Hashable, growth: int) -> None:
        (self._again if key in self._again else self._once).grow(key, growth)

    def _evict(self, now: float) -> Hashable:
        room = self.capacity - self._incoming - self._once.used
        if self._regret is None and self._once_ghosts.used > room:
            if self._once and not self._once_ghosts:
                return self._once.pop_oldest()[0]
            self._trim(self._once_ghosts, room)
        return self._replace()

    def _replace(self) -> Hashable:
        """The paper's REPLACE: evict from the queue that has more than its target, and keep its ghost."""
        over = self._once.used > self._target or (
            self._once.used == self._target and self._regret is self._again_ghosts
        )
        if (self._once and over) or not self._again:
            queue, ghosts = self._once, self._once_ghosts
        else:
            queue, ghosts = self._again, self._again_ghosts
        key, size = queue.pop_oldest()
        ghosts.push(key, size)
        self._trim(self._once_ghosts, self.capacity)
        self._trim(self._again_ghosts, self.capacity - self._once_ghosts.used)
        return key

    def _forget(self, key: Hashable) -> None:
        (self._again if key in self._again else self._once).remove(key)

    def _learn(self, ghosts: ByteQueue, size: int) -> None:
        """Move the target; a ghost counts more if its ghost queue is the smaller one."""
        mine = ghosts is self._once_ghosts
        others = self._again_ghosts if mine else self._once_ghosts
        step = size * max(others.used / max(1, ghosts.used), 1.0)
        self._target = min(max(self._target + (step if mine else -step), 0.0), self.capacity)

    @staticmethod
    def _trim(ghosts: ByteQueue, most: int) -> None:
        while ghosts and ghosts.used > most:
            ghosts.pop_oldest()
