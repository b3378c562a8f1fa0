"""Whether a queue settles, or grows as long as the run lasts.

An overload has no mean: an average over it depends on the duration of the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.statistics.intervals import estimate

PIECES = 20
"""Number of parts of the window whose growths are compared."""
DRIFT_Z = 4.0
"""Standard errors above zero at which growth is not random any more."""
SURE_Z = 6.0
"""The same if many places are checked, each of which could give a false alarm."""


@dataclass(frozen=True)
class Settled:
    """Whether the averages of a run are meaningful; use it as a condition.

    Attributes
    ----------
    growth_rps : float
        Growth of the queue in requests per second.
    reason : str
        One sentence if the queue does not settle, else empty.
    """

    growth_rps: float
    reason: str

    def __bool__(self) -> bool:
        return not self.reason


def settled(
    levels: Sequence[NDArray[np.float64]], seconds: float, place: str = "the system", limit: float = DRIFT_Z
) -> Settled:
    """Judge by the growth of a queue over the equal parts of a window.

    Parameters
    ----------
    levels : sequence of ndarray
        For each replication, the number of requests inside at the edges of the parts.
    seconds : float
        Length of the window.
    place : str
        Where the requests are, for the reason.
    limit : float
        Standard errors above zero at which growth is not random any more.

    Notes
    -----
    A trend test on the growth per part. The growths of a stable queue add up to nearly zero; those of an
    overload have one sign. Even the worst stable case, a load of exactly one, is a random walk whose
    growth exceeds four standard errors in fewer than one run of a thousand (Student's t, 19 degrees of
    freedom, twice for the reflection at zero). An overload of a few per cent can remain undetected in a
    short run.
    """
    growths = np.concatenate([np.diff(edges) for edges in levels])
    if len(growths) < 2:
        return Settled(0.0, "")
    found = estimate(growths)
    growth = found.mean * (len(levels[0]) - 1) / seconds
    first, last = (float(np.mean([edges[end] for edges in levels])) for end in (0, -1))
    if last - first < PIECES or found.z_score(0.0) < limit:
        return Settled(growth, "")
    return Settled(
        growth,
        f"{place} never settles: it grew from {first:.0f} to {last:.0f} requests, by {growth:.3g} a second. "
        "More requests arrive than can be answered, so these averages depend on the run's duration",
    )
