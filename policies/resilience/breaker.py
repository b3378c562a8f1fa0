"""A circuit breaker: after enough failures in a row, refuse at once instead of asking."""

from __future__ import annotations

import math


class CircuitBreaker:
    """Closed, open, or half open (M. Nygard, "Release It!", 2007).

    Parameters
    ----------
    failures : int
        In a row, that open it.
    open_for : float
        Seconds until one request may try again. If that one succeeds the breaker closes, if it
        fails the breaker stays open as long again.

    Notes
    -----
    Requests that were sent before the breaker last opened or closed say nothing about the service
    as it is now: their ends do not count, above all not as the trial's.
    """

    def __init__(self, failures: int, open_for: float) -> None:
        self._most, self._open_for = failures, open_for
        self._in_a_row = 0
        self._open = self._trying = False
        self._since = -math.inf  # what is sent from then on counts

    def allows(self, now: float) -> bool:
        """Whether a request may be sent; who is allowed must call `ended`."""
        if not self._open:
            return True
        if now < self._since or self._trying:
            return False
        self._trying = True
        return True

    def ended(self, failed: bool | None, began: float, now: float) -> None:
        """A request that was allowed, when it was `began`, has ended; ``None``: nobody knows how."""
        if began < self._since:
            return
        if failed is None:
            self._trying = False  # another one is to find out
            return
        if not failed:
            self._in_a_row = 0
            if self._open:
                self._open, self._trying, self._since = False, False, now
            return
        self._in_a_row += 1
        if self._open or self._in_a_row >= self._most:
            self._open, self._trying, self._since = True, False, now + self._open_for

    def state(self, now: float) -> str:
        """``closed``, ``open`` or ``half open``."""
        if not self._open:
            return "closed"
        return "open" if now < self._since else "half open"

    def retry_after(self, now: float) -> float:
        """Seconds until it is worth while to ask again."""
        return max(self._since - now, 0.0) if self._open else 0.0
