"""A z-test that is looked at again and again: what most tools do, and why it rolls good canaries back."""

from __future__ import annotations

from math import sqrt
from statistics import NormalDist


class PeekedZTest:
    """Compares the error rates of two arms every so many answers, as if each look were the only one.

    The pooled two-proportion z-test is right about one look at a time that was fixed before. With looks every
    hundred answers, a canary as good as the others is rolled back in three cases of ten within 60,000 answers
    (P. Armitage, C. McPherson, B. Rowe, "Repeated significance tests on accumulating data", Journal of the
    Royal Statistical Society A 132, 1969).

    Parameters
    ----------
    alpha : float
        Probability of a false alarm at each look, two-sided.
    every : int
        Answers between two looks.
    """

    def __init__(self, alpha: float, every: int) -> None:
        self._limit, self._every = NormalDist().inv_cdf(1.0 - alpha / 2.0), every
        self._answers, self._bad = [0, 0], [0, 0]
        self.worse = False

    def answered(self, is_canary: bool, bad: bool) -> None:
        """Take note of one answer."""
        self._answers[is_canary] += 1
        self._bad[is_canary] += bad
        if sum(self._answers) % self._every == 0 and self.z > self._limit:
            self.worse = True

    @property
    def z(self) -> float:
        """Standard errors by which the canary's error rate is above the others'; 0 if that is not known."""
        (stable, canary), (stable_bad, canary_bad) = self._answers, self._bad
        if not (stable and canary):
            return 0.0
        rate = (stable_bad + canary_bad) / (stable + canary)
        variance = rate * (1.0 - rate) * (1.0 / stable + 1.0 / canary)
        return (canary_bad / canary - stable_bad / stable) / sqrt(variance) if variance else 0.0
