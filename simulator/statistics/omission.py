"""Coordinated omission: what a load generator hides if it sends late and measures from sending."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scenarios.records import Records


@dataclass(frozen=True)
class Omission:
    """Response times of the same requests, by two clocks.

    Attributes
    ----------
    from_due : ndarray of float
        Seconds from when each request should have been sent: what its sender experiences.
    from_sent : ndarray of float
        Seconds from when it was sent: what a generator measures that first waits for a free
        connection.
    """

    from_due: NDArray[np.float64]
    from_sent: NDArray[np.float64]

    def understated(self, quantile: float = 0.99) -> float:
        """By which factor the quantile is too short if the clock starts at sending."""
        due, sent = (float(np.quantile(times, quantile)) for times in (self.from_due, self.from_sent))
        return due / sent if sent else (1.0 if due == 0 else float("inf"))


def coordinated_omission(records: Records, window: tuple[float, float] | None = None) -> Omission:
    """Response times by both clocks, for the requests due in `window` (seconds) or for all.

    Notes
    -----
    The term is Gil Tene's ("How not to measure latency", 2013). `Records.response` counts from the due
    time under open load, so a late generator hides nothing.
    """
    inside = records if window is None else records.within(window)
    return Omission(inside.done - inside.due, inside.done - inside.sent)
