"""Health checks: what a row of probes says about an upstream."""

from __future__ import annotations


class HealthChecks:
    """Up after `rise` good probes in a row, down after `fall` bad ones (HAProxy's words). All begin up.

    Parameters
    ----------
    upstreams : int
        How many there are.
    rise, fall : int
        Probes in a row.
    """

    def __init__(self, upstreams: int, rise: int, fall: int) -> None:
        self._rise, self._fall = rise, fall
        self._up = [True] * upstreams
        self._against = [0] * upstreams

    def probed(self, index: int, good: bool) -> bool | None:
        """Take note of a probe; ``True`` or ``False`` if the upstream comes up or goes down by it."""
        if good == self._up[index]:
            self._against[index] = 0
            return None
        self._against[index] += 1
        if self._against[index] < (self._rise if good else self._fall):
            return None
        self._against[index] = 0
        self._up[index] = good
        return good
