"""Batch means: a confidence interval from one long run.

Requests that are close together wait in the same queue, so their times are not independent. The means of
long batches nearly are.
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
        Correlation of adjacent batches. If it is far from zero, the batches are too short and the
        interval is too narrow: `trusted` tells.
    """

    means: NDArray[np.float64]
    lag1: float

    @property
    def trusted(self) -> bool:
        """Whether adjacent batches look independent (one-sided test at 1 %, von Neumann 1941)."""
        return self.lag1 < 2.326 / np.sqrt(len(self.means))


def batch_means(values: NDArray[np.float64], batches: int = 20) -> BatchMeans:
    """Batch means of values in the order of time.

    Parameters
    ----------
    values : ndarray of float
        Such as the response times of one run, without the warm-up.
    batches : int
        Batches of equal length; surplus values at the start are dropped. Between 10 and 30 batches are
        enough (B. Schmeiser, "Batch size effects in the analysis of simulation output", Operations
        Research 30(3), 1982).

    Raises
    ------
    ValueError
        With fewer than two batches, or fewer than two values for each.
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
