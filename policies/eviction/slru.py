"""SLRU: segmented LRU."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Any

from policies.eviction.base import EvictionPolicy, eviction_policy
from policies.eviction.byte_queue import ByteQueue


class Segments:
    """LRU queues above each other: a hit moves a key up by one, an overflow moves one down.

    Parameters
    ----------
    capacities : sequence of int
        Bytes of each segment, lowest first. The lowest capacity only matters for new keys; the caller
        keeps the sum within bounds.

    Attributes
    ----------
    used : int
        Bytes of all segments.
    """

    def __init__(self, capacities: Sequence[int]) -> None:
        self._capacities = list(capacities)
        self._queues = [ByteQueue() for _ in capacities]
        self._level: dict[Hashable, int] = {}
        self.used = 0

    def __contains__(self, key: Hashable) -> bool:
        return key in self._level

    def push(self, key: Hashable, size: int) -> None:
        """Add `key` to the lowest segment that has room for it; to the lowest of all if none has."""
        for level, queue in enumerate(self._queues):
            if queue.used + size <= self._capacities[level]:
                break
        else:
            level = 0
        self._level[key] = level
        self._queues[level].push(key, size)
        self.used += size

    def lift(self, key: Hashable) -> None:
        """A request for `key`: move it up."""
        level = self._level[key]
        if level == len(self._queues) - 1:
            self._queues[level].renew(key)
            return
        size = self._queues[level].remove(key)
        level += 1
        self._level[key] = level
        self._queues[level].push(key, size)
        self._sink(level)

    def victim(self) -> Hashable | None:
        """The oldest key of the lowest segment that is not empty; ``None`` if all are empty."""
        for queue in self._queues:
            if queue:
                return queue.oldest()
        return None

    def oldest_first(self) -> Iterator[tuple[Hashable, int]]:
        """Keys and sizes in the order of eviction, if nothing more is asked for."""
        for queue in self._queues:
            yield from queue.items()

    def remove(self, key: Hashable) -> None:
        """Remove `key`, which must be stored."""
        self.used -= self._queues[self._level.pop(key)].remove(key)

    def grow(self, key: Hashable, growth: int) -> None:
        """Add `growth` bytes to the size of `key`, which must be stored."""
        level = self._level[key]
        self._queues[level].grow(key, growth)
        self.used += growth
        self._sink(level)

    def _sink(self, level: int) -> None:
        while level and self._queues[level].used > self._capacities[level]:
            key, size = self._queues[level].pop_oldest()
            self._level[key] = level - 1
            self._queues[level - 1].push(key, size)
            if self._queues[level].used <= self._capacities[level]:
                level -= 1


@eviction_policy("slru")
class Slru(EvictionPolicy):
    """Four LRU queues above each other; evict the oldest object of the lowest.

    A hit moves an object up by one queue, and the oldest of that queue then moves down if it overflows; a
    scan only passes through the lowest queue. Constant cost. R. Karedla, J. S. Love, B. G. Wherry,
    "Caching strategies to improve disk system performance", IEEE Computer 27(3), 1994, has two segments.
    Four equal ones are libCacheSim's, with the same hits if the capacity is a multiple of four. Otherwise
    the remainder belongs to the lowest segment here; in libCacheSim it belongs to none, and a hit may
    evict.
    """

    SEGMENTS = 4

    def __init__(self, capacity: int, **kwargs: Any) -> None:
        super().__init__(capacity, **kwargs)
        share = capacity // self.SEGMENTS
        upper = [share] * (self.SEGMENTS - 1)
        self._segments = Segments([capacity - sum(upper), *upper])

    def touch(self, key: Hashable, now: float) -> None:
        self._segments.lift(key)

    def _admit(self, key: Hashable, size: int, now: float) -> None:
        self._segments.push(key, size)

    def _resize(self, key: Hashable, growth: int) -> None:
        self._segments.grow(key, growth)

    def _evict(self, now: float) -> Hashable:
        victim = self._segments.victim()
        self._segments.remove(victim)
        return victim

    def _forget(self, key: Hashable) -> None:
        self._segments.remove(key)
