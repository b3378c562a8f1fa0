"""Which upstreams may be picked, given both health checks and ejection."""

from __future__ import annotations

from collections.abc import Collection

from policies.balancing import Upstreams

REASONS = ("ejected", "unhealthy")
"""Reasons to exclude an upstream."""


class Membership:
    """Updates `Upstreams`: an upstream is excluded while there is any reason against it.

    If there is a reason against every upstream, all are included: it would help nobody to send requests to
    none, and the checks themselves are then likely wrong (Envoy's panic threshold at its lowest; nginx
    does the same).

    Parameters
    ----------
    upstreams : Upstreams
        What the balancer sees.

    Notes
    -----
    An upstream that is `absent` is excluded whatever happens to the others: nobody has its address. It is
    not counted when there is a reason against every upstream.
    """

    def __init__(self, upstreams: Upstreams) -> None:
        self._upstreams = upstreams
        self._against: dict[int, set[str]] = {}
        self._absent: set[int] = set()

    @property
    def present(self) -> int:
        """Number of upstreams that are not absent."""
        return len(self._upstreams.load) - len(self._absent)

    def change(self, come: Collection[int], gone: Collection[int], now: float) -> None:
        """Some upstreams come and others go; one at least is left.

        Who comes has no reason against it, and slow start begins.
        """
        for index in (*come, *gone):
            self._against.pop(index, None)
        self._absent = (self._absent | set(gone)) - set(come)
        self._settle(now)

    def exclude(self, index: int, reason: str, now: float) -> None:
        """Add `reason` against upstream `index`."""
        self._against.setdefault(index, set()).add(reason)
        self._settle(now)

    def readmit(self, index: int, reason: str, now: float) -> None:
        """Remove `reason` against upstream `index`."""
        reasons = self._against.get(index, set())
        reasons.discard(reason)
        if not reasons:
            self._against.pop(index, None)
        self._settle(now)

    def reasons(self, index: int) -> list[str]:
        """The reasons against upstream `index`, sorted."""
        return sorted(self._against.get(index, ()))

    def _settle(self, now: float) -> None:
        everyone = [index for index in range(len(self._upstreams.load)) if index not in self._absent]
        nobody_left = len(self._against) == len(everyone)
        for index in everyone:
            if nobody_left or index not in self._against:
                self._upstreams.mark_up(index, now)
        for index in list(self._upstreams.available):
            if index in self._absent or (not nobody_left and index in self._against):
                self._upstreams.mark_down(index)
