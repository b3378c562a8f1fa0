"""The service slots of one replica: so many requests at once, the others wait first come, first served.

Threads: every connection's thread calls `Slots.work`. One lock owns the free slots, the queue and
the totals; it is never held while a request works or waits. A waiting thread sleeps on a lock of
its own, its turn, which the thread that gives up a slot releases.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field


@dataclass
class Totals:
    """What a replica has done so far.

    Attributes
    ----------
    requests : int
        Requests that were served.
    busy_seconds : float
        Time that slots were held, by their own clocks (see `Slots`), summed over slots.
    demand_seconds : float
        Work that was asked for, before the replica's slow factor.
    late_seconds : float
        How much later than that requests were really done, summed over requests: the overshoot of
        the system's timers and of thread scheduling.
    queue, largest_queue : int
        Requests that wait for a slot, now and at most.
    """

    requests: int = 0
    busy_seconds: float = 0.0
    demand_seconds: float = 0.0
    late_seconds: float = 0.0
    queue: int = 0
    largest_queue: int = 0

    def plus(self, later: Totals) -> Totals:
        """These and `later` ones together."""
        sums = {name: value + getattr(later, name) for name, value in vars(self).items()}
        return Totals(**sums | {"largest_queue": max(self.largest_queue, later.largest_queue)})


@dataclass
class _Turn:
    """A request that waits; `since` is set before the turn is given."""

    since: float = 0.0
    given: threading.Lock = field(default_factory=threading.Lock)


class Slots:
    """Service slots with a strict queue.

    Parameters
    ----------
    concurrency : int
        How many requests are worked on at once.
    slow : float
        Factor on the work of every request.

    Attributes
    ----------
    slow : float
        The same, for work that begins from now on.

    Notes
    -----
    A slot has a clock of its own: the next request starts at the moment at which the previous one
    was due to end, or at its own arrival if that is later. So the overshoot of a sleep delays one
    answer, but never adds up in a queue, and a slot does as much work a second as it should.
    """

    def __init__(self, concurrency: int, slow: float = 1.0) -> None:
        self._lock = threading.Lock()
        self._free = concurrency
        self._waiting: deque[_Turn] = deque()
        self.slow = slow
        self._totals = Totals()

    def work(self, demand: float) -> None:
        """Wait for a slot, hold it for `demand` seconds times the slow factor, give it up.

        The wait is bounded by the work of those in front: each holds its slot for a given time.
        """
        start = self._enter(time.monotonic())
        end = start + demand * self.slow
        try:
            _sleep_until(end)
        finally:
            self._leave(start, end, demand)

    def totals(self) -> Totals:
        """A copy of the totals."""
        with self._lock:
            return Totals(**vars(self._totals) | {"queue": len(self._waiting)})

    def _enter(self, arrival: float) -> float:
        """Take a slot; returns when, by the slot's clock."""
        with self._lock:
            if self._free:
                self._free -= 1
                return arrival
            turn = _Turn()
            turn.given.acquire()
            self._waiting.append(turn)
            self._totals.largest_queue = max(self._totals.largest_queue, len(self._waiting))
        turn.given.acquire()
        return max(arrival, turn.since)

    def _leave(self, start: float, end: float, demand: float) -> None:
        with self._lock:
            self._totals.requests += 1
            self._totals.busy_seconds += end - start
            self._totals.demand_seconds += demand
            self._totals.late_seconds += time.monotonic() - end
            if not self._waiting:
                self._free += 1
                return
            turn = self._waiting.popleft()
            turn.since = end
            turn.given.release()


def _sleep_until(moment: float) -> None:
    """Sleep until a moment of the monotonic clock; `time.sleep` waits for an absolute deadline."""
    left = moment - time.monotonic()
    if left > 0:
        time.sleep(left)
