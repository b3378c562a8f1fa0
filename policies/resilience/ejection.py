"""Passive ejection: an upstream that keeps failing gets no requests for a while."""

from __future__ import annotations

import math

from policies.resilience.success_rate import SuccessRates


class PassiveEjection:
    """Ejects upstreams by failures in a row or by their success rate (Envoy's outlier detection).

    Parameters
    ----------
    upstreams : int
        Number of upstreams.
    errors : int
        Consecutive failures that eject an upstream.
    seconds : float
        Duration of the first ejection.
    most : float
        Largest share of the upstreams that may be ejected at once.
    grow : bool or float
        Whether repeated ejections last longer: with ``True``, the n-th lasts n times `seconds` (Envoy); with
        a number, each lasts so many times as long as the one before.
    longest : float
        Seconds that a grown ejection lasts at most.
    every : float
        Seconds of an interval. After an interval in which an upstream was never ejected, its number of
        ejections is one less. Intervals begin with the first call.
    rates : SuccessRates, optional
        Judges the upstreams at the end of each interval.

    Notes
    -----
    Intervals that have ended take effect with the next call, as of the time when they ended. So decisions
    depend only on the times in the calls. After `IDLE` intervals without a call, all numbers are forgotten.
    """

    IDLE = 1000

    def __init__(
        self,
        upstreams: int,
        errors: int,
        seconds: float,
        most: float,
        *,
        grow: bool | float = False,
        longest: float = math.inf,
        every: float = 10.0,
        rates: SuccessRates | None = None,
    ) -> None:
        self._errors, self._seconds, self._most = errors, seconds, most
        self._grow, self._longest = grow, max(longest, seconds)
        self._every, self._rates = every, rates
        self._room = int(most * upstreams)
        self._in_a_row = [0] * upstreams
        self._since: dict[int, float] = {}
        self._back_at: dict[int, float] = {}
        self._times = [0] * upstreams  # counts up to the longest ejection, and down with good intervals
        self._in_all = [0] * upstreams
        self._spared: set[int] = set()  # ejected at some time of this interval
        self._watches = rates is not None or grow is not False
        self._interval_ends = math.inf

    def ended(self, index: int, failed: bool, now: float) -> bool:
        """A request to upstream `index` ended; returns whether this ejects the upstream.

        `intervals` must have been called for `now`.
        """
        if self._rates is not None:
            self._rates.ended(index, failed)
        self._in_a_row[index] = self._in_a_row[index] + 1 if failed else 0
        return self._in_a_row[index] >= self._errors and self._eject(index, now)

    def intervals(self, now: float) -> list[int]:
        """End the intervals that are over; returns the upstreams that this ejects."""
        if not self._watches:
            return []
        if self._interval_ends == math.inf:
            self._interval_ends = now + self._every
        ejected: list[int] = []
        for _ in range(self.IDLE):
            if now < self._interval_ends:
                return ejected
            ejected += self._end_interval(self._interval_ends)
            self._interval_ends += self._every
        self._times = [0] * len(self._times)
        self._interval_ends = now + self._every
        return ejected

    def returning(self, now: float) -> list[int]:
        """Upstreams whose ejection is over; each is returned once.

        `intervals` must have been called for `now`.
        """
        back = [index for index, at in self._back_at.items() if at <= now]
        for index in back:
            if self._back_at[index] > self._interval_ends - self._every:
                self._spared.add(index)
            del self._back_at[index], self._since[index]
        return back

    def since(self, index: int) -> float | None:
        """When upstream `index` was ejected, if it is now."""
        return self._since.get(index)

    def times(self, index: int) -> int:
        """How often upstream `index` was ejected in all."""
        return self._in_all[index]

    def resize(self, present: int) -> None:
        """There are so many upstreams now, for the share that may be ejected."""
        self._room = int(self._most * present)

    def forget(self, index: int) -> None:
        """Upstream `index` is a new one, about which nothing is known."""
        self._in_a_row[index] = self._times[index] = self._in_all[index] = 0
        self._back_at.pop(index, None)
        self._since.pop(index, None)
        self._spared.discard(index)
        if self._rates is not None:
            self._rates.forget(index)

    def _eject(self, index: int, now: float) -> bool:
        if index in self._back_at or len(self._back_at) >= self._room:
            return False
        duration = self._duration(self._times[index] + 1)
        if duration < self._longest or self._duration(self._times[index]) < self._longest:
            self._times[index] += 1
        self._in_all[index] += 1
        self._since[index], self._back_at[index] = now, now + duration
        self._in_a_row[index] = 0
        self._spared.add(index)
        return True

    def _duration(self, times: int) -> float:
        if self._grow is False or times < 1:
            return self._seconds if times else 0.0
        factor = times if self._grow is True else self._grow ** (times - 1)
        return min(self._seconds * factor, self._longest)

    def _end_interval(self, at: float) -> list[int]:
        began = at - self._every
        self._spared.update(index for index, back in self._back_at.items() if back > began)
        for index, times in enumerate(self._times):
            if times and index not in self._spared:
                self._times[index] -= 1
        self._spared.clear()
        if self._rates is None:
            return []
        return [index for index in self._rates.interval(self._back_at) if self._eject(index, at)]
