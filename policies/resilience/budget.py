"""A retry budget: retries are a limited share of the requests, so that they cannot multiply an overload."""

from __future__ import annotations


class RetryBudget:
    """Retries that may be spent (counted as in Finagle and Linkerd).

    Parameters
    ----------
    share : float
        Retries that every request earns: 0.2 allows one retry per five requests.
    most : float
        Retries that can be saved up; the budget starts with as many.
    """

    def __init__(self, share: float, most: float = 10.0) -> None:
        self._share, self._most = share, most
        self._saved = most

    def requested(self) -> None:
        """A new request earns its share of a retry."""
        if self._saved < self._most:
            self._saved = min(self._saved + self._share, self._most)

    def spend(self) -> bool:
        """Take one retry; ``False`` if none is left."""
        if self._saved < 1.0 - 1e-9:  # five times 0.2 is not exactly one in binary
            return False
        self._saved -= 1.0
        return True
