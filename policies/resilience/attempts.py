"""The attempts of one request: whether another upstream is asked after a failure."""

from __future__ import annotations

from collections.abc import Collection

from policies.resilience.budget import RetryBudget


class Attempts:
    """What one request may still try.

    A refused connection costs nothing, because nothing was sent. With `failover`, the request then goes
    to the next upstream, regardless of its method, until all have refused it. Any other failure costs an
    attempt, and the request is only repeated if that does no harm.

    Parameters
    ----------
    most : int
        Attempts in all.
    budget : RetryBudget or None
        Pays for every attempt after the first.
    failover : bool
        Whether a refused connection costs no attempt while other upstreams are left.
    codes : collection of int, optional
        The statuses that may be repeated; all by default.
    earned : bool
        Whether the request has earned its share of a retry already, by a call of `RetryBudget.requested`:
        a caller that makes the attempts of a request only after its first failure sees to that itself.

    Attributes
    ----------
    failed : list of int
        Upstreams that failed this request, in order.
    retries : int
        Attempts that were allowed after a failure and cost one.
    """

    __slots__ = ("_budget", "_codes", "_failover", "_left", "failed", "retries")

    def __init__(
        self, most: int, budget: RetryBudget | None, failover: bool, codes: Collection[int] | None = None,
        *, earned: bool = False,
    ) -> None:  # fmt: skip
        self._left, self._budget, self._failover, self._codes = most, budget, failover, codes
        self.retries = 0
        self.failed: list[int] = []
        if budget is not None and not earned:
            budget.requested()

    def again(self, *, refused: bool, repeatable: bool, available: Collection[int], status: int = 0) -> bool:
        """Whether to ask another upstream after a failure.

        Parameters
        ----------
        refused : bool
            Whether the connection was refused at once.
        repeatable : bool
            Whether the request may be sent again: nothing was sent, or its method is idempotent (RFC
            9110, 9.2.2) and its body can be sent once more.
        available : collection of int
            Upstreams that may be picked.
        status : int
            Of the response, or of the error that stands for it; 0 if it is not known.
        """
        if refused and self._failover and any(index not in self.failed for index in available):
            return True
        self._left -= 1
        if self._left <= 0 or not repeatable:
            return False
        if self._codes is not None and status and not refused and status not in self._codes:
            return False
        if self._budget is not None and not self._budget.spend():
            return False
        self.retries += 1
        return True
