"""A rate limit."""

from __future__ import annotations


class TokenBucket:
    """Tokens arrive at a rate, a request takes one (J. Turner 1986, "New directions in communications").

    Parameters
    ----------
    rate : float
        Requests per second.
    burst : float, optional
        Tokens that can be saved up, at least one; by default those of one second. The bucket starts
        full.
    """

    def __init__(self, rate: float, burst: float | None = None) -> None:
        self._rate = rate
        self._most = max(1.0, rate if burst is None else burst)
        self._tokens, self._since = self._most, 0.0

    def allows(self, now: float) -> bool:
        """Whether a request may pass at `now`; if so, it takes a token."""
        passed = max(now - self._since, 0.0)
        self._tokens = min(self._tokens + passed * self._rate, self._most)
        self._since = now
        if self._tokens < 1.0 - 1e-9:  # ten times 0.1 is not exactly one in binary
            return False
        self._tokens -= 1.0
        return True

    def retry_after(self, now: float) -> float:
        """Seconds until there is a token, counted from the last `allows`."""
        return max((1.0 - self._tokens) / self._rate - max(now - self._since, 0.0), 0.0)
