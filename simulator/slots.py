"""Slots: a number of places that are held for a while, first come, first served."""

from __future__ import annotations

from array import array
from collections import deque

from simpy import Environment, Event


class Slots:
    """A resource with as many places as there are cores, threads or workers.

    Parameters
    ----------
    env : simpy.Environment
        Whose events wake those that wait.
    count : int
        Places.

    Attributes
    ----------
    free : int
        Places that nobody holds.
    slowness, extra : float
        Demanded work that begins now takes so many times longer, and so many seconds more.

    Notes
    -----
    Only what has to wait or takes time costs an event, and waiting for a place that is then held
    for a known time costs one in all, which is what makes it several times faster than
    `simpy.Resource`. Held until further notice, or for a known time::

        turn = slots.enter()                     yield slots.hold(work)
        if turn is not None:                     slots.leave()
            yield turn
        …
        slots.leave()
    """

    def __init__(self, env: Environment, count: int) -> None:
        self._env = env
        self.free = count
        self.slowness, self.extra = 1.0, 0.0
        self._waiting: deque[tuple[Event, float | None]] = deque()

    def enter(self) -> Event | None:
        """Take a place; ``None`` if one was free, else an event that fires when it is one's turn."""
        if self.free:
            self.free -= 1
            return None
        turn = self._env.event()
        self._waiting.append((turn, None))
        return turn

    def hold(self, demand: float) -> Event:
        """Take a place for `demand` seconds of work; the event fires when they are over."""
        if self.free:
            self.free -= 1
            return self._env.timeout(demand * self.slowness + self.extra)
        turn = self._env.event()
        self._waiting.append((turn, demand))
        return turn

    def leave(self) -> None:
        """Give the place to who has waited longest, if anyone does."""
        if not self._waiting:
            self.free += 1
            return
        turn, demand = self._waiting.popleft()
        if demand is None:
            turn.succeed()
        else:  # who waits at `turn` goes on when the work is over: no event for its begin
            assert turn.callbacks is not None
            self._env.timeout(demand * self.slowness + self.extra).callbacks += turn.callbacks

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)


class StepSeries:
    """How many are in a place over time: a step function, as one growing column of 8 bytes a step.

    Attributes
    ----------
    steps : array of float
        Seconds at which one came; negated, also a zero, at which one went.
    note : callable
        Appends to `steps`: ``note(now)`` for one more, ``note(-now)`` for one less.
    """

    def __init__(self) -> None:
        self.steps = array("d")
        self.note = self.steps.append
