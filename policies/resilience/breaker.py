"""A circuit breaker: after enough failures in a row, refuse at once instead of asking."""

from __future__ import annotations


class CircuitBreaker:
    """Closed, open, or half open (M. Nygard, "Release It!", 2007).

    Parameters
    ----------
    failures : int
        In a row, that open it.
    open_for : float
        Seconds until one request may try again. If that one succeeds the breaker closes, if it
        fails the breaker stays open as long again.
    """

    def __init__(self, failures: int, open_for: float) -> None:
        self._most, self._open_for = failures, open_for
        self._in_a_row = 0
        self._open_until: float | None = None
        self._trying = False

    def allows(self, now: float) -> bool:
        """Whether a request may be sent; who is allowed must call `ended`."""
        if self._open_until is None:
            return True
        if now < self._open_until or self._trying:
            return False
        self._trying = True
        return True

    def ended(self, failed: bool, now: float) -> None:
        """A request that was allowed ended."""
        if self._open_until is not None and not self._trying:
            return  # sent before the breaker opened
        if not failed:
            self._in_a_row, self._open_until, self._trying = 0, None, False
            return
        self._in_a_row += 1
        if self._trying or self._in_a_row >= self._most:
            self._open_until, self._trying = now + self._open_for, False

    def state(self, now: float) -> str:
        """``closed``, ``open`` or ``half open``."""
        if self._open_until is None:
            return "closed"
        return "open" if now < self._open_until else "half open"
