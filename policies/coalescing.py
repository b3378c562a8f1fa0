"""Coalescing: while one request fetches an object, others for the same object wait for what it gets."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

Waiter = TypeVar("Waiter")


class Flights(Generic[Waiter]):
    """Who fetches, and who waits for whom (nginx's ``proxy_cache_lock``, Go's ``singleflight``).

    Whether the answer may be given to those who waited is for the caller to say.

    Notes
    -----
    Not locked: the real proxy calls it under its own lock, the simulator has one thread.
    """

    def __init__(self) -> None:
        self._waiting: dict[Hashable, list[Waiter]] = {}

    def join(self, key: Hashable, waiter: Waiter) -> bool:
        """``True`` if the caller is to fetch `key` and must call `landed`; else `waiter` waits."""
        waiting = self._waiting.get(key)
        if waiting is None:
            self._waiting[key] = []
            return True
        waiting.append(waiter)
        return False

    def landed(self, key: Hashable) -> list[Waiter]:
        """The fetch of `key` has ended, well or not: those who wait, in the order in which they came."""
        return self._waiting.pop(key)

    def leave(self, key: Hashable, waiter: Waiter) -> bool:
        """`waiter` waits no longer; ``False`` if the fetch had ended before."""
        waiting = self._waiting.get(key, [])
        if waiter not in waiting:
            return False
        waiting.remove(waiter)
        return True

    def __len__(self) -> int:
        return len(self._waiting)
