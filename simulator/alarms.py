"""Time limits of many waits at the cost of one event: most limits are never reached."""

from __future__ import annotations

import math
from heapq import heappop, heappush
from itertools import count
from typing import Protocol

from simpy import Environment, Event


class Limited(Protocol):
    """Something that must end in time.

    Attributes
    ----------
    heard : bool
        Whether its limit does not matter any more.
    """

    heard: bool

    def late(self) -> None:
        """The limit has passed, and `heard` is still false."""


class Alarms:
    """The limits of the waits under way; only the earliest of them is an event of the simulation.

    Parameters
    ----------
    env : simpy.Environment

    Notes
    -----
    A limit that does not matter any more costs nothing: it is forgotten when it comes to the top of the
    heap, which therefore stays about as long as the number of waits.
    """

    def __init__(self, env: Environment) -> None:
        self._env = env
        self._heap: list[tuple[float, int, Limited]] = []
        self._numbers = count()
        self._timer: Event | None = None
        self._rings_at = math.inf

    def set(self, due: float, limited: Limited) -> None:
        """Call `limited.late` at `due`, unless it is `heard` before."""
        heap = self._heap
        while heap and heap[0][2].heard:
            heappop(heap)
        heappush(heap, (due, next(self._numbers), limited))
        if due < self._rings_at:
            self._wind(due)

    def _wind(self, due: float) -> None:
        self._rings_at = due
        self._timer = self._env.timeout(due - self._env.now)
        self._timer.callbacks.append(self._ring)

    def _ring(self, timer: Event) -> None:
        if timer is not self._timer:
            return  # an earlier limit came after this one was wound
        heap, now = self._heap, self._env.now
        self._rings_at = -math.inf  # nothing is wound until all that is due has been called
        while heap and (heap[0][2].heard or heap[0][0] <= now):
            limited = heappop(heap)[2]
            if not limited.heard:
                limited.late()
        self._rings_at = math.inf
        if heap:
            self._wind(heap[0][0])
