"""How many requests are worked on at once: in a thread, or awaiting an upstream without one.

Who finds no place stands in line without a thread: were threads to wait for places, those who hold
the places and need a thread to go on would find none.

Threads. One lock; nobody waits. `granted` is called under it, so that the line keeps its order.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Guest = TypeVar("Guest")


class Slots(Generic[Guest]):
    """Places for requests, taken in the order in which they were asked for.

    Parameters
    ----------
    limit : int
        How many there are.
    granted : callable
        Takes who has a place now; must not wait.
    """

    def __init__(self, limit: int, granted: Callable[[Guest], None]) -> None:
        self._limit, self._taken, self._granted = limit, 0, granted
        self._line: deque[Guest] = deque()
        self._lock = threading.Lock()

    @property
    def limit(self) -> int:
        """How many there are; may be changed at any time."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        with self._lock:
            self._limit = limit
            self._grant()

    @property
    def waiting(self) -> int:
        """How many stand in line."""
        return len(self._line)

    def try_acquire(self) -> bool:
        """Take a place if one is free, and nobody waits for it."""
        with self._lock:
            free = self._taken < self._limit
            self._taken += free
        return free

    def enqueue(self, guest: Guest) -> None:
        """Have `granted` called for somebody as soon as a place is free and it is his turn."""
        with self._lock:
            self._line.append(guest)
            self._grant()

    def release(self) -> None:
        """Give a place back."""
        with self._lock:
            self._taken -= 1
            self._grant()

    def drain(self) -> list[Guest]:
        """Send all who stand in line away; returns them."""
        with self._lock:
            guests, self._line = list(self._line), deque()
        return guests

    def _grant(self) -> None:
        while self._line and self._taken < self._limit:
            self._taken += 1
            self._granted(self._line.popleft())
