"""Whether a queue settles, or grows for as long as the run lasts.

An overload has no mean: whatever is averaged over it depends on how long one looked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.statistics.intervals import estimate

PIECES = 20
"""Parts of the window, whose growths are compared."""
DRIFT_Z = 4.0
"""Standard errors above zero at which growth is no chance any more."""
SURE_Z = 6.0
"""The same where many places are looked at, each of which could give a false alarm."""


@dataclass(frozen=True)
class Settled:
    """Whether the averages of a run mean anything; true or false in a condition.

    Attributes
    ----------
    growth_rps : float
        By how many requests the queue grew in a second.
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
    """Judge by how a queue grew over the equal parts of a window.

    Parameters
    ----------
    levels : sequence of ndarray
        For each replication the number of requests inside at the edges of the parts.
    seconds : float
        Length of the window.
    place : str
        Where the requests are, as the reason names it.
    limit : float
        Standard errors above zero at which growth is no chance any more.

    Notes
    -----
    A trend test on the growth per part. What a stable queue gains in one part it gives back in
    another, so its growths sum to nearly nothing, while those of an overload all go one way. Even
    the worst stable case, a load of exactly one, is a random walk whose growth passes four
    standard errors in fewer than one run of a thousand (Student's t, 19 degrees of freedom, twice
    for the reflection at zero). An overload of a few per cent in a short run can stay unseen.
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
