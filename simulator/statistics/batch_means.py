"""Batch means: a confidence interval out of one long run.

Neighbours in a queue wait together, so their times are no independent values. Means of long
batches of neighbours nearly are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.statistics.intervals import Estimate, estimate


@dataclass(frozen=True)
class BatchMeans(Estimate):
    """The mean of one run's values, with an interval from its batches.

    Attributes
    ----------
    means : ndarray of float
        One per batch.
    lag1 : float
        Correlation of neighbouring batches. Far from zero, the batches are too short, and the
        interval is too narrow: `trusted` says so.
    """

    means: NDArray[np.float64]
    lag1: float

    @property
    def trusted(self) -> bool:
        """Whether neighbouring batches look independent (one-sided test at 1 %, von Neumann 1941)."""
        return self.lag1 < 2.326 / np.sqrt(len(self.means))


def batch_means(values: NDArray[np.float64], batches: int = 20) -> BatchMeans:
    """Batch means of values in the order of time.

    Parameters
    ----------
    values : ndarray of float
        Such as the response times of one run, warm-up removed.
    batches : int
        Batches of equal length; what is left over at the start is dropped. Between 10 and 30 are
        enough (B. Schmeiser, "Batch size effects in the analysis of simulation output", Operations
        Research 30(3), 1982).

    Raises
    ------
    ValueError
        If there are fewer than two batches, or not two values for each.
    """
    length = len(values) // max(batches, 1)
    if batches < 2 or length < 2:
        raise ValueError(f"expected at least two values for each of at least two batches, not {len(values)}")
    means = values[len(values) - batches * length :].reshape(batches, length).mean(axis=1)
    found = estimate(means)
    away = means - found.mean
    squares = float(np.dot(away, away))
    lag1 = float(np.dot(away[1:], away[:-1])) / squares if squares else 0.0
    return BatchMeans(found.mean, found.error, found.freedom, means, lag1)
