"""When replicas are down or slow: what a scenario's `fail` and `slow_during` do in a real run.

Threads: `FaultSchedule.begin` and `end` belong to one thread; a thread of a run's own carries out
what is due and ends with the run.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol


class Afflicted(Protocol):
    """A replica, as the schedule uses it."""

    backend: str
    number: int

    def go_down(self) -> None:
        """Lose all work, and refuse connections."""

    def come_up(self) -> None:
        """Accept connections, with nothing to do."""

    def work_slowly(self, factor: float) -> None:
        """Work that begins from now on takes so many times longer."""


Step = tuple[float, Callable[[], None]]
"""Seconds since the start of a run, and what happens then."""


class FaultSchedule:
    """When each replica is down or slow.

    Parameters
    ----------
    spec : mapping
        By backend, its settings: ``slow``, ``slow_during`` and ``fail`` by replica number.
    replicas : sequence of Afflicted
        All replicas.
    """

    def __init__(self, spec: Mapping[str, Mapping[str, Any]], replicas: Sequence[Afflicted]) -> None:
        self._replicas = replicas
        self._steps = sorted(
            (step for replica in replicas for step in _steps(spec[replica.backend], replica)),
            key=lambda step: step[0],
        )
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, start: float) -> None:
        """A run begins at `start`, on the monotonic clock."""
        self.end()
        if self._steps:
            self._over = threading.Event()
            self._thread = threading.Thread(
                target=self._run, args=(start, self._over), name="fault schedule", daemon=True
            )
            self._thread.start()

    def end(self) -> None:
        """The run is over: all is as it was at its start."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            for replica in self._replicas:
                replica.come_up()
            for at, happen in self._steps:
                if at < 0:
                    happen()

    def _run(self, start: float, over: threading.Event) -> None:
        for at, happen in self._steps:
            if over.wait(max(start + at - time.monotonic(), 0.0)):
                return
            happen()


def _steps(settings: Mapping[str, Any], replica: Afflicted) -> list[Step]:
    """What happens to one replica, and when; what is before the start is how it begins."""
    steps: list[Step] = []
    down = _of(settings, "fail", replica.number)
    if down is not None:
        steps += [(down[0], replica.go_down), (down[1], replica.come_up)]
    slow = _of(settings, "slow_during", replica.number)
    if slow is not None:
        factor = float(_of(settings, "slow", replica.number))
        steps.append((-1.0, lambda: replica.work_slowly(1.0)))
        steps.append((slow[0], lambda: replica.work_slowly(factor)))
        steps.append((slow[1], lambda: replica.work_slowly(1.0)))
    return steps


def _of(settings: Mapping[str, Any], key: str, number: int) -> Any:
    """What a table by replica number says, whose keys are texts in JSON."""
    table = settings.get(key) or {}
    return table.get(str(number), table.get(number))
