"""When clients are served well again after an outage, seen from outside."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scenarios.schema import BackendSettings

WELL = 0.95
"""Share of good answers with which clients are served well."""
LATEST = 0.8
"""Share of the time after an outage in which clients must be served well again, or they are not."""
WINDOW = 20
"""Consecutive requests over which the share is taken."""


def outage_end(backends: Iterable[BackendSettings]) -> float | None:
    """When the last spell ends in which a server is slow or down, in seconds; None without a spell."""
    spells = [spell for one in backends for spell in (*one.fail.values(), *one.slow_during.values())]
    return max((end for _, end in spells), default=None)


def recovery_time(due: NDArray[np.float64], good: NDArray[np.bool_], outage_ended: float) -> float | None:
    """Seconds from the end of an outage until clients are served well, and stay so.

    Parameters
    ----------
    due : ndarray of float
        When each request was due, in seconds.
    good : ndarray of bool
        Whether it had a good answer.
    outage_ended : float
        Seconds.

    Returns
    -------
    float or None
        Until the last failure among `WINDOW` consecutive requests of which less than `WELL` had good
        answers; 0 if there are none. None if that is in the last fifth of the time, for the end of a run is
        not typical: no new requests come, and what is left is served well.
    """
    order = np.argsort(due, kind="stable")
    order = order[due[order] >= outage_ended]
    if len(order) < WINDOW:
        return None
    failed = (~good[order]).astype(np.int64)
    shares = np.convolve(failed, np.ones(WINDOW, dtype=np.int64), "valid") / WINDOW
    poor = np.flatnonzero(shares > 1 - WELL + 1e-9)
    if not len(poor):
        return 0.0
    last = poor[-1] + int(np.flatnonzero(failed[poor[-1] : poor[-1] + WINDOW])[-1])
    seconds, whole = (float(due[order[place]]) - outage_ended for place in (last, -1))
    return seconds if seconds < LATEST * whole else None
