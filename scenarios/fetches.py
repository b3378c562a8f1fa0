"""The requests that reached the backends: for which object, from when to when."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Fetches:
    """Requests that backends have answered, in order of arrival.

    Attributes
    ----------
    object : ndarray of int
        Number of the object.
    begin, end : ndarray of float
        Seconds since the start of the run: when a backend received the request, and when its work was
        done.
    """

    object: NDArray[np.int64]
    begin: NDArray[np.float64]
    end: NDArray[np.float64]

    @classmethod
    def from_rows(cls, rows: Iterable[Iterable[float]]) -> Fetches:
        """Fetches from rows of ``object, begin, end``, in any order."""
        columns = np.array([tuple(row) for row in rows], dtype=np.float64).reshape(-1, 3)
        return cls._from_columns(columns)

    @classmethod
    def _from_columns(cls, columns: NDArray[np.float64]) -> Fetches:
        ordered = columns[np.argsort(columns[:, 1], kind="stable")]
        return cls(ordered[:, 0].astype(np.int64), ordered[:, 1], ordered[:, 2])

    def __len__(self) -> int:
        return len(self.begin)

    def within(self, window: tuple[float, float]) -> Fetches:
        """The fetches that began within `window` (seconds; the end is excluded)."""
        rows = (self.begin >= window[0]) & (self.begin < window[1])
        return Fetches(self.object[rows], self.begin[rows], self.end[rows])

    def firsts(self) -> NDArray[np.bool_]:
        """Which fetches are the first after an expiry.

        Fetches of one object that overlap have one cause: the object was missing or stale, and more than one
        request found that before the first response came.
        """
        # Exact and without a loop: times become ranks, shifted so that every object has separate ranks.
        _, ranks = np.unique(np.concatenate((self.begin, self.end)), return_inverse=True)
        _, objects = np.unique(self.object, return_inverse=True)
        shift = objects * (2 * len(self) + 1)
        order = np.lexsort((self.begin, objects))
        begin, end = (ranks[: len(self)] + shift)[order], (ranks[len(self) :] + shift)[order]
        found = np.ones(len(self), dtype=np.bool_)
        found[order[1:]] = begin[1:] >= np.maximum.accumulate(end)[:-1]
        return found

    def per_expiry(self, window: tuple[float, float]) -> float:
        """Mean number of fetches per expiry in `window`, including fetches after its end.

        NaN if there was no expiry.
        """
        order = np.lexsort((self.begin, self.object))
        firsts = self.firsts()[order]
        starts = self.begin[order][firsts]
        counts = np.diff(np.flatnonzero(firsts), append=len(self))
        inside = (starts >= window[0]) & (starts < window[1])
        return float(counts[inside].mean()) if inside.any() else float("nan")


class FetchLog:
    """Collects fetches as they end, in 24 bytes each."""

    def __init__(self) -> None:
        self._rows = array("d")

    def note(self, number: int, begin: float, end: float) -> None:
        """Add the fetch of an object."""
        self._rows.extend((number, begin, end))

    def fetches(self) -> Fetches:
        """All fetches so far."""
        return Fetches._from_columns(np.array(self._rows).reshape(-1, 3))
