"""A queue of keys that knows how many bytes it holds: what segmented policies are built from."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable


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
        """Add `key`, which is not here, as the newest."""
        self._sizes[key] = size
        self.used += size

    def renew(self, key: Hashable) -> None:
        """Make `key`, which is here, the newest."""
        self._sizes.move_to_end(key)

    def oldest(self) -> Hashable:
        """The key that came or was renewed longest ago; there must be one."""
        return next(iter(self._sizes))

    def pop_oldest(self) -> tuple[Hashable, int]:
        """Take out the oldest key, with its size; there must be one."""
        key, size = self._sizes.popitem(last=False)
        self.used -= size
        return key, size

    def remove(self, key: Hashable) -> int:
        """Take out `key`, which is here; returns its size."""
        size = self._sizes.pop(key)
        self.used -= size
        return size

    def grow(self, key: Hashable, growth: int) -> None:
        """`key`, which is here, grew by `growth` bytes."""
        self._sizes[key] += growth
        self.used += growth
