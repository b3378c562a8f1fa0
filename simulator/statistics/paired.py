"""Differences under common random numbers: both variants get the same requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.statistics.intervals import Estimate, estimate


@dataclass(frozen=True)
class PairedDifference(Estimate):
    """The mean of ``a - b`` over pairs of runs with the same requests.

    Attributes
    ----------
    variance_reduction : float
        By which factor independent runs would need more replications for the same interval; infinite if
        the differences do not vary.
    """

    variance_reduction: float

    @property
    def decided(self) -> bool:
        """Whether the interval excludes zero, so that one variant is better."""
        low, high = self.interval
        return low > 0 or high < 0


def paired_difference(
    a: Sequence[float] | NDArray[np.float64], b: Sequence[float] | NDArray[np.float64]
) -> PairedDifference:
    """The mean difference of paired values, with an interval.

    Raises
    ------
    ValueError
        With fewer than two pairs, or if the numbers of values differ.
    """
    one, other = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if len(one) != len(other):
        raise ValueError(f"expected as many values on both sides, not {len(one)} and {len(other)}")
    found = estimate(one - other)
    apart = one.var(ddof=1) + other.var(ddof=1)
    together = found.error**2 * len(one)
    reduction = float(apart / together) if together else float("inf")
    return PairedDifference(found.mean, found.error, found.freedom, reduction)
