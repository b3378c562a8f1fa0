"""How often keys were asked for, in little memory: the counts of TinyLFU as its paper keeps them."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Hashable
from hashlib import blake2b

_32_BITS = 2**32 - 1


def two_hashes(key: Hashable) -> tuple[int, int]:
    """Two numbers of 32 bits that look random, and are the same for equal keys in every process."""
    digest = int.from_bytes(blake2b(repr(key).encode(), digest_size=8).digest(), "big")
    return digest >> 32, digest & _32_BITS


class PopularitySketch:
    """Counts of requests that share counters: never too low, and the more too high the more keys there are.

    A counting Bloom filter: a request raises a few counters, which its key's hashes choose, and the
    lowest of them is the key's count. G. Einziger, R. Friedman, B. Manes, "TinyLFU: a highly
    efficient cache admission policy", ACM Transactions on Storage 13(4), 2017, without its doorkeeper;
    the filter is of L. Fan, P. Cao, J. Almeida, A. Z. Broder, "Summary cache", IEEE/ACM Transactions on
    Networking 8(3), 2000, and many hashes from two are of A. Kirsch, M. Mitzenmacher, "Less hashing,
    same performance", ESA 2006. The cost is that of the hashes.

    Parameters
    ----------
    counters : int
        For all keys together. Caffeine, the authors' cache in Java, has 16 for each object that fits.
    hashes : int
        Counters of a key.
    most : int
        Where a counter stays.
    sample : int, optional
        Requests from one halving to the next, or to half of it, as the paper counts; by default ten
        for each sixteen counters. With 0, only `halve` ages the counts.
    hashed : callable
        Two whole numbers of 32 bits from a key.

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
        """`key` was asked for; the sketch has its size, whatever is stored."""
        counters, most = self._counters, self._most
        for place in self._places(key):
            if counters[place] < most:
                counters[place] += 1
        self._asked += 1
        if self._sample and self._asked >= self._sample:
            self._asked //= 2
            self.halve()

    def halve(self) -> None:
        """Let half of all counts be forgotten."""
        self._counters = array("I", [count >> 1 for count in self._counters])

    def _places(self, key: Hashable) -> list[int]:
        first, second = self._hashed(key)
        counters = len(self._counters)
        return [(first + number * second & _32_BITS) % counters for number in self._hashes]
