"""libCacheSim's oracleGeneral format: records of 24 bytes, little-endian, without a header."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from scenarios.traces.block import BLOCK_BYTES, Block, BrokenLines

RECORD = np.dtype([("time", "<u4"), ("id", "<u8"), ("size", "<u4"), ("next", "<i8")])
"""``<IQIq`` in the notation of ``struct``: seconds, the object, its bytes, and the number of the object's
next request, or -1, which is not used here."""


def read_oracle_general(file: io.BufferedIOBase, broken: BrokenLines, zero_sizes: bool) -> Iterator[Block]:
    """The requests of an oracleGeneral file; the first is at time 0.

    Parameters
    ----------
    file : binary file
    broken : BrokenLines
        Receives records that are cut off, too small or out of order, numbered from 1.
    zero_sizes : bool
        Whether an object may have zero bytes.
    """
    number, start, last, rest = 1, None, 0.0, b""
    while piece := file.read(BLOCK_BYTES):
        rest += piece
        count = len(rest) // RECORD.itemsize
        rows = np.frombuffer(rest, RECORD, count)
        rest = rest[count * RECORD.itemsize :]
        if not count:
            continue
        times = rows["time"].astype(np.float64)
        start = times[0] if start is None else start
        good = _good(times - start, rows["size"], last, number, broken, zero_sizes)
        number += count
        if good.any():
            times = (times - start)[good]
            last = float(times[-1])
            yield Block(times, rows["id"][good], rows["size"][good].astype(np.int64))
    if rest:
        broken.report(f"record {number}", f"is cut off after {len(rest)} of {RECORD.itemsize} bytes")


def _good(
    times: NDArray[np.float64],
    sizes: NDArray[np.uint32],
    last: float,
    number: int,
    broken: BrokenLines,
    zero_sizes: bool,
) -> NDArray[np.bool_]:
    """Which records can be used; the others are reported."""
    fits = sizes >= (0 if zero_sizes else 1)
    latest = np.maximum.accumulate(np.concatenate(([last], np.where(fits, times, -np.inf))))[:-1]
    good = fits & (times >= latest)
    for row in np.flatnonzero(~good).tolist():
        where = f"record {number + row}"
        if fits[row]:
            broken.report(
                where, f"times must not fall, yet {times[row]:g} s comes after {latest[row]:g} s of the trace"
            )
        else:
            broken.report(where, "expected a size above 0")
    return good
