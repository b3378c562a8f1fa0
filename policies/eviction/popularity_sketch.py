"""Counts of recent requests in little memory: the sketch of the TinyLFU paper."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Hashable
from hashlib import blake2b

_32_BITS = 2**32 - 1


def two_hashes(key: Hashable) -> tuple[int, int]:
    """Two pseudo-random 32-bit numbers, the same for equal keys in every process."""
    digest = int.from_bytes(blake2b(repr(key).encode(), digest_size=8).digest(), "big")
    return digest >> 32, digest & _32_BITS


class PopularitySketch:
    """Approximate counts of requests: never too low, and too high if keys share counters.

    A counting Bloom filter: a request increments a few counters, which the hashes of its key choose, and
    the lowest of them is the key's count. G. Einziger, R. Friedman, B. Manes, "TinyLFU: a highly
    efficient cache admission policy", ACM Transactions on Storage 13(4), 2017, without its doorkeeper;
    the filter is that of L. Fan, P. Cao, J. Almeida, A. Z. Broder, "Summary cache", IEEE/ACM Transactions
    on Networking 8(3), 2000; many hashes from two are by A. Kirsch, M. Mitzenmacher, "Less hashing, same
    performance", ESA 2006. The hashes are the main cost.

    Parameters
    ----------
    counters : int
        For all keys together. Caffeine, the authors' cache in Java, has 16 per object that fits.
    hashes : int
        Counters per key.
    most : int
        Largest value of a counter.
    sample : int, optional
        Requests until a halving; the count of requests is halved too, as in the paper. By default ten
        for each sixteen counters. With 0, only calls of `halve` age the counts.
    hashed : callable
        Returns two 32-bit numbers for a key.

    Examples
    --------
    >>> sketch = PopularitySketch(counters=1_000)
    >>> for key in ["a", "b", "a"]:
    ...     sketch.add(key)
    >>> sketch["a"], sketch["b"], sketch["c"]
    (2, 1, 0)
    """

    def __init__(
        self,
        counters: int,
        *,
        hashes: int = 4,
        most: int = 15,
        sample: int | None = None,
        hashed: Callable[[Hashable], tuple[int, int]] = two_hashes,
    ) -> None:
        if counters < hashes or hashes < 1:
            raise ValueError(f"expected a hash or more, and as many counters, not {hashes} and {counters}")
        self._counters = array("I", [0]) * counters
        self._hashes = range(hashes)
        self._most = most
        self._sample = counters * 10 // 16 if sample is None else sample
        self._hashed = hashed
        self._asked = 0

    def __getitem__(self, key: Hashable) -> int:
        counters = self._counters
        return min([counters[place] for place in self._places(key)])

    def add(self, key: Hashable, stored: int = 0) -> None:
        """Count a request for `key`; `stored` is ignored, for the size of the sketch is fixed."""
        counters, most = self._counters, self._most
        for place in self._places(key):
            if counters[place] < most:
                counters[place] += 1
        self._asked += 1
        if self._sample and self._asked >= self._sample:
            self._asked //= 2
            self.halve()

    def halve(self) -> None:
        """Halve all counts."""
        self._counters = array("I", [count >> 1 for count in self._counters])

    def _places(self, key: Hashable) -> list[int]:
        first, second = self._hashed(key)
        counters = len(self._counters)
        return [(first + number * second & _32_BITS) % counters for number in self._hashes]
