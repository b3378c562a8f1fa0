"""The service slots of one replica, with a queue: first come, first served.

Threads: every connection's thread calls `Slots.work`. One lock owns the free slots, the queue and the
totals; no thread holds it while its request works or waits. A waiting thread sleeps on a separate lock,
which the thread that frees a slot releases.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Totals:
    """The totals of a replica.

    Attributes
    ----------
    requests : int
        Number of served requests.
    busy_seconds : float
        Time that slots were held, by the clocks of the slots (see `Slots`), summed over slots; with calls,
        until they have been answered.
    demand_seconds : float
        Demanded work, before the replica's slow factor.
    late_seconds : float
        How much later than by the slot's clock requests were really finished, summed over requests. The
        causes are inexact timers and thread scheduling.
    queue, largest_queue : int
        Requests that wait for a slot: now, and at most.
    """

    requests: int = 0
    busy_seconds: float = 0.0
    demand_seconds: float = 0.0
    late_seconds: float = 0.0
    queue: int = 0
    largest_queue: int = 0

    def plus(self, later: Totals) -> Totals:
        """The sum of these totals and `later` ones."""
        sums = {name: value + getattr(later, name) for name, value in vars(self).items()}
        return Totals(**sums | {"largest_queue": max(self.largest_queue, later.largest_queue)})


@dataclass
class _Turn:
    """A request that waits for a slot; `since` and `refused` are set before `given` is released."""

    due: float = math.inf
    since: float = 0.0
    refused: bool = False
    given: threading.Lock = field(default_factory=threading.Lock)


class Slots:
    """Service slots with a queue.

    Parameters
    ----------
    concurrency : int
        Number of slots.
    slow : float
        Factor on the work of every request.

    Attributes
    ----------
    slow : float
        The factor for work that starts from now on.

    Notes
    -----
    Each slot has its own clock. The next request starts when the previous one should have ended, or at its
    arrival if that is later. So a sleep that ends too late delays one response, but the delays do not add
    up in a queue, and the slot does the right amount of work per second.
    """

    def __init__(self, concurrency: int, slow: float = 1.0) -> None:
        self._lock = threading.Lock()
        self._free = concurrency
        self._waiting: deque[_Turn] = deque()
        self.slow = slow
        self._totals = Totals()

    def work(self, demand: float, due: float = math.inf, then: Callable[[], None] | None = None) -> bool:
        """Wait for a slot, hold it for `demand` seconds times the slow factor, and free it.

        The wait is bounded by the work of the requests in front. Returns False without any work if it is
        past `due`, on the monotonic clock, now or when the request's turn comes. The slot is also held
        while `then` is called after the work.
        """
        start = self._enter(time.monotonic(), due)
        if start is None:
            return False
        end = start + demand * self.slow
        late = 0.0
        try:
            _sleep_until(end)
            late = time.monotonic() - end
            if then is not None:
                then()
                end = time.monotonic()
        finally:
            self._leave(start, end, demand, late)
        return True

    def totals(self) -> Totals:
        """A copy of the totals."""
        with self._lock:
            return Totals(**vars(self._totals) | {"queue": len(self._waiting)})

    def _enter(self, arrival: float, due: float = math.inf) -> float | None:
        """Take a slot; returns the start time by the slot's clock, or None if it is past `due`."""
        if arrival >= due:
            return None
        with self._lock:
            if self._free:
                self._free -= 1
                return arrival
            turn = _Turn(due)
            turn.given.acquire()
            self._waiting.append(turn)
            self._totals.largest_queue = max(self._totals.largest_queue, len(self._waiting))
        turn.given.acquire()
        return None if turn.refused else max(arrival, turn.since)

    def _leave(self, start: float, end: float, demand: float, late: float = 0.0) -> None:
        with self._lock:
            self._totals.requests += 1
            self._totals.busy_seconds += end - start
            self._totals.demand_seconds += demand
            self._totals.late_seconds += late
            while self._waiting:
                turn = self._waiting.popleft()
                turn.since, turn.refused = end, end >= turn.due
                turn.given.release()
                if not turn.refused:
                    return
            self._free += 1


def _sleep_until(moment: float) -> None:
    """Sleep until a moment of the monotonic clock; `time.sleep` waits for an absolute deadline."""
    left = moment - time.monotonic()
    if left > 0:
        time.sleep(left)
