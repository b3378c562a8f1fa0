"""Slots: a number of places that are held for a while, first come, first served."""

from __future__ import annotations

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

    Notes
    -----
    Only a request that has to wait costs an event, which is what makes it several times faster
    than `simpy.Resource`::

        turn = slots.enter()
        if turn is not None:
            yield turn
        yield env.timeout(work)
        slots.leave()
    """

    def __init__(self, env: Environment, count: int) -> None:
        self._env = env
        self.free = count
        self._waiting: deque[Event] = deque()

    def enter(self) -> Event | None:
        """Take a place; ``None`` if one was free, else an event that fires when it is one's turn."""
        if self.free:
            self.free -= 1
            return None
        turn = self._env.event()
        self._waiting.append(turn)
        return turn

    def leave(self) -> None:
        """Give the place to who has waited longest, if anyone does."""
        if self._waiting:
            self._waiting.popleft().succeed()
        else:
            self.free += 1

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)


class StepSeries:
    """How many are in a place over time: a step function, as two growing columns.

    Attributes
    ----------
    times : list of float
        Seconds at which the number changed.
    values : list of int
        The number from that time on.
    """

    def __init__(self, env: Environment) -> None:
        self._env = env
        self.times: list[float] = [0.0]
        self.values: list[int] = [0]

    def add(self, change: int) -> None:
        """Note that the number changed by `change` now."""
        self.times.append(self._env.now)
        self.values.append(self.values[-1] + change)
