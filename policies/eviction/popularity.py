"""Counts of recent requests per key, for TinyLFU."""

from __future__ import annotations

from collections.abc import Hashable


class Popularity:
    """Counts of recent requests, up to 15; they are halved regularly, so that old popularity fades.

    They are halved after sixteen requests for each stored object. Keys whose count becomes zero are
    forgotten, which bounds the memory to about as many keys. G. Einziger, R. Friedman, B. Manes,
    "TinyLFU: a highly efficient cache admission policy", ACM Transactions on Storage 13(4), 2017, keeps
    the counts in a sketch, as `PopularitySketch` does; here they are exact. Amortised constant cost.
    """

    SAMPLE = 16
    MOST = 15

    def __init__(self) -> None:
        self._count: dict[Hashable, int] = {}
        self._asked = 0

    def __getitem__(self, key: Hashable) -> int:
        return self._count.get(key, 0)

    def add(self, key: Hashable, stored: int) -> None:
        """Count a request for `key` to a cache that holds `stored` objects."""
        count = self._count.get(key, 0)
        if count < self.MOST:
            self._count[key] = count + 1
        self._asked += 1
        if self._asked >= self.SAMPLE * max(stored, 10):
            self._asked //= 2
            self.halve()

    def halve(self) -> None:
        """Halve all counts."""
        self._count = {key: count >> 1 for key, count in self._count.items() if count > 1}
