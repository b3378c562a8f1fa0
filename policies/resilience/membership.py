"""Who may be picked, when several judges have a say: health checks and ejection."""

from __future__ import annotations

from policies.balancing import Upstreams

REASONS = ("ejected", "unhealthy")
"""What can be held against an upstream."""


class Membership:
    """Keeps `Upstreams` in step: an upstream is out as long as anyone has a reason against it.

    If there is a reason against every one, all of them are in: what nobody may be sent to helps
    nobody, and who judges so is as likely wrong (Envoy's panic threshold, at its least; nginx does
    the same).

    Parameters
    ----------
    upstreams : Upstreams
        What the balancer looks at.
    """

    def __init__(self, upstreams: Upstreams) -> None:
        self._upstreams = upstreams
        self._against: dict[int, set[str]] = {}

    def exclude(self, index: int, reason: str, now: float) -> None:
        """From `now` on there is `reason` against upstream `index`."""
        self._against.setdefault(index, set()).add(reason)
        self._settle(now)

    def readmit(self, index: int, reason: str, now: float) -> None:
        """From `now` on there is `reason` no more."""
        reasons = self._against.get(index, set())
        reasons.discard(reason)
        if not reasons:
            self._against.pop(index, None)
        self._settle(now)

    def reasons(self, index: int) -> list[str]:
        """What there is against upstream `index`."""
        return sorted(self._against.get(index, ()))

    def _settle(self, now: float) -> None:
        everyone = range(len(self._upstreams.load))
        nobody_left = len(self._against) == len(everyone)
        for index in everyone:
            if nobody_left or index not in self._against:
                self._upstreams.mark_up(index, now)
        for index in list(self._upstreams.available):
            if not nobody_left and index in self._against:
                self._upstreams.mark_down(index)
