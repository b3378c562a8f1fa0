"""Wald's sequential probability ratio test of an error rate, which decides as early as any test can."""

from __future__ import annotations

from math import log

ACCEPTABLE = "acceptable"
WORSE = "worse"


class Sprt:
    """Decides between two error rates, one answer at a time.

    A. Wald, "Sequential tests of statistical hypotheses", Annals of Mathematical Statistics 16, 1945.

    Parameters
    ----------
    good, bad : float
        The two rates, ``0 < good < bad < 1``.
    alpha : float
        Probability to call `good` worse, at most about.
    beta : float
        Probability to call `bad` acceptable, at most about.

    Attributes
    ----------
    log_ratio : float
        Logarithm of the likelihood of `bad` over that of `good`.
    upper, lower : float
        The bounds of `log_ratio`, by Wald: ``ln((1-β)/α)`` and ``ln(β/(1-α))``.
    """

    def __init__(self, good: float, bad: float, alpha: float = 0.05, beta: float = 0.05) -> None:
        self.step_error, self.step_success = log(bad / good), log((1.0 - bad) / (1.0 - good))
        self.upper, self.lower = log((1.0 - beta) / alpha), log(beta / (1.0 - alpha))
        self.log_ratio = 0.0

    def answered(self, failed: bool) -> None:
        """Take note of one answer."""
        self.log_ratio += self.step_error if failed else self.step_success

    @property
    def verdict(self) -> str | None:
        """`WORSE` or `ACCEPTABLE` once a bound is reached, else None."""
        if self.log_ratio >= self.upper:
            return WORSE
        return ACCEPTABLE if self.log_ratio <= self.lower else None
