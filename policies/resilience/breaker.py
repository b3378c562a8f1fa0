"""A circuit breaker: after enough consecutive failures, requests are refused at once."""

from __future__ import annotations

import math


class CircuitBreaker:
    """Closed, open, or half open (M. Nygard, "Release It!", 2007).

    Parameters
    ----------
    failures : int
        Consecutive failures that open it.
    open_for : float
        Seconds until one request may try again. If that request succeeds, the breaker closes; if it
        fails, the breaker stays open as long again.

    Notes
    -----
    Requests that began before the breaker last opened or closed say nothing about the service now. So
    their ends do not count, and none of them can end the trial.
    """

    def __init__(self, failures: int, open_for: float) -> None:
        self._most, self._open_for = failures, open_for
        self._in_a_row = 0
        self._open = self._trying = False
        self._since = -math.inf  # only requests that begin after this count

    def allows(self, now: float) -> bool:
        """Whether a request may be sent; if so, the caller must call `ended`."""
        if not self._open:
            return True
        if now < self._since or self._trying:
            return False
        self._trying = True
        return True

    def ended(self, failed: bool | None, began: float, now: float) -> None:
        """An allowed request has ended that began at `began`.

        Parameters
        ----------
        failed : bool or None
            None if the outcome is unknown, such as when the client left.
        began, now : float
            Seconds.
        """
        if began < self._since:
            return
        if failed is None:
            self._trying = False  # the next request is the trial
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
        """Seconds until the breaker may allow a request."""
        return max(self._since - now, 0.0) if self._open else 0.0
