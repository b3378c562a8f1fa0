"""How many requests are worked on at once: in a thread, or awaiting an upstream without one.

Threads. One lock; `take` alone waits, for as long as all places are taken.
"""

from __future__ import annotations

import threading

LOOK = 1.0
"""Seconds after which who waits looks for itself whether there is a place."""


class Places:
    """Places for requests.

    Parameters
    ----------
    limit : int
        How many there are.
    """

    def __init__(self, limit: int) -> None:
        self._limit, self._taken, self._waiting = limit, 0, 0
        self._lock = threading.Lock()
        self._free = threading.Condition(self._lock)

    @property
    def limit(self) -> int:
        """How many there are; may be changed at any time."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        with self._lock:
            self._limit = limit
            self._free.notify_all()

    @property
    def waiting(self) -> int:
        """How many wait for one."""
        return self._waiting

    def take_one_at_once(self) -> bool:
        """Take a place if one is free and nobody waits for it."""
        with self._lock:
            if self._taken + self._waiting >= self._limit:
                return False
            self._taken += 1
        return True

    def take(self) -> None:
        """Wait for a place and take it."""
        with self._lock:
            self._waiting += 1
            while self._taken >= self._limit:
                self._free.wait(LOOK)
            self._waiting -= 1
            self._taken += 1

    def give(self) -> None:
        """Give a place back."""
        with self._lock:
            self._taken -= 1
            if self._waiting:
                self._free.notify()
