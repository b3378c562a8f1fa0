"""A retry budget: retries are a share of the requests, so that they cannot multiply an overload."""

from __future__ import annotations


class RetryBudget:
    """Retries that may be spent (as Finagle's and Linkerd's budgets count them).

    Parameters
    ----------
    share : float
        Retries that every request pays for: 0.2 allows one for five requests.
    most : float
        Retries that can be saved up; the budget begins with as many.
    """

    def __init__(self, share: float, most: float = 10.0) -> None:
        self._share, self._most = share, most
        self._saved = most

    def requested(self) -> None:
        """A request came, for the first time."""
        self._saved = min(self._saved + self._share, self._most)

    def spend(self) -> bool:
        """Take one retry; ``False`` if there is none left."""
        if self._saved < 1.0 - 1e-9:  # five fifths in binary are not quite one
            return False
        self._saved -= 1.0
        return True
