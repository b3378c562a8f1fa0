"""A queue of keys with a byte count, for policies with several queues."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, ItemsView


class ByteQueue:
    """Keys with sizes, from old to new. Constant cost.

    Attributes
    ----------
    used : int
        Bytes of all keys.
    """

    __slots__ = ("_sizes", "used")

    def __init__(self) -> None:
        self._sizes: OrderedDict[Hashable, int] = OrderedDict()
        self.used = 0

    def __contains__(self, key: Hashable) -> bool:
        return key in self._sizes

    def __len__(self) -> int:
        return len(self._sizes)

    def push(self, key: Hashable, size: int) -> None:
        """Add `key`, which must not be in the queue, as the newest."""
        self._sizes[key] = size
        self.used += size

    def renew(self, key: Hashable) -> None:
        """Make `key`, which must be in the queue, the newest."""
        self._sizes.move_to_end(key)

    def oldest(self) -> Hashable:
        """The oldest key; the queue must not be empty."""
        return next(iter(self._sizes))

    def items(self) -> ItemsView[Hashable, int]:
        """All keys with their sizes, from old to new."""
        return self._sizes.items()

    def pop_oldest(self) -> tuple[Hashable, int]:
        """Remove the oldest key and return it with its size; the queue must not be empty."""
        key, size = self._sizes.popitem(last=False)
        self.used -= size
        return key, size

    def remove(self, key: Hashable) -> int:
        """Remove `key`, which must be in the queue, and return its size."""
        size = self._sizes.pop(key)
        self.used -= size
        return size

    def grow(self, key: Hashable, growth: int) -> None:
        """Add `growth` bytes to the size of `key`, which must be in the queue."""
        self._sizes[key] += growth
        self.used += growth
