"""The mean of independent values, with a confidence interval and a z-test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_T95 = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
        2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
        2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042]  # fmt: skip


def student_t95(freedom: int) -> float:
    """The two-sided 95 % quantile of Student's t; above 30 degrees by the Cornish-Fisher expansion."""
    if freedom <= len(_T95):
        return _T95[freedom - 1]
    z = 1.959964
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


@dataclass(frozen=True)
class Estimate:
    """A mean and its uncertainty.

    Attributes
    ----------
    mean : float
    error : float
        Standard error of the mean.
    freedom : int
        Degrees of freedom: independent values minus one.
    """

    mean: float
    error: float
    freedom: int

    @property
    def half_width(self) -> float:
        """Half of the width of the 95 % confidence interval."""
        return student_t95(self.freedom) * self.error

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % confidence interval."""
        return self.mean - self.half_width, self.mean + self.half_width

    def z_score(self, expected: float) -> float:
        """Standard errors by which the mean exceeds `expected`; infinite if the values do not vary."""
        away = self.mean - expected
        if self.error == 0:
            return 0.0 if away == 0 else float(np.copysign(np.inf, away))
        return away / self.error


def estimate(values: Sequence[float] | NDArray[np.float64]) -> Estimate:
    """The mean of independent `values`, such as one figure of several replications.

    Raises
    ------
    ValueError
        With fewer than two values.
    """
    array = np.asarray(values, dtype=np.float64)
    if len(array) < 2:
        raise ValueError("a confidence interval needs at least two replications or other independent values")
    return Estimate(float(array.mean()), float(array.std(ddof=1) / np.sqrt(len(array))), len(array) - 1)
