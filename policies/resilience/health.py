"""Health checks: what consecutive probes say about an upstream."""

from __future__ import annotations


class HealthChecks:
    """Up after `rise` good probes in a row, down after `fall` bad ones (HAProxy's terms). All start up.

    Parameters
    ----------
    upstreams : int
        Number of upstreams.
    rise, fall : int
        Probes in a row.
    """

    def __init__(self, upstreams: int, rise: int, fall: int) -> None:
        self._rise, self._fall = rise, fall
        self._up = [True] * upstreams
        self._against = [0] * upstreams

    def probed(self, index: int, good: bool) -> bool | None:
        """Record a probe; returns the new state if the upstream comes up or goes down, else None."""
        if good == self._up[index]:
            self._against[index] = 0
            return None
        self._against[index] += 1
        if self._against[index] < (self._rise if good else self._fall):
            return None
        self._against[index] = 0
        self._up[index] = good
        return good

    def forget(self, index: int) -> None:
        """Upstream `index` is a new one; it starts up."""
        self._up[index], self._against[index] = True, 0
