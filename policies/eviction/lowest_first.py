"""A priority queue of keys whose ranks may change, lowest rank first."""

from __future__ import annotations

from collections.abc import Hashable
from heapq import heapify, heappop, heappush, heapreplace
from typing import Generic, TypeVar

Rank = TypeVar("Rank", int, tuple[float, int], tuple[bool, int])


class LowestFirst(Generic[Rank]):
    """A priority queue of keys.

    A higher rank costs nothing until the key reaches the top of the heap; it then sinks to its place. A
    new key or a lower rank costs one push, logarithmic. Ranks must be unique. Invalid heap entries are
    removed when they are more than half of the heap.
    """

    def __init__(self) -> None:
        self._rank: dict[Hashable, Rank] = {}
        self._heap: list[tuple[Rank, Hashable]] = []

    def __getitem__(self, key: Hashable) -> Rank:
        return self._rank[key]

    def put(self, key: Hashable, rank: Rank) -> None:
        """Set the rank of `key`, which may be new."""
        old = self._rank.get(key)
        self._rank[key] = rank
        if old is None or rank < old:
            heappush(self._heap, (rank, key))
            if len(self._heap) > 2 * len(self._rank) + 64:
                self._heap = [(rank, key) for key, rank in self._rank.items()]
                heapify(self._heap)

    def remove(self, key: Hashable) -> None:
        """Remove `key`, which must be in the queue."""
        del self._rank[key]

    def pop(self) -> tuple[Hashable, Rank]:
        """Remove the key with the lowest rank and return both; the queue must not be empty."""
        heap, ranks = self._heap, self._rank
        while True:
            rank, key = heap[0]
            current = ranks.get(key)
            if current is None:
                heappop(heap)
            elif current == rank:
                heappop(heap)
                del ranks[key]
                return key, rank
            else:
                heapreplace(heap, (current, key))
