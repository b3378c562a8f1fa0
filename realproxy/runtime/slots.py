"""Slots: how many requests are worked on at once, in a worker or while they await an upstream.

A request without a slot waits in a queue, not in a thread. If threads waited for slots, the requests
that hold the slots would find no thread to go on in.

Threads. Any thread may call; one lock guards all, and no call waits. `granted` is called under the lock,
which keeps the queue's order.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Slots(Generic[Item]):
    """Slots, granted in the order of the queue; `granted` gets an item with its slot and must not wait."""

    def __init__(self, limit: int, granted: Callable[[Item], None]) -> None:
        self.limit, self._taken, self._granted = limit, 0, granted
        self._queue: deque[Item] = deque()
        self._lock = threading.Lock()

    def adopt(self, limit: int) -> None:
        """Have another number of slots from now on."""
        with self._lock:
            self.limit = limit
            self._grant()

    @property
    def waiting(self) -> int:
        """Items in the queue."""
        return len(self._queue)

    def try_acquire(self) -> bool:
        """Take a slot if one is free."""
        with self._lock:
            free = self._taken < self.limit
            self._taken += free
        return free

    def enqueue(self, item: Item) -> None:
        """Have `granted` called for an item as soon as it is first in the queue and a slot is free."""
        with self._lock:
            self._queue.append(item)
            self._grant()

    def release(self) -> None:
        """Give a slot back."""
        with self._lock:
            self._taken -= 1
            self._grant()

    def drain(self) -> list[Item]:
        """Empty the queue without granting slots; returns its items."""
        with self._lock:
            items, self._queue = list(self._queue), deque()
        return items

    def _grant(self) -> None:
        while self._queue and self._taken < self.limit:
            self._taken += 1
            self._granted(self._queue.popleft())
