"""What the two parsers of tables share: rows, and how they become requests."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scenarios.traces.block import Block, LeftOut, Names
from scenarios.traces.layouts import Layout


class Rows(NamedTuple):
    """Rows of a table that are right by themselves.

    Attributes
    ----------
    times : ndarray of float64 or None
        Seconds; ``None`` if the table has no times.
    codes : ndarray of int
        Which of `words` names the object of each row.
    words : ndarray of object
        The different names of objects, in the order of their first rows.
    sizes : ndarray of int64
        Bytes.
    known : ndarray of bool or None
        Whether the size is known; ``None`` if all are.
    operations : ndarray of object or None
        The kinds of the requests, in small letters.
    counts : ndarray of int64 or None
        How many requests each row stands for.
    service : ndarray of float64 or None
        Seconds of work at a backend.
    """

    times: NDArray[np.float64] | None
    codes: NDArray[np.intp]
    words: NDArray[np.object_]
    sizes: NDArray[np.int64]
    known: NDArray[np.bool_] | None = None
    operations: NDArray[np.object_] | None = None
    counts: NDArray[np.int64] | None = None
    service: NDArray[np.float64] | None = None


class Table:
    """Makes requests of rows; remembers the numbers and sizes of objects between the pieces of a trace.

    Attributes
    ----------
    left_out : LeftOut
        Rows that are no requests, by their reason.
    """

    def __init__(self) -> None:
        self.left_out = LeftOut()
        self._names = Names()
        self._sizes = np.zeros(0, np.int64)  # by the object's number; 0 is unknown
        self._rows = 0

    def block(self, rows: Rows, layout: Layout) -> Block | None:
        """The requests of some rows; ``None`` if there is none."""
        if not len(rows.codes):
            return None
        keys = self._names.of(rows.words)[rows.codes]
        times = rows.times
        if times is None:
            times = np.arange(self._rows, self._rows + len(keys), dtype=np.float64)
            self._rows += len(keys)
        sizes, kept = rows.sizes, None
        if rows.known is not None:
            sizes, kept = self._filled(keys, rows.codes, sizes, rows.known)
        if rows.operations is not None:
            kept = self._read(rows.operations, layout, kept)
        elif kept is not None:
            self._leave_out("size not known", len(kept) - int(kept.sum()))
        repeated = np.arange(len(keys)) if kept is None else np.flatnonzero(kept)
        if rows.counts is not None:
            repeated = np.repeat(repeated, rows.counts[repeated])
        if not len(repeated):
            return None
        if kept is None and rows.counts is None:
            return Block(times, keys, sizes, rows.service)
        service = None if rows.service is None else rows.service[repeated]
        return Block(times[repeated], keys[repeated], sizes[repeated], service)

    def _leave_out(self, reason: str, count: int) -> None:
        if count:
            self.left_out[reason] += count

    def _read(
        self, operations: NDArray[np.object_], layout: Layout, kept: NDArray[np.bool_] | None
    ) -> NDArray[np.bool_]:
        """Which rows read an object whose size is known; the others are counted."""
        import pandas as pd  # slow to import, and load generators do not need it

        codes, kinds = pd.factorize(operations)
        reads = np.array([str(kind).lower() in layout.reads for kind in kinds], dtype=np.bool_)
        counts = np.bincount(codes, minlength=len(kinds))
        for kind, count, read in zip(kinds, counts.tolist(), reads.tolist(), strict=True):
            if not read:
                self._leave_out(str(kind).lower()[:20] or "no operation", count)
        wanted = reads[codes]
        if kept is None:
            return wanted
        self._leave_out("size not known", int((wanted & ~kept).sum()))
        return wanted & kept

    def _filled(
        self,
        keys: NDArray[np.uint64],
        codes: NDArray[np.intp],
        sizes: NDArray[np.int64],
        known: NDArray[np.bool_],
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Sizes with each unknown one replaced by the object's last known one, and which are known now."""
        import pandas as pd

        top = int(keys.max()) + 1
        if top > len(self._sizes):
            self._sizes = np.concatenate([self._sizes, np.zeros(top - len(self._sizes), np.int64)])
        places = np.where(known, np.arange(len(keys)), -1)
        last = pd.Series(places).groupby(codes).cummax().to_numpy()  # the row that told the size
        filled = np.where(last >= 0, sizes[last], self._sizes[keys])
        self._sizes[keys[known]] = sizes[known]  # of equal indices the last counts
        return filled, filled > 0
