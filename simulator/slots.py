"""Slots: a limited number of requests in service; others wait, first come, first served."""

from __future__ import annotations

from array import array
from collections import deque

from simpy import Environment, Event


class Slots:
    """A resource with as many slots as there are cores, threads or workers.

    Parameters
    ----------
    env : simpy.Environment
    count : int
        Number of slots.

    Attributes
    ----------
    free : int
        Slots that are not held.
    slowness, extra : float
        Factor, and extra seconds, for all work that begins from now on.

    Notes
    -----
    Only waiting and working cost simulated events: one event for a wait, and one in all for a wait followed
    by work of a known time. This makes it several times faster than `simpy.Resource`. A slot is held
    either until `leave`, or for a known time::

        grant = slots.enter()                    yield slots.hold(work)
        if grant is not None:                    slots.leave()
            yield grant
        …
        slots.leave()
    """

    def __init__(self, env: Environment, count: int) -> None:
        self._env = env
        self.free = count
        self.slowness, self.extra = 1.0, 0.0
        self._waiting: deque[tuple[Event, float | None]] = deque()

    def enter(self) -> Event | None:
        """Take a slot; ``None`` if one was free, else an event that fires when the slot is granted."""
        if self.free:
            self.free -= 1
            return None
        grant = self._env.event()
        self._waiting.append((grant, None))
        return grant

    def hold(self, demand: float) -> Event:
        """Take a slot for `demand` seconds of work; the event fires when the work is done."""
        if self.free:
            self.free -= 1
            return self._env.timeout(demand * self.slowness + self.extra)
        grant = self._env.event()
        self._waiting.append((grant, demand))
        return grant

    def leave(self) -> None:
        """Give the slot to the request that has waited longest, if any."""
        if not self._waiting:
            self.free += 1
            return
        grant, demand = self._waiting.popleft()
        if demand is None:
            grant.succeed()
        else:  # its process resumes at the end of the work: the beginning needs no event
            assert grant.callbacks is not None
            self._env.timeout(demand * self.slowness + self.extra).callbacks += grant.callbacks

    @property
    def waiting(self) -> int:
        """Number of waiting requests."""
        return len(self._waiting)


class StepSeries:
    """The number of requests in a place over time: a step function in 8 bytes per step.

    Attributes
    ----------
    steps : array of float
        Seconds at which a request came; negated (also a zero) at which one left.
    note : callable
        Appends to `steps`: ``note(now)`` for an arrival, ``note(-now)`` for a departure.
    """

    def __init__(self) -> None:
        self.steps = array("d")
        self.note = self.steps.append
