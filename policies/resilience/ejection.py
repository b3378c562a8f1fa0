"""Passive ejection: an upstream that keeps failing is left alone for a while."""

from __future__ import annotations


class PassiveEjection:
    """Counts failures in a row of each upstream (as Envoy's outlier detection and nginx's max_fails do).

    Parameters
    ----------
    upstreams : int
        How many there are.
    errors : int
        In a row, that eject an upstream.
    seconds : float
        How long.
    most : float
        Share of the upstreams that may be ejected at once.
    """

    def __init__(self, upstreams: int, errors: int, seconds: float, most: float) -> None:
        self._errors, self._seconds = errors, seconds
        self._room = int(most * upstreams)
        self._in_a_row = [0] * upstreams
        self._back_at: dict[int, float] = {}

    def ended(self, index: int, failed: bool, now: float) -> bool:
        """A request to upstream `index` ended; returns whether this ejects it."""
        self._in_a_row[index] = self._in_a_row[index] + 1 if failed else 0
        if self._in_a_row[index] < self._errors or index in self._back_at or len(self._back_at) >= self._room:
            return False
        self._back_at[index] = now + self._seconds
        self._in_a_row[index] = 0
        return True

    def returning(self, now: float) -> list[int]:
        """Upstreams whose time is over; each is told once."""
        back = [index for index, at in self._back_at.items() if at <= now]
        for index in back:
            del self._back_at[index]
        return back
