"""Coordinated omission: what a load generator hides that sends late and starts its clock late."""

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
        Seconds from when each request should have been sent: what its sender waits for.
    from_sent : ndarray of float
        Seconds from when it was sent: what a generator sees that waits for a free connection first.
    """

    from_due: NDArray[np.float64]
    from_sent: NDArray[np.float64]

    def understated(self, quantile: float = 0.99) -> float:
        """How many times too short the quantile is when the clock starts at sending."""
        due, sent = (float(np.quantile(times, quantile)) for times in (self.from_due, self.from_sent))
        return due / sent if sent else (1.0 if due == 0 else float("inf"))


def coordinated_omission(records: Records, window: tuple[float, float] | None = None) -> Omission:
    """Both clocks' response times of the requests due in `window` (seconds), or of all.

    Notes
    -----
    The name is Gil Tene's ("How not to measure latency", 2013). `Records.response` counts from
    the due time under open load, so that a late generator hides nothing.
    """
    inside = records if window is None else records.within(window)
    return Omission(inside.done - inside.due, inside.done - inside.sent)
