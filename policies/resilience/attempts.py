"""The attempts of one request: after a failure, is another upstream asked?"""

from __future__ import annotations

from collections.abc import Collection

from policies.resilience.budget import RetryBudget


class Attempts:
    """What one request may still try.

    A refused connection costs nobody anything, and nothing was sent: with `failover` the request
    goes on to the next upstream, whatever its method, once round all of them. Anything else that
    fails costs an attempt, and is only tried again if sending it twice does no harm.

    Parameters
    ----------
    most : int
        Attempts in all.
    budget : RetryBudget or None
        Pays for every attempt but the first.
    failover : bool
        Whether a refused connection costs no attempt while there are others to ask.

    Attributes
    ----------
    failed : list of int
        Upstreams that failed this request, in order.
    """

    __slots__ = ("_budget", "_failover", "_left", "failed")

    def __init__(self, most: int, budget: RetryBudget | None, failover: bool) -> None:
        self._left, self._budget, self._failover = most, budget, failover
        self.failed: list[int] = []
        if budget is not None:
            budget.requested()

    def again(self, *, refused: bool, repeatable: bool, available: Collection[int]) -> bool:
        """Whether to ask another upstream after a failure.

        Parameters
        ----------
        refused : bool
            Whether the connection was refused at once.
        repeatable : bool
            Whether the request may be sent again: nothing was sent, or its method is idempotent
            (RFC 9110, 9.2.2) and its body can be sent once more.
        available : collection of int
            Upstreams that may be picked.
        """
        if refused and self._failover and any(index not in self.failed for index in available):
            return True
        self._left -= 1
        if self._left <= 0 or not repeatable:
            return False
        return self._budget is None or self._budget.spend()
