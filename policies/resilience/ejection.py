"""Passive ejection: an upstream that keeps failing gets no requests for a while."""

from __future__ import annotations


class PassiveEjection:
    """Counts consecutive failures of each upstream (Envoy's outlier detection, nginx's max_fails).

    Parameters
    ----------
    upstreams : int
        Number of upstreams.
    errors : int
        Consecutive failures that eject an upstream.
    seconds : float
        Duration of an ejection.
    most : float
        Largest share of the upstreams that may be ejected at once.
    """

    def __init__(self, upstreams: int, errors: int, seconds: float, most: float) -> None:
        self._errors, self._seconds = errors, seconds
        self._room = int(most * upstreams)
        self._in_a_row = [0] * upstreams
        self._back_at: dict[int, float] = {}

    def ended(self, index: int, failed: bool, now: float) -> bool:
        """A request to upstream `index` ended; returns whether this ejects the upstream."""
        self._in_a_row[index] = self._in_a_row[index] + 1 if failed else 0
        if self._in_a_row[index] < self._errors or index in self._back_at or len(self._back_at) >= self._room:
            return False
        self._back_at[index] = now + self._seconds
        self._in_a_row[index] = 0
        return True

    def returning(self, now: float) -> list[int]:
        """Upstreams whose ejection is over; each is returned once."""
        back = [index for index, at in self._back_at.items() if at <= now]
        for index in back:
            del self._back_at[index]
        return back
