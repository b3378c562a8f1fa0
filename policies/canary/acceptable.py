"""An absolute rule for promotion: evidence that a canary fails more rarely than is acceptable."""

from __future__ import annotations

from math import exp, log

BETTER = 10.0
"""The evidence is measured at an error rate that is this many times lower than the acceptable one."""


class AcceptableErrors:
    """Evidence that an arm fails less often than `limit`; it needs no errors to grow.

    Without errors, `WhoseError` learns nothing. This is a likelihood ratio of the error rate ``limit/10`` to
    `limit`. If the true rate is `limit` or more, it reaches 1/β with probability β at most (Ville 1939). With
    ``limit = 0.01`` and β = 0.05, a canary that never fails needs 332 answers.

    Parameters
    ----------
    limit : float
        An error rate above 0 and below 1.
    """

    def __init__(self, limit: float) -> None:
        rate = limit / BETTER
        self._failed, self._succeeded = log(rate / limit), log((1.0 - rate) / (1.0 - limit))
        self._log = 0.0

    def answered(self, failed: bool) -> None:
        """Take note of one answer of the canary."""
        self._log += self._failed if failed else self._succeeded

    @property
    def evidence(self) -> float:
        """At 1/β or above, the arm fails less often than `limit`."""
        return exp(min(self._log, 700.0))
