"""Where a run's warm-up ends: MSER-5.

K. P. White Jr., M. J. Cobb and S. C. Spratt, "A comparison of five steady-state truncation
heuristics for simulation", Winter Simulation Conference 2000.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenarios.records import Records

BATCH = 5
"""Values per batch: the five in MSER-5."""


@dataclass(frozen=True)
class Warmup:
    """The result of MSER-5 for one run.

    Attributes
    ----------
    truncation : int
        Number of values to drop at the start.
    batches : ndarray of float
        Means of five values each, in the order of time.
    scores : ndarray of float
        For each number of dropped batches, the squared standard error of the mean of the rest; the
        smallest decides.
    times : ndarray of float
        Seconds at which each batch begins; numbers of values if no times are known.
    note : str
        Why the result cannot be trusted, or empty.
    """

    truncation: int
    batches: NDArray[np.float64]
    scores: NDArray[np.float64]
    times: NDArray[np.float64]
    note: str

    @property
    def end(self) -> float:
        """When the warm-up ends, in the unit of `times`."""
        return float(self.times[self.truncation // BATCH])


def mser5(values: NDArray[np.float64], times: NDArray[np.float64] | None = None) -> Warmup:
    """Find where the warm-up of a series of values ends.

    Parameters
    ----------
    values : ndarray of float
        Such as response times, in the order of time.
    times : ndarray of float, optional
        Seconds of each value.

    Raises
    ------
    ValueError
        With fewer than ten batches of five values.

    Notes
    -----
    The last five batches are not candidates: a mean of so few can have a tiny error by chance. A result in
    the second half of the run cannot be trusted either: then the run is too short, or it never settles.
    """
    count = len(values) // BATCH
    if count < 10:
        raise ValueError(f"expected at least {10 * BATCH} values to find a warm-up in, not {len(values)}")
    batches = np.asarray(values[: count * BATCH], dtype=np.float64).reshape(count, BATCH).mean(axis=1)
    centred = batches - batches.mean()
    left = np.arange(count, 0, -1)
    sums = np.cumsum(centred[::-1])[::-1]
    squares = np.cumsum(centred[::-1] ** 2)[::-1]
    scores = (np.maximum(squares - sums**2 / left, 0.0) / left**2)[: count - 5]
    best = int(np.argmin(scores))
    starts = np.arange(count) * BATCH
    return Warmup(
        truncation=best * BATCH,
        batches=batches,
        scores=scores,
        times=starts.astype(np.float64) if times is None else np.asarray(times, dtype=np.float64)[starts],
        note=_note(best, count),
    )


def _note(best: int, count: int) -> str:
    if best <= count / 2:
        return ""
    return (
        f"no end of the warm-up was found: MSER-5 would leave out {best / count:.0%} of the run, "
        "more than half. The run is too short, or it never settles."
    )


def mser5_of_records(records: Records) -> Warmup:
    """MSER-5 of the response times, in the order in which the requests were due."""
    order = np.argsort(records.due, kind="stable")
    return mser5(records.response[order], records.due[order])
