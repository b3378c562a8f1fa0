"""A whole trace as a workload."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scenarios.traces.file import TraceFile


class Trace(NamedTuple):
    """A recorded workload: `times` in seconds, `objects` by number, one of `sizes` per object."""

    times: NDArray[np.float64]
    objects: NDArray[np.int64]
    sizes: NDArray[np.int64]
    service: NDArray[np.float64] | None


def read_trace(path: str | Path) -> Trace:
    """A trace from a file.

    Parameters
    ----------
    path : str or path
        In a format of `TraceFile`. In a CSV file the first line names the columns:
        ``time_s,object,size_bytes`` and perhaps ``service_s``. Times must not fall; an object
        keeps the size it had first.

    Raises
    ------
    BadInput
        With the number of the line that is wrong.
    """
    import pandas as pd  # slow to load, and load generators do without

    blocks = list(TraceFile(path).blocks())
    objects, _ = pd.factorize(np.concatenate([block.keys for block in blocks]))
    asked = np.concatenate([block.sizes for block in blocks])
    sizes = np.zeros(objects.max() + 1, dtype=np.int64)
    sizes[objects[::-1]] = asked[::-1]  # of equal indices the last counts: the first request
    service = [block.service for block in blocks if block.service is not None]
    return Trace(
        np.concatenate([block.times for block in blocks]),
        objects.astype(np.int64),
        sizes,
        np.concatenate(service) if service else None,
    )
