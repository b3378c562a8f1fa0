"""How many objects fit into a cache, and how large a peer's cache must be to hold as many.

Our capacity counts bodies and `cache.overhead`. A peer counts pages, blocks or heads, too. A hit ratio
depends on the number of objects, so this number is what is kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from policies.settings.store import Cache

HEAD = 320
"""Bytes of a stored response's head, about, from the backends of a real run."""


def objects_in(cache: Cache, sizes: Sequence[int]) -> int:
    """How many objects of the mean size fit; at least one."""
    mean = sum(size + cache.overhead for size in sizes) / len(sizes)
    return max(1, min(cache.objects, int(cache.capacity / max(mean, 1.0))))


def room_for(cache: Cache, sizes: Sequence[int], cost: Callable[[int], int]) -> int:
    """Bytes that a peer's cache needs for as many objects, each of which costs it `cost` of its body."""
    return math.ceil(objects_in(cache, sizes) * sum(map(cost, sizes)) / len(sizes))


def in_blocks(size: int, block: int) -> int:
    """A size rounded up to whole blocks."""
    return -(-size // block) * block
