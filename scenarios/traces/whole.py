"""Reads a whole trace as a workload."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scenarios.traces.file import TraceFile


class Trace(NamedTuple):
    """A recorded workload.

    Attributes
    ----------
    times : ndarray of float64
        Seconds.
    objects : ndarray of int64
        Numbers of the objects, from 0.
    sizes : ndarray of int64
        Bytes of each object, by its number.
    service : ndarray of float64 or None
        Seconds of work at a backend, if the trace has them.
    """

    times: NDArray[np.float64]
    objects: NDArray[np.int64]
    sizes: NDArray[np.int64]
    service: NDArray[np.float64] | None


def read_trace(path: str | Path) -> Trace:
    """Read a trace from a file.

    Parameters
    ----------
    path : str or path
        In a format of `TraceFile`. The first line of a CSV file names the columns:
        ``time_s,object,size_bytes`` and optionally ``service_s``. Times must not decrease; an object
        keeps its first size.

    Raises
    ------
    BadInput
        For the first line that is wrong.
    """
    import pandas as pd  # slow to import, and load generators do not need it

    blocks = list(TraceFile(path).blocks())
    objects, _ = pd.factorize(np.concatenate([block.keys for block in blocks]))
    asked = np.concatenate([block.sizes for block in blocks])
    sizes = np.zeros(objects.max() + 1, dtype=np.int64)
    sizes[objects[::-1]] = asked[::-1]  # reversed, because the last of equal indices counts
    service = [block.service for block in blocks if block.service is not None]
    return Trace(
        np.concatenate([block.times for block in blocks]),
        objects.astype(np.int64),
        sizes,
        np.concatenate(service) if service else None,
    )
